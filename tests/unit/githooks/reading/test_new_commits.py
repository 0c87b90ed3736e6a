from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from githooks.reading import new_commits as module
from githooks.reading.errors import ObjectMissing
from githooks.reading.graph import Graph
from githooks.reading.new_commits import new_commits, oldest_first
from githooks.reading.objects import Links
from githooks.reading.with_both import BothLanes
from githooks.reading.with_dulwich import DulwichLane
from githooks.reading.with_git import GitLane
from tests.support.histories import START_S, Planned, build, event, point, reachable


class PlannedGraph:
    """The graph of a plan, without a repository; counts what is read."""

    def __init__(self, plan):
        self._links = {name(index): Links(tuple(map(name, one.parents)), one.time) for index, one in enumerate(plan)}
        self._known = {}
        self.eager = 1000

    def read_ahead(self, oids):
        pass

    def newest_first(self, oids):
        return None

    def keep(self, oid, links):
        self._known[oid] = links

    def links(self, oid):
        if oid not in self._links:
            raise ObjectMissing("nowhere", oid.decode(), "is missing")
        self._known[oid] = self._links[oid]
        return self._links[oid]

    def known(self, oid):
        return self._known.get(oid)

    @property
    def reads(self):
        return len(self._known)


def name(index):
    return b"%040x" % index


def line(count, *, time=START_S, step=100, below=()):
    return [Planned((index - 1,) if index else below, time + index * step) for index in range(count)]


def answer(plan, tips, excluded, **more):
    graph = PlannedGraph(plan)
    found = new_commits(graph, [name(tip) for tip in tips], [name(one) for one in excluded], **more)
    return {int(oid, 16) for oid in found}, graph


def truth(plan, tips, excluded):
    return reachable(plan, tips) - reachable(plan, excluded)


@st.composite
def histories(draw):
    """Any graph, dates right, equal or wild; and what is asked of it."""
    count = draw(st.integers(1, 40))
    times = draw(st.sampled_from([st.none(), st.just(0), st.integers(-(10**6), 10**12)]))
    plan = []
    for index in range(count):
        near = st.integers(max(0, index - 6), index - 1) | st.integers(0, index - 1) if index else st.nothing()
        parents = draw(st.lists(near, max_size=3, unique=True)) if index else []
        time = draw(times)
        plan.append(Planned(tuple(parents), START_S + index if time is None else time))
    asked = st.lists(st.integers(0, count - 1), max_size=4)
    return plan, draw(asked), draw(asked), draw(st.sampled_from([0, 1, 5, 1000]))


@settings(max_examples=200)
@given(histories())
@example(([Planned(), Planned((0,))], [1], [1], 5))
def test_the_answer_is_the_truth(history):
    plan, tips, excluded, eager = history
    assert answer(plan, tips, excluded, eager=eager)[0] == truth(plan, tips, excluded)


@settings(max_examples=50)
@given(histories())
def test_parents_stand_before_children(history):
    plan, tips, excluded, _ = history
    found = new_commits(PlannedGraph(plan), [name(tip) for tip in tips], [name(one) for one in excluded])
    order = oldest_first(found)
    place = {oid: index for index, oid in enumerate(order)}
    assert sorted(order) == sorted(found)
    assert all(place[parent] < place[oid] for oid in order for parent in found[oid].parents if parent in place)


def test_a_long_history_is_not_read_for_a_short_push():
    plan = line(20_000)
    found, graph = answer(plan, [19_999], [19_994])
    assert found == {19_995, 19_996, 19_997, 19_998, 19_999}
    assert graph.reads < 5 + module.SLOP + 5


def test_old_branches_and_tags_beside_cost_little():
    plan = line(20_000)
    _, graph = answer(plan, [19_999], [19_990, *range(0, 19_990, 100)])
    assert graph.reads < 200 + 2 * module.SLOP + 20


def test_one_commit_with_a_date_of_1970_on_top_is_found_at_bounded_cost():
    plan = [*line(20_000), Planned((19_999,), 5)]
    found, graph = answer(plan, [20_000], [19_999])
    assert found == {20_000}
    assert graph.reads < module.SLOP_SKEWED + module.SLOP


def test_a_run_of_wrong_dates_hides_nothing():
    """Branch `topic`, pushed before, is six commits made in 1970; now main is moved onto the third of them."""
    base = line(20_000)
    wrong = [Planned((19_999 + index,), 5 + index) for index in range(6)]
    tip = Planned((20_005,), START_S + 20_000 * 100 + 50)
    plan = [*base, *wrong, tip]
    assert answer(plan, [20_002], [19_999, 20_006])[0] == set()
    assert answer(plan, [20_002], [19_999])[0] == {20_000, 20_001, 20_002}


@pytest.mark.parametrize("seed", range(3))
def test_random_dates_in_a_long_history(seed):
    dice = random.Random(seed)
    plan = []
    for index in range(3000):
        parents = {dice.randrange(max(0, index - 8), index)} if index else set()
        if index and dice.random() < 0.2:
            parents.add(dice.randrange(max(0, index - 30), index))
        time = dice.randrange(START_S) if dice.random() < 0.15 else START_S + index * 100
        plan.append(Planned(tuple(parents), time))
    for _ in range(20):
        tips, excluded = dice.sample(range(2900, 3000), 2), dice.sample(range(2800, 3000), 6)
        assert answer(plan, tips, excluded)[0] == truth(plan, tips, excluded)


