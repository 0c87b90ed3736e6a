from __future__ import annotations

import os
import random

import pytest

from githooks.reading import revisions
from githooks.reading.git_binary import Git
from tests.support.histories import START_S, Planned, build, point


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


def counted(server, commits, **more):
    with Git(str(server.path), str(server.path), {}) as git:
        return revisions.counted(commits, git, **more)


def test_numbers_are_rev_lists(server, history, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nowhere")
    found = counted(server, history)
    monkeypatch.undo()
    assert found == {oid: int(server.git("rev-list", "--count", oid.decode())) for oid, _ in history}
    assert list(found.values()) == [2, 3, 1, 2, 6, 7]


@pytest.mark.parametrize("seed", range(4))
def test_pushes_that_stand_on_many_old_commits(server, seed):
    dice = random.Random(seed)
    plan = []
    for index in range(120):
        count = min(index, dice.choice([0, 1, 1, 1, 1, 2, 2, 4]) or index < 1)
        parents = dice.sample(range(max(0, index - 12), index), k=count)
        plan.append(Planned(tuple(parents), dice.randrange(START_S), message=b"%d\n" % index))
    nodes = [node.encode() for node in build(server, plan)]
    for size in (1, 10, 60, 120):
        new = range(120 - size, 120)
        found = counted(server, [(nodes[index], [nodes[parent] for parent in plan[index].parents]) for index in new])
        asked = dice.sample(new, min(size, 12))
        assert [found[nodes[index]] for index in asked] == [
            int(server.git("rev-list", "--count", nodes[index].decode())) for index in asked
        ]


def test_the_number_of_a_tip_is_remembered_for_the_next_push(server, history, monkeypatch, tmp_path):
    *before, (tip, parents) = history
    assert counted(server, before, remember=True)[before[-1][0]] == 6
    monkeypatch.setenv("PATH", str(tmp_path))
    assert counted(server, [(tip, parents)]) == {tip: 7}
    assert counted(server, history[4:5]) == {before[-1][0]: None}


def test_replaced_commits_count_as_they_are(server, history):
    (_first, _), (second, parents), *_ = history
    server.git("replace", "--graft", second.decode())
    assert counted(server, [(second, parents)]) == {second: 3}


def test_no_git_no_numbers(server, history, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(counted(server, history).values()) == [None, None, 1, 2, None, None]


@pytest.mark.parametrize("kept", [slice(0, 6), slice(4, 5)])
def test_the_time_limit_holds_for_all_together(server, history, monkeypatch, tmp_path, kept):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    expected = [None, None, 1, 2, None, None]
    assert list(counted(server, history[kept], time_limit_s=0.2).values()) == expected[kept]
    assert counted(server, history[:1], time_limit_s=0)[history[0][0]] is None
