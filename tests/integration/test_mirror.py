"""The broker `mirror` with real git and hg: to paths, over http, and over ssh."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from brokers.delivery.outcome import Verdict
from payload import samples
from tests.support import isolation
from tests.support.failing_service import outcome_of
from tests.support.git import GitServer
from tests.support.hg import HgServer
from tests.support.ports import free_port
from tests.support.sshd import PROGRAM, Sshd
from tests.support.waiting import until


@pytest.fixture
def mirrored(tmp_path):
    """mirrored(repository, url, ...) -> the outcome of a push to it"""

    def mirror(repository, url, payload=None, **settings):
        options = {"dry_run": settings.pop("dry_run", False), "timeout_s": settings.pop("timeout_s", 30.0)}
        scm = "git" if isinstance(repository, GitServer) else "hg"
        return outcome_of(
            {"broker": "mirror", "url": str(url), **settings},
            payload or samples.load(f"{scm}-push"),
            repository=str(repository.path),
            **options,
        )

    return mirror


@pytest.fixture
def git(git_server):
    """A repository with two branches, a tag and another ref, and a clone of it."""
    server = git_server("source.git")
    clone = server.clone()
    clone.commit({"a": "1\n"})
    clone.git("tag", "v1")
    clone.push("HEAD:refs/heads/main", "HEAD:refs/heads/next", "v1", "HEAD:refs/internal/1")
    return server, clone


@pytest.fixture(scope="module")
def hg(tmp_path_factory):
    """A repository with two heads on one branch and one on another, and a clone of it."""
    folder = tmp_path_factory.mktemp("hg")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in isolation.environment(folder, dict(os.environ)).items():
            patch.setenv(name, value)
        server = HgServer(folder / "source")
        clone = server.clone()
        clone.commit({"a": "1\n"})
        clone.commit({"b": "2\n"})
        clone.hg("update", "-q", "0")
        clone.commit({"c": "2\n"})
        clone.hg("branch", "-q", "stable")
        clone.commit({"a": "2\n"})
        clone.push(options=["--force", "--new-branch"])
    return server, clone


def refs(server):
    return server.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()


def nodes(server):
    return set(server.hg("log", "--template", "{node} {branch} {phase}\n").splitlines())


def test_git_is_kept_equal(git, git_server, mirrored):
    source, clone = git
    target = git_server("target.git")
    assert mirrored(source, target.path).note == "pushed"
    public = [ref for ref in refs(source) if "internal" not in ref]
    assert refs(target) == public
    assert mirrored(source, target.path).note == "everything up to date"
    clone.git("commit", "-q", "--amend", "-m", "rewritten")
    clone.push("+HEAD:refs/heads/main", ":refs/heads/next")
    assert mirrored(source, target.path).note == "pushed"
    assert [ref for ref in refs(source) if "internal" not in ref] == refs(target)
    assert mirrored(source, target.path, what="all").note == "pushed"
    assert refs(target) == refs(source)


def test_all_refs_may_be_deleted(git_server, mirrored):
    source, target = git_server("source.git"), git_server("target.git")
    clone = source.clone()
    clone.commit({"a": "1\n"})
    clone.push("HEAD:refs/heads/one", "HEAD:refs/heads/two")
    assert mirrored(source, target.path).note == "pushed"
    clone.push(":refs/heads/one", ":refs/heads/two")
    assert mirrored(source, target.path).note == "pushed"
    assert refs(target) == []
    for what in ("branches-and-tags", "all"):  # each deletion is an event of its own
        outcome = mirrored(source, target.path, what=what)
        assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "everything up to date")


def test_git_over_http_with_a_name_of_the_repository(git, git_server, git_http, mirrored):
    source, _ = git
    target = git_server("kettle.git")
    target.config("http.receivepack", "true")
    url = git_http(target).replace("kettle.git", "${repository.slug}.git").replace("127.0.0.1", "localhost")
    assert mirrored(source, url).note == "pushed"
    assert target.node("refs/heads/main") == source.node("refs/heads/main")


def test_git_sends_a_login_that_nobody_sees(git, receiver, mirrored):
    source, _ = git
    receiver.answer(403, times=None)
    url = receiver.url.replace("http://", "http://ann:url-s3cret@")
    for settings in ({}, {"user": "bob", "password": "own-s3cret"}):
        outcome = mirrored(source, url, **settings)
        assert outcome.verdict is Verdict.RETRY
        assert "403" in outcome.reason
        assert outcome.reached is True
        assert "s3cret" not in json.dumps(outcome.details) + outcome.reason
    assert [request.headers["Authorization"] for request in receiver.requests] == [
        "Basic YW5uOnVybC1zM2NyZXQ=", "Basic Ym9iOm93bi1zM2NyZXQ=",
    ]  # fmt: skip
    assert all(request.headers["Host"] == receiver.url.split("/")[2] for request in receiver.requests)


def test_hg_sends_a_login_that_nobody_sees(hg, receiver, mirrored):
    source, _ = hg
    receiver.answer(401, {"WWW-Authenticate": 'Basic realm="hg"'}, times=None)
    outcome = mirrored(source, receiver.url, user="bob", password="own-s3cret")
    assert outcome.verdict is Verdict.RETRY
    assert "authorization failed" in outcome.reason
    assert "s3cret" not in json.dumps(outcome.details) + outcome.reason
    assert "Basic Ym9iOm93bi1zM2NyZXQ=" in [request.headers["Authorization"] for request in receiver.requests]


@pytest.mark.parametrize("scm", ["git", "hg"])
def test_no_redirect_is_followed_to_another_host(scm, request, receiver, mirrored, git_server, git_http):
    source, _ = request.getfixturevalue(scm)
    elsewhere = f"http://localhost:{receiver.url.split(':')[2]}elsewhere"
    receiver.answer(302, {"Location": elsewhere}, times=1)
    outcome = mirrored(source, receiver.url)
    assert outcome.verdict is Verdict.RETRY
    assert "/elsewhere" not in [received.path for received in receiver.requests]
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("scm", ["git", "hg"])
def test_it_goes_where_it_may_only(scm, request, receiver, mirrored):
    source, _ = request.getfixturevalue(scm)
    outcome = mirrored(source, receiver.url, allowhosts="external")
    assert outcome.verdict is Verdict.DEAD
    assert "loopback address are not allowed" in outcome.reason
    assert receiver.requests == []


@pytest.mark.parametrize("scm", ["git", "hg"])
def test_nobody_listens(scm, request, mirrored):
    source, _ = request.getfixturevalue(scm)
    outcome = mirrored(source, f"http://127.0.0.1:{free_port()}/x")
    assert (outcome.verdict, outcome.reached) == (Verdict.RETRY, False), outcome.reason


@pytest.mark.parametrize("scm", ["git", "hg"])
def test_there_is_no_such_repository(scm, request, mirrored, tmp_path):
    source, _ = request.getfixturevalue(scm)
    outcome = mirrored(source, tmp_path / "nowhere")
    assert (outcome.verdict, outcome.reached) == (Verdict.RETRY, True)
    assert "nowhere" in outcome.reason


def test_git_says_which_ref_was_refused(git, git_server, mirrored):
    source, _ = git
    target = git_server("target.git")
    hook = target.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/next ] || { printf "no\\033[2J"; exit 1; }\n')
    hook.chmod(0o755)
    outcome = mirrored(source, target.path)
    assert outcome.verdict is Verdict.RETRY
    assert "next (hook declined)" in outcome.reason
    assert "\x1b" not in outcome.reason + json.dumps(outcome.details)


def test_git_runs_nothing_of_the_repositorys(git, git_server, mirrored, tmp_path):
    source, _ = git
    (tmp_path / "hook").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "hook").chmod(0o755)
    hooks = source.path / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "pre-push").symlink_to(tmp_path / "hook")
    source.config("core.sshCommand", str(tmp_path / "hook"))
    source.config("credential.helper", str(tmp_path / "hook"))
    assert mirrored(source, git_server("target.git").path).verdict is Verdict.DELIVERED
    assert mirrored(source, "ssh://127.0.0.1:1/x").verdict is Verdict.RETRY
    assert not (tmp_path / "ran").exists()


def test_a_server_that_says_nothing_is_left_at_the_deadline(git, mirrored, tmp_path, left_running):
    source, _ = git
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = mirrored(source, f"http://127.0.0.1:{silent.getsockname()[1]}/{tmp_path.name}", timeout_s=0.5)
    assert (outcome.verdict, outcome.slow_down) == (Verdict.RETRY, True)
    until(lambda: not left_running(), 2)


def test_hg_is_kept_equal_over_http(hg, hg_server, hg_http, mirrored):
    source, _ = hg
    target = hg_server("target")
    url = hg_http(target)
    source.hg("bookmark", "-r", "0", "feature", "--", "-evil")
    payload = samples.load("hg-bookmark")
    [ref] = [ref for ref in payload["oberon"]["refs"] if ref["kind"] == "bookmark"]
    payload["oberon"]["refs"] = [{**ref, "name": name} for name in ("feature", "-evil", "long gone")]
    assert mirrored(source, url, payload).note == "pushed"
    assert nodes(target) == nodes(source)
    assert len(nodes(target)) == 4
    assert target.hg("bookmarks", "--template", "{bookmark}\n").split() == ["-evil", "feature"]
    source.hg("bookmark", "--delete", "feature")
    assert mirrored(source, url, payload).note == "pushed"
    assert target.hg("bookmarks", "--template", "{bookmark}\n").split() == ["-evil"]
    assert mirrored(source, url.replace("127.0.0.1", "localhost")).note == "everything up to date"


def test_hg_leaves_an_unrelated_repository_alone(hg, hg_server, mirrored):
    source, _ = hg
    target = hg_server("target")
    (target.path / "unrelated").write_text("1\n")
    target.hg("commit", "-q", "-A", "-m", "unrelated", "-u", "ann")
    outcome = mirrored(source, target.path)
    assert outcome.verdict is Verdict.RETRY
    assert "unrelated" in outcome.reason
    assert len(nodes(target)) == 1


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    if not Path(PROGRAM).exists() and not os.environ.get("CI"):
        pytest.skip(f"there is no {PROGRAM}")
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.mark.parametrize("scm", ["git", "hg"])
def test_over_ssh(scm, request, git_server, hg_server, sshd, mirrored, tmp_path):
    sshd.take_environment()
    source, _ = request.getfixturevalue(scm)
    target = git_server("target.git") if scm == "git" else hg_server("target")
    folder = sshd._folder
    key = tmp_path / "key"
    shutil.copy(folder / "user", key)
    known = tmp_path / "known_hosts"
    kind, blob, *_ = (folder / "host.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{sshd.port} {kind} {blob}\n")
    settings = {"key": str(key), "known-hosts": str(known)}
    url = sshd.url(target.path)
    assert mirrored(source, url, **settings).note == "pushed"
    known.write_text("")
    outcome = mirrored(source, url, **settings)
    assert outcome.verdict is Verdict.RETRY
    assert "Host key verification failed" in outcome.reason


def test_an_alert_is_none_of_its_business(git, mirrored, tmp_path):
    source, _ = git
    outcome = mirrored(source, tmp_path / "nowhere", samples.load("alert"))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "an alert, so there is nothing to push")


def test_a_dry_run_shows_the_command(git, mirrored):
    source, _ = git
    outcome = mirrored(source, "https://ann:s3cret-of-ann@git.example.org/x.git", dry_run=True)
    [exchange] = outcome.details["exchanges"]
    assert "https://git.example.org/x.git" in exchange["request"].splitlines()[0]
    assert "s3cret" not in exchange["request"]
