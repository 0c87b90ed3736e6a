"""Pushes that are read after other pushes have moved other refs."""

from __future__ import annotations

import pytest

from brokers.config import Settings
from githooks.reading import read
from tests.support.histories import DAY_S, Planned, build, event, point

NOW = 2_000_000_000.0  # events are given times, files too; the real clock plays no part
MAIN, TOPIC, TAG = "refs/heads/main", "refs/heads/topic", "refs/tags/v1"


@pytest.fixture
def server(git_server):
    return git_server()


@pytest.fixture
def nodes(server):
    """main is 0-1, topic 2-3 on it; 4 merges topic into main, 5 goes on from 4."""
    return build(server, [Planned(), Planned((0,)), Planned((1,)), Planned((2,)), Planned((1, 3)), Planned((4,))])


def told(server, moved, *, later=(), time=NOW):
    push = read(event(server.path, moved, time=time), Settings(git_revision="off"), later=later)
    return [commit.node for commit in push.commits]


def place(server, before, after=None):
    """Refs whose files are older than the event, and refs whose files are younger."""
    import os

    for refs, when in ((before, NOW - DAY_S), (after or {}, NOW + 60)):
        point(server, refs, age_s=None)
        for ref, node in refs.items():
            if node:
                os.utime(server.path / ref, (when, when))


def test_a_ref_that_held_the_commits_before_excludes_them(server, nodes):
    place(server, {MAIN: nodes[3], TOPIC: nodes[3]})
    assert told(server, [(MAIN, nodes[1], nodes[3])]) == []


def test_a_tag_put_on_them_since_hides_nothing(server, nodes):
    place(server, {MAIN: nodes[1]}, {TOPIC: nodes[3], TAG: nodes[3]})
    assert told(server, [(TOPIC, None, nodes[3])]) == nodes[2:4]


@pytest.mark.parametrize("main", [4, 5])
def test_a_merge_of_them_since_hides_nothing_and_still_excludes_what_was_before(server, nodes, main):
    place(server, {}, {TOPIC: nodes[3], MAIN: nodes[main]})
    assert told(server, [(TOPIC, None, nodes[3])]) == nodes[2:4]


def test_a_branch_fast_forwarded_onto_them_since_hides_nothing(server, nodes):
    place(server, {}, {TOPIC: nodes[3], MAIN: nodes[3]})
    assert told(server, [(TOPIC, nodes[2], nodes[3])]) == [nodes[3]]


def test_a_new_branch_whose_origin_nobody_knows_any_more_does_not_tell_the_whole_history(server, nodes):
    place(server, {}, {TOPIC: nodes[3], MAIN: nodes[3]})
    assert told(server, [(TOPIC, None, nodes[3])]) == []


def test_a_branch_that_moved_since_for_its_own_sake_excludes(server, nodes):
    place(server, {}, {MAIN: nodes[1], TOPIC: nodes[3]})
    assert told(server, [(TOPIC, None, nodes[3])]) == nodes[2:4]


def test_the_events_value_counts_for_its_own_refs(server, nodes):
    place(server, {}, {MAIN: nodes[5]})
    assert told(server, [(MAIN, nodes[0], nodes[1])]) == [nodes[1]]


def test_later_events_are_undone_from_the_newest_to_the_oldest(server, nodes):
    place(server, {MAIN: nodes[3], TOPIC: nodes[3]})  # packed or touched: the files tell nothing
    first = event(server.path, [(MAIN, nodes[0], nodes[1])], time=NOW + 1)
    second = event(server.path, [(MAIN, nodes[1], nodes[3])], time=NOW + 2)
    moved = [(TOPIC, None, nodes[3])]
    assert told(server, moved, later=[first, second]) == nodes[1:4]
    assert told(server, moved, later=[second]) == nodes[2:4]
    assert told(server, moved) == []


def test_a_ref_deleted_since_still_excludes_for_those_who_know(server, nodes):
    place(server, {MAIN: nodes[3]})
    gone = event(server.path, [(TOPIC, nodes[2], None)], time=NOW + 1)
    moved = [(MAIN, nodes[1], nodes[3])]
    assert told(server, moved, later=[gone]) == [nodes[3]]
    assert told(server, moved) == nodes[2:4]


def test_earlier_events_and_other_repositories_are_not_undone(server, nodes):
    place(server, {MAIN: nodes[3], TOPIC: nodes[3]})
    moved = [(MAIN, nodes[1], nodes[3])]
    earlier = event(server.path, [(TOPIC, None, nodes[3])], time=NOW - 1)
    elsewhere = event(server.path / "x", [(TOPIC, None, nodes[3])], time=NOW + 1)
    assert told(server, moved, later=[earlier, elsewhere]) == []


def test_of_two_pushes_at_the_same_moment_one_tells(server, nodes):
    place(server, {MAIN: nodes[3], TOPIC: nodes[3]})
    one = event(server.path, [(MAIN, nodes[1], nodes[3])], time=NOW, id="1" * 32)
    two = event(server.path, [(TOPIC, nodes[1], nodes[3])], time=NOW, id="2" * 32)
    counts = [read(this, Settings(git_revision="off"), later=[one, two]).total_commits for this in (one, two)]
    assert counts == [2, 0]


def test_a_push_through_a_symbolic_ref_is_no_push_of_nothing(server, nodes):
    place(server, {MAIN: nodes[1]})
    server.git("symbolic-ref", "refs/heads/master", MAIN)
    assert told(server, [("refs/heads/master", nodes[0], nodes[1])]) == [nodes[1]]
    assert told(server, [(MAIN, nodes[0], nodes[1])]) == [nodes[1]]


def test_of_later_events_only_the_refs_that_count_are_undone(server, nodes):
    pull = "refs/pull/1/head"
    place(server, {MAIN: nodes[1]}, {MAIN: nodes[3], pull: nodes[4]})
    later = [event(server.path, [(pull, nodes[3], nodes[4])], time=NOW + 30)]
    assert told(server, [(MAIN, nodes[1], nodes[3])], later=later) == nodes[2:4]
