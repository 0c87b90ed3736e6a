from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokers.errors import ReadingError, RepositoryUnreadable
from githooks.reading import git_binary
from githooks.reading.errors import ObjectBroken
from githooks.reading.git_binary import Git


@pytest.fixture
def server(git_server):
    return git_server()


@pytest.fixture
def git(server):
    with Git(str(server.path), str(server.path), {}) as git:
        yield git


def blob(server, content):
    return server.git("hash-object", "-w", "--stdin", input=content)


def test_much_is_asked_before_anything_is_read(server, git):
    """Far more than both pipes hold; neither side waits for the other."""
    oid = blob(server, "x" * 5000)
    child = git.start("cat-file", "--batch")
    child.send(f"{oid}\n".encode() * 20_000)
    for _ in range(20_000):
        assert child.until(b"\n") == f"{oid} blob 5000".encode()
        assert len(child.exactly(5001)) == 5001


def test_lines_come_in_any_number_at_a_time(server, git):
    oids = [blob(server, str(number)) for number in range(30)]
    child = git.start("cat-file", "--batch-check=%(objectname)")
    child.send("".join(oid + "\n" for oid in oids * 100).encode())
    told = []
    for count in (0, 1, 7, 2992):
        told += child.some_lines(count)
    assert [line.decode() for line in told] == oids * 100


def test_an_answer_ends_where_its_end_is_also_if_that_comes_in_pieces(git, tmp_path):
    end = b"the end\n"
    child = git.start("diff-tree", "--stdin")
    child.send(b"the en\n" + end)
    assert child.until(end) == b"the en\n"


def test_all_lines_of_a_command(server, git):
    oids = [blob(server, str(number)) for number in range(5)]
    asked = "".join(oid + "\n" for oid in oids).encode()
    assert list(git.lines("cat-file", "--batch-check=%(objectsize)", asked=asked)) == [b"1"] * 5


def test_a_failure_says_what_git_said(git):
    with pytest.raises(RepositoryUnreadable, match=r"git rev-list failed: .*ambiguous argument 'nothing'"):
        list(git.lines("rev-list", "nothing"))
    child = git.start("cat-file", "--batch-nonsense")
    with pytest.raises(ReadingError, match="git cat-file failed"):
        child.until(b"\n")


def test_a_failure_over_an_object_names_it(server, git):
    tree = server.git("mktree", "--missing", input=f"040000 tree {'1' * 40}\tsub\n")
    commit = server.git("commit-tree", "-m", "x", tree, input="")
    with pytest.raises(ObjectBroken) as told:
        list(git.lines("diff-tree", "--stdin", "-r", "--root", asked=f"{commit}\n".encode()))
    assert told.value.oid == "1" * 40


def test_a_time_limit(server, git, monkeypatch, tmp_path):
    (tmp_path / "git").write_text("#!/bin/sh\necho one\nexec sleep 20\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Git(str(server.path), str(server.path), {}) as slow, pytest.raises(RepositoryUnreadable, match="time limit"):
        list(slow.lines("rev-list", "--all", time_limit_s=0.2))


def test_no_git(server, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not git_binary.is_there()
    with Git(str(server.path), str(server.path), {}) as git, pytest.raises(RepositoryUnreadable, match="git cannot be run"):
        git.start("rev-list")


def test_the_environment_of_the_process_leads_nowhere(server, monkeypatch, tmp_path):
    for name in ("GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_COUNT", "GIT_TRACE2", "GIT_EXTERNAL_DIFF"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    kept = git_binary.environment("/srv/app.git", {"GIT_ALTERNATE_OBJECT_DIRECTORIES": "/srv/objects", "GIT_TRACE": "1"})
    assert {name: value for name, value in kept.items() if name.startswith("GIT_")} == {
        "GIT_DIR": "/srv/app.git",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/srv/objects",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_FLUSH": "0",
    }


def test_objects_alone_are_read_without_their_repositorys_configuration(server, monkeypatch, tmp_path):
    oid = blob(server, "here")
    Path(server.path, "config").write_text("[core\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Git(str(server.path), str(server.path), {}) as git:
        child = git.start_on_objects(f"{server.path}/objects", 40, "cat-file", "--batch-check=%(objectsize)")
        child.send(f"{oid}\n{'2' * 40}\n".encode())
        assert child.some_lines(2) == [b"4", b"2" * 40 + b" missing"]
        assert list(tmp_path.glob("oberon-*"))
    assert not list(tmp_path.glob("oberon-*"))


def test_no_child_outlives_the_context(server):
    with Git(str(server.path), str(server.path), {}) as git:
        child = git.start("cat-file", "--batch")
        pid = child._process.pid
    assert not Path(f"/proc/{pid}").exists()
