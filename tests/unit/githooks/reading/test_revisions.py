from __future__ import annotations

import os

import pytest

from githooks.reading import revisions
from tests.support.histories import Planned, build, point


@pytest.fixture
def server(git_server):
    return git_server()


@pytest.fixture
def history(server):
    """Oneline 0-1-2, merge 5 of 2 and 4, then 6; 3 is a root of its own. Commits from 1 on, with their parents."""
    plan = [
        Planned(),
        Planned((0,)),
        Planned((1,)),
        Planned(message=b"another root"),
        Planned((3,)),
        Planned((2, 4)),
        Planned((5,)),
    ]
    nodes = [node.encode() for node in build(server, plan)]
    point(server, {"refs/heads/main": nodes[6].decode()})
    return [(nodes[index], [nodes[parent] for parent in plan[index].parents]) for index in range(1, 7)]


def test_numbers_are_rev_lists(server, history, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nowhere")
    found = revisions.counted(history, str(server.path))
    monkeypatch.undo()
    assert found == {oid: int(server.git("rev-list", "--count", oid.decode())) for oid, _ in history}
    assert list(found.values()) == [2, 3, 1, 2, 6, 7]


def test_replaced_commits_count_as_they_are(server, history):
    (_first, _), (second, parents), *_ = history
    server.git("replace", "--graft", second.decode())
    assert revisions.counted([(second, parents)], str(server.path)) == {second: 3}


def test_no_git_no_numbers(server, history, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(revisions.counted(history, str(server.path)).values()) == [None, None, 1, 2, None, None]


def test_the_time_limit_holds_for_all_together(server, history, monkeypatch, tmp_path):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    assert list(revisions.counted(history, str(server.path), time_limit_s=0.2).values()) == [None, None, 1, 2, None, None]
    assert revisions.counted(history[:1], str(server.path), time_limit_s=0)[history[0][0]] is None
