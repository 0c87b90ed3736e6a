from __future__ import annotations

import os

import pytest

from brokers.cli.repository import find
from brokers.errors import ConfigError


def test_a_bare_git_directory(git_server, tmp_path):
    server = git_server()
    assert find(str(server.path)) == ("git", str(tmp_path / "repo.git"))


def test_a_relative_path_and_a_link_lead_to_the_same_place(git_server, tmp_path, monkeypatch):
    git_server()
    (tmp_path / "link.git").symlink_to(tmp_path / "repo.git")
    monkeypatch.chdir(tmp_path)
    assert find("repo.git") == find("link.git") == ("git", str(tmp_path / "repo.git"))


def test_a_work_tree_and_its_git_folder(git_server, tmp_path):
    clone = git_server().clone()
    expected = ("git", str(clone.path / ".git"))
    assert find(str(clone.path)) == expected
    assert find(str(clone.path / ".git")) == expected


def test_a_linked_worktree_is_its_main_repository(git_server, tmp_path):
    clone = git_server().clone()
    clone.commit()
    clone.git("worktree", "add", "-q", tmp_path / "second", "-b", "second")
    assert (tmp_path / "second" / ".git").is_file()
    assert find(str(tmp_path / "second")) == ("git", str(clone.path / ".git"))


def test_a_git_directory_elsewhere(git_server, tmp_path, run):
    run(["git", "init", "-q", "--separate-git-dir", tmp_path / "elsewhere", tmp_path / "tree"])
    assert find(str(tmp_path / "tree")) == ("git", str(tmp_path / "elsewhere"))


def test_a_mercurial_repository(hg_server, tmp_path):
    server = hg_server()
    expected = ("hg", str(server.path))
    assert find(str(server.path)) == expected
    assert find(str(server.path / ".hg")) == expected
    (tmp_path / "link").symlink_to(server.path)
    assert find(str(tmp_path / "link")) == expected


def test_both_in_one_folder_must_be_told_apart(hg_server, run):
    server = hg_server()
    run(["git", "init", "-q", server.path])
    with pytest.raises(ConfigError, match=r"name .*\.git or .*\.hg"):
        find(str(server.path))
    assert find(str(server.path / ".hg")).scm == "hg"
    assert find(str(server.path / ".git")).scm == "git"


def test_neither(tmp_path):
    with pytest.raises(ConfigError, match="neither a git nor a Mercurial"):
        find(str(tmp_path))


def test_nothing_there_names_the_one_with_its_suffix(git_server, tmp_path):
    git_server("app.git")
    with pytest.raises(ConfigError, match=r"did you mean .*app\.git\?"):
        find(str(tmp_path / "app"))
    with pytest.raises(ConfigError, match="no such folder"):
        find(str(tmp_path / "other"))


def test_a_path_that_is_no_text(run, tmp_path):
    place = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.git")
    run(["git", "init", "-q", "--bare", place])
    assert find(place) == ("git", place)


def test_a_mention_of_no_repository_in_a_git_file(tmp_path):
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    with pytest.raises(ConfigError):
        find(str(tmp_path))
