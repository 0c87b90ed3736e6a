"""One real push over each transport that the other tests rely on; no hook of Oberon's takes part."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
import requests

from brokers.testing import receiver as testing_receiver
from tests.support import serving
from tests.support.command import CommandFailedError


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_git_push_by_path(git_server, object_format):
    server = git_server(object_format=object_format)
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n"})
    pushed = clone.push()
    assert server.node("refs/heads/main") == node
    assert len(node) == {"sha1": 40, "sha256": 64}[object_format]
    assert "main" in pushed.stderr
    assert 0 < pushed.seconds < 60


def test_git_push_through_ssh(git_server, ssh):
    server = git_server()
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n"})
    clone.push(url=ssh.url(server.path), env=ssh.env)
    assert server.node("refs/heads/main") == node


@pytest.mark.parametrize(("size", "encoding"), [(100, None), (3_000_000, "chunked")])
def test_git_push_over_http(git_server, git_http, monkeypatch, size, encoding):
    seen = []

    def reading(stream, headers):
        seen.append(headers["Transfer-Encoding"])
        return testing_receiver.read_body(stream, headers)

    monkeypatch.setattr(serving, "read_body", reading)
    server = git_server()
    clone = server.clone()
    # Above http.postBuffer (1 MiB) git sends its pack chunked; what does not compress stays above it.
    node = clone.commit({"a.bin": random.Random(1).randbytes(size)})
    clone.push(url=git_http(server))
    assert server.node("refs/heads/main") == node
    assert seen[-1] == encoding


def test_git_over_http_needs_a_user(git_server, git_http):
    server = git_server()
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = clone.push(url=git_http(server, user=None), check=False)
    assert pushed.returncode != 0
    assert server.git("for-each-ref") == ""


def test_hg_push_by_path(hg_server):
    server = hg_server()
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n"})
    clone.push()
    assert server.node() == node


def test_hg_push_through_ssh(hg_server, ssh):
    server = hg_server()
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n"})
    clone.push(ssh.url(server.path), options=ssh.options)
    assert server.node() == node


def test_hg_push_over_http(hg_server, hg_http):
    server = hg_server()
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n"}, branch="stable")
    clone.push(hg_http(server), options=["--new-branch"])
    assert server.node("stable") == node


def test_a_compressed_request_reaches_git(git_server, git_http):
    url = git_http(git_server())
    headers = {"Content-Type": "application/x-git-upload-pack-request", "Content-Encoding": "gzip", "Git-Protocol": "version=2"}
    answer = requests.post(
        f"{url}/git-upload-pack", data=gzip.compress(b"0014command=ls-refs\n0000"), headers=headers, timeout=10
    )
    assert (answer.status_code, answer.content) == (200, b"0000")


@pytest.fixture(params=["path", "ssh", "http"])
def push(request, git_server, git_http, ssh):
    """(git directory, a function that makes a commit and pushes it) for each transport."""
    server = git_server()
    clone = server.clone()
    where = {
        "path": dict,
        "ssh": lambda: {"url": ssh.url(server.path), "env": ssh.env},
        "http": lambda: {"url": git_http(server)},
    }[request.param]()

    def commit_and_push():
        clone.commit({"a.txt": "one\n"})
        return clone.push(**where)

    return server.path, commit_and_push


@pytest.mark.parametrize(
    ("descriptors", "waits"),
    [(">/dev/null 2>/dev/null", False), (">/dev/null", True), ("2>/dev/null", True)],
    ids=["neither", "stderr", "stdout"],
)
def test_a_hooks_child_that_keeps_a_descriptor_keeps_the_pusher(push, descriptors, waits):
    """The very mistake that the detached worker must not make shows over each of the transports."""
    path, commit_and_push = push
    hook = path / "hooks" / "post-receive"
    hook.write_text(f"#!/bin/sh\ncat >/dev/null\necho said >&2\nsleep 1 </dev/null {descriptors} &\n")
    hook.chmod(0o755)
    pushed = commit_and_push()
    assert "remote: said" in pushed.stderr
    assert (pushed.seconds >= 1) is waits


def test_a_refused_push_fails_through_ssh(git_server, ssh):
    server = git_server()
    hook = server.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nenv >&2\nexit 1\n")
    hook.chmod(0o755)
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    with pytest.raises(CommandFailedError) as raised:
        clone.push(url=ssh.url(server.path), env=ssh.env)
    said = raised.value.finished.stderr
    assert "remote: SSH_CONNECTION=127.0.0.1 " in said
    assert "remote: GIT_SSH_COMMAND=" not in said
    assert f"remote: HOME={Path.home()}" in said


def test_http_pushes_as_the_user(git_server, git_http):
    server = git_server()
    hook = server.path / "hooks" / "post-receive"
    hook.write_text("#!/bin/sh\necho REMOTE_USER=$REMOTE_USER >&2\n")
    hook.chmod(0o755)
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    assert "remote: REMOTE_USER=alice" in clone.push(url=git_http(server)).stderr
