"""Many pushes at once: each is recorded, none fails, and none waits for another."""

import fcntl
import subprocess
import sys

import pytest

from brokers.delivery import spool, statedir, wake
from tests.support.chaos import PRODUCER, ROOT
from tests.support.hooked import git_settings, link_hook


@pytest.fixture
def server(git_server, state_dir):
    """Its worker can never start (the lock is held), so that events stay in the spool to be counted."""
    server = git_server()
    link_hook(server)
    git_settings(server, state_dir)
    server.config("service.ci.broker", "post")
    server.config("service.ci.url", "http://127.0.0.1:9/")
    state_dir.mkdir(mode=0o700)
    with (state_dir / wake.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield server


def recorded(state_dir):
    return [spool.load(path) for path in spool.waiting(str(state_dir))]


def test_thirty_pushers_at_once(server, state_dir):
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    argv = ["git", "push", "-q", "origin"]
    pushes = [
        subprocess.Popen([*argv, f"HEAD:refs/heads/b{number}"], cwd=clone.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for number in range(30)
    ]
    said = [push.communicate(timeout=60)[0] for push in pushes]
    assert [(push.returncode, words) for push, words in zip(pushes, said, strict=True)] == [(0, b"")] * 30
    assert sorted(ref for record in recorded(state_dir) for _, _, ref in record["refs"]) == sorted(
        f"refs/heads/b{number}" for number in range(30)
    )


def test_fifty_processes_that_write_at_once(server, state_dir):
    statedir.prepare(str(state_dir))
    argv = [sys.executable, "-I", "-S", "-c", PRODUCER, ROOT, state_dir, server.path, "1" * 40, *["300"] * 10]
    writers = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(50)]
    acknowledged = [event for writer in writers for event in writer.communicate(timeout=60)[0].decode().split()]
    assert [writer.returncode for writer in writers] == [0] * 50
    assert len(acknowledged) == 500
    assert sorted(record["id"] for record in recorded(state_dir)) == sorted(acknowledged)