def test_missing_commits_exclude_nothing_but_must_be_there_to_be_told():
    plan = [Planned((7,)), Planned((0,))]
    assert answer(plan, [1], [0, 9])[0] == {1}
    with pytest.raises(ObjectMissing):
        answer(plan, [1], [9])


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_equal_to_rev_list_in_a_real_repository(git_server, object_format, pack):
    server = git_server(object_format=object_format)
    dice = random.Random(11)
    plan = [Planned()]
    for index in range(1, 150):
        parents = dice.sample(range(max(0, index - 5), index), k=min(index, dice.choice([1, 1, 1, 2, 3])))
        plan.append(Planned(tuple(parents), START_S + index * 60 - index % 3 * 30))
    nodes = build(server, plan)
    point(server, {"refs/heads/main": nodes[-1], "refs/heads/other": nodes[-2], "refs/heads/third": nodes[-3]})
    if pack:
        server.git("repack", "-adkq")
    with DulwichLane(event(server.path, [("refs/heads/main", None, nodes[-1])], time=0.0)) as lane:
        graph = Graph(lane, {})
        for _ in range(15):
            tips, excluded = ([nodes[index] for index in dice.sample(range(150), 2)] for _ in range(2))
            found = new_commits(graph, [tip.encode() for tip in tips], [one.encode() for one in excluded])
            told = server.git("rev-list", "--date-order", "--reverse", *tips, "--not", *excluded).split()
            assert sorted(oid.decode() for oid in found) == sorted(told)
            times = [plan[nodes.index(node)].time for node in told]
            if len(set(times)) == len(times):  # git leaves the order of equals open
                assert [oid.decode() for oid in oldest_first(found)] == told


@pytest.mark.parametrize("lane", [DulwichLane, GitLane, BothLanes])
@pytest.mark.parametrize("clocks", ["right", "skewed", "equal", "random"])
def test_whatever_reads_ahead_the_answer_is_exact(git_server, lane, clocks):
    """`git rev-list` itself is wrong under such clocks; the answer is compared with whole sets of ancestors."""
    server = git_server()
    dice = random.Random(f"{clocks} 5")
    plan = [Planned()]
    for index in range(1, 300):
        parents = dice.sample(range(max(0, index - 8), index), k=min(index, dice.choice([1, 1, 1, 1, 2, 3])))
        times = {
            "right": START_S + index * 60,
            "skewed": START_S + index * 60 - (dice.random() < 0.15) * dice.randrange(3_000_000),
            "equal": START_S,
            "random": dice.randrange(2_000_000_000),
        }
        plan.append(Planned(tuple(parents), times[clocks], message=b"%d\n" % index))
    nodes = [node.encode() for node in build(server, plan)]
    point(server, {"refs/heads/main": nodes[-1].decode()})
    server.git("repack", "-adkq")
    for round_ in range(40):
        tips, excluded = (dice.sample(range(300), dice.choice([1, 2, 5])) for _ in range(2))
        with lane(event(server.path, [("refs/heads/main", None, nodes[-1].decode())], time=0.0)) as opened:
            graph = Graph(opened, {})
            graph.eager = dice.choice([1, 5, 40])
            found = new_commits(
                graph, [nodes[tip] for tip in tips], [nodes[one] for one in excluded], eager=dice.choice([None, 0, 7])
            )
        expected = reachable(plan, tips) - reachable(plan, excluded)
        assert {nodes.index(oid) for oid in found} == expected, round_
        assert all(
            links == Links(tuple(nodes[parent] for parent in plan[nodes.index(oid)].parents), links.time)
            for oid, links in found.items()
        )


@pytest.mark.parametrize("lane", [DulwichLane, GitLane, BothLanes])
@pytest.mark.parametrize("wrong", [1, 3])
def test_wrong_dates_right_below_an_excluded_tip_are_followed(git_server, lane, wrong):
    """`topic`, pushed before, ends in one commit on some of 1970 on three of today; main is moved onto those three."""
    server = git_server()
    count = 2000
    plan = line(count)
    plan += [
        Planned((len(plan) - 1 + index,), START_S + (count + index) * 100, message=b"new %d\n" % index) for index in range(3)
    ]
    plan += [Planned((len(plan) - 1 + index,), 5 + index, message=b"wrong %d\n" % index) for index in range(wrong)]
    plan.append(Planned((len(plan) - 1,), START_S + (count + 9) * 100))
    nodes = [node.encode() for node in build(server, plan)]
    point(server, {"refs/heads/topic": nodes[-1].decode()})
    server.git("repack", "-adkq")
    for excluded, expected in (((count - 50, len(plan) - 1), set()), ((count - 50,), set(range(count - 49, count + 3)))):
        for eager in (None, 0, 3):
            with lane(event(server.path, [("refs/heads/main", None, nodes[-1].decode())], time=0.0)) as opened:
                graph = Graph(opened, {})
                graph.eager = 5
                found = new_commits(graph, [nodes[count + 2]], [nodes[one] for one in excluded], eager=eager)
            assert {nodes.index(oid) for oid in found} == expected
