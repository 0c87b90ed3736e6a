import random
import tempfile
from collections import Counter
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.config import Configuration, Entry
from brokers.delivery import reconcile, salvage, spool, statedir
from brokers.delivery.intake import take_all_in
from brokers.delivery.outbox import Outbox
from brokers.delivery.ref_state import SETTLED_S, SKEW_S
from brokers.delivery.standing import Changelog, Refs
from payload.push import RECONCILE, Event, RefUpdate

NONE = "0" * 40
NODES = [NONE, *(digit * 40 for digit in "abcde")]
MAIN, TOPIC = "refs/heads/main", "refs/heads/topic"
NOW = 1_700_000_000.0
SERVICE = (Entry("ci", "broker", "post", "config"),)
numbers = count(1)


class Repository:
    """A source of one repository, whose refs are set by the test; pushes of it are a minute apart."""

    def __init__(self, entries=SERVICE, path=None):
        self.path = path or f"/srv/git/{next(numbers)}.git"
        self.entries = entries
        self.refs = {}
        self.moved = {}
        self.here = set()
        self.symbolic = {}
        self.time = NOW

    def push(self, **moves):
        """An event for refs (`main="a"` is refs/heads/main; None removes it), and the refs moved."""
        self.time += 60
        updates = []
        for name, digit in moves.items():
            ref, node = f"refs/heads/{name}", NONE if digit is None else digit * 40
            place = self.symbolic.get(ref, ref)
            self.moved[place] = self.time
            updates.append(RefUpdate(ref, self.refs.get(place, NONE), node))
            self.refs = {key: value for key, value in {**self.refs, place: node}.items() if value != NONE}
        return Event(
            f"{next(numbers):032x}", "git", self.path, self.time, "ann", "ssh", tuple(updates), environment={"GL_REPO": "a/b"}
        )

    def configuration(self, path):
        assert path == self.path
        return Configuration.parse(self.entries)

    def standing(self, path, settings, known):
        assert path == self.path
        nodes = {ref: node for ref, node in self.refs.items() if ref.startswith(settings.refs)}
        moved = {ref: time for ref, time in self.moved.items() if ref in nodes}
        return Refs(nodes, moved, symbolic=self.symbolic, moved_here=lambda ref, node: (ref, node) in self.here)


class Clock:
    now = NOW + 2 * SETTLED_S

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(state_dir, clock):
    statedir.prepare(str(state_dir))
    with Outbox.open(str(state_dir), clock) as opened:
        yield opened


@pytest.fixture
def repository():
    return Repository()


def enter(outbox, *events):
    for event in events:
        outbox.add_event(event)


def look(outbox, repository, **how):
    like = reconcile.newest(outbox, repository.path)
    return reconcile.look(outbox, repository.path, like, repository, **how)


def lost(outbox, repository):
    return [each.move for each in look(outbox, repository).lost]


def recorded(outbox, repository):
    """What is missing, recorded and taken in; the events."""
    found = look(outbox, repository)
    state_dir = outbox.path.rpartition("/")[0]
    events = reconcile.record(outbox, state_dir, repository.path, found, found.lost)
    assert take_all_in(outbox, state_dir) == len(events)
    return events


# ------------------------------------------------------------------------------------------------------- any order, any loss


@st.composite
def histories(draw):
    """(ref -> the nodes where it was, one after another, the first one before any push; a seed for orders and losses)."""
    refs = {}
    for ref in (MAIN, TOPIC):
        places = draw(st.lists(st.sampled_from(NODES), min_size=3, max_size=10))
        refs[ref] = [place for before, place in pairwise([None, *places]) if place != before]
    return refs, draw(st.integers(0, 2**32))


@pytest.fixture(scope="module")
def shared():
    """One outbox for all examples, each with a repository of its own; what a power cut takes does not matter here."""
    with tempfile.TemporaryDirectory() as folder:
        statedir.prepare(folder)
        with Outbox.open(folder, Clock()) as opened:
            opened._connection.execute("PRAGMA synchronous = OFF")
            yield opened


def told(refs, seed):
    """A repository at the end of a history, its pushes in their order (each of one ref), and a source of chance."""
    chance = random.Random(seed)
    repository = Repository()
    turns = [ref for ref, places in refs.items() for _ in places[1:]]
    chance.shuffle(turns)
    at = dict.fromkeys(refs, 0)
    repository.refs = {ref: places[0] for ref, places in refs.items() if places[0] != NONE}
    events = []
    for ref in turns:
        at[ref] += 1
        node = refs[ref][at[ref]]
        events.append(repository.push(**{ref.removeprefix("refs/heads/"): None if node == NONE else node[0]}))
    return repository, events, chance


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_where_no_push_is_lost_none_is_found_in_whatever_order_they_come_in(shared, history):
    repository, events, chance = told(*history)
    chance.shuffle(events)
    enter(shared, *events)
    for _ in range(2):
        assert not events or lost(shared, repository) == []


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_of_each_ref_exactly_the_push_that_is_lost_is_found(shared, history):
    refs, _ = history
    repository, events, chance = told(*history)
    missing = []
    for ref in refs:
        of_ref = [event for event in events if event.refs[0].ref == ref]
        if len(of_ref) > 1:
            # The first is only known to be one if the repository was looked at before it.
            gone = chance.choice(of_ref[1:])
            events.remove(gone)
            missing.append((ref, gone.refs[0].old, gone.refs[0].new))
    chance.shuffle(events)
    enter(shared, *events)
    if not events:
        return
    assert sorted(lost(shared, repository)) == sorted(move for move in missing if move[1] != move[2])
    recorded(shared, repository)
    assert lost(shared, repository) == []


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.integers(1, 6))
def test_several_that_are_lost_in_a_row_join_into_one(shared, history, most):
    repository, events, chance = told(*history)
    of_main = [event for event in events if event.refs[0].ref == MAIN]
    first = chance.randrange(1, max(2, len(of_main)))
    gone = of_main[first : first + most]
    enter(shared, *(event for event in events if event not in gone))
    if not gone or len(gone) == len(events):
        return
    old, new = gone[0].refs[0].old, gone[-1].refs[0].new
    assert lost(shared, repository) == ([] if old == new else [(MAIN, old, new)])


# --------------------------------------------------------------------------------------------------------------- first sight


def test_refs_that_were_there_at_first_sight_are_known(outbox, repository):
    repository.refs = {f"refs/heads/{number}": "e" * 40 for number in range(3)}
    enter(outbox, repository.push(main="a"))
    assert look(outbox, repository) == reconcile.Look(reconcile.newest(outbox, repository.path), compared=4)
    repository.push(new="b")
    enter(outbox, repository.push(main="b"))
    assert lost(outbox, repository) == [("refs/heads/new", NONE, "b" * 40)]


def test_a_loss_before_the_first_look_is_found(outbox, repository):
    enter(outbox, repository.push(main="a"))
    repository.push(main="b")
    assert lost(outbox, repository) == [(MAIN, "a" * 40, "b" * 40)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_a_hook_that_wrote_before_the_one_of_an_earlier_push_hides_no_start(outbox, repository, order):
    first, second, third = (repository.push(main=digit) for digit in "abc")
    skewed = [
        Event(each.id, "git", each.path, NOW + SKEW_S / 4 * (3 - at), "", "ssh", each.refs)
        for at, each in enumerate((first, second, third))
    ]
    enter(outbox, *(skewed[at] for at in order))
    assert lost(outbox, repository) == []


def test_what_was_guessed_is_known_after_an_hour(outbox, repository, clock):
    clock.now = NOW + 100
    enter(outbox, repository.push(main="a"), repository.push(main="b"))
    assert look(outbox, repository).lost == ()
    assert any(row["guessed"] for row in outbox.ask("ref_rows", repository=repository.path))
    clock.now += SETTLED_S + 100
    assert look(outbox, repository).lost == ()
    rows = [tuple(row) for row in outbox.ask("ref_rows", repository=repository.path)]
    assert rows == [(MAIN, "b" * 40, 1, 0, None)]


def test_refs_that_are_gone_leave_no_rows(outbox, repository):
    enter(outbox, repository.push(main="a"), repository.push(topic="b"), repository.push(topic=None))
    assert lost(outbox, repository) == []
    assert {row["ref"] for row in outbox.ask("ref_rows", repository=repository.path)} == {MAIN}
    repository.push(topic="c")
    enter(outbox, repository.push(topic="d"))
    assert lost(outbox, repository) == [(TOPIC, NONE, "c" * 40)]


# ----------------------------------------------------------------------------------------------------- what is no lost push


def test_a_hook_that_was_only_slow_makes_no_move_back(outbox, repository):
    enter(outbox, repository.push(main="a"))
    late = [repository.push(main="b"), repository.push(main="c")]
    [event] = recorded(outbox, repository)
    assert event.refs == (RefUpdate(MAIN, "a" * 40, "c" * 40),)
    enter(outbox, *late)
    assert lost(outbox, repository) == []
    repository.push(main="a")
    assert lost(outbox, repository) == [(MAIN, "c" * 40, "a" * 40)]


def test_what_a_command_in_the_repository_did_is_known(outbox, repository):
    enter(outbox, repository.push(main="a"))
    repository.push(main="b")
    repository.here = {(MAIN, "b" * 40)}
    assert lost(outbox, repository) == []
    repository.here = set()
    enter(outbox, repository.push(main="c"))
    assert lost(outbox, repository) == []


def test_a_push_to_a_symbolic_ref_moves_the_other(outbox, repository):
    repository.symbolic = {"refs/heads/alias": MAIN}
    enter(outbox, repository.push(main="a"), repository.push(alias="b"), repository.push(main="c"))
    for _ in range(2):
        assert lost(outbox, repository) == []
    enter(outbox, repository.push(alias="d"))
    assert lost(outbox, repository) == []
    repository.push(alias="e")
    assert lost(outbox, repository) == [(MAIN, "d" * 40, "e" * 40)]


def test_refs_that_count_from_now_on_are_known(outbox, repository):
    enter(outbox, repository.push(main="a"))
    assert lost(outbox, repository) == []
    repository.refs["refs/pull/1/head"] = "d" * 40
    assert lost(outbox, repository) == []
    repository.entries = (*SERVICE, Entry(None, "refs", "refs/heads/ refs/pull/", "config"))
    assert lost(outbox, repository) == []
    repository.refs["refs/pull/1/head"] = "e" * 40
    assert lost(outbox, repository) == [("refs/pull/1/head", "d" * 40, "e" * 40)]


@pytest.mark.parametrize(
    ("entries", "unwanted"),
    [
        ((), "no service is configured"),
        ((*SERVICE, Entry("ci", "enabled", "no", "config")), "no service is configured"),
        ((*SERVICE, Entry(None, "reconcile", "false", "config")), "oberon.reconcile is off"),
    ],
)
def test_what_nobody_wanted_to_know_is_known(outbox, repository, entries, unwanted):
    enter(outbox, repository.push(main="a"), repository.push(topic="a"))
    assert lost(outbox, repository) == []
    repository.entries = entries
    assert look(outbox, repository).unwanted == unwanted
    repository.push(main="b", topic=None, new="c")
    repository.entries = SERVICE
    assert lost(outbox, repository) == []
    repository.push(main="c")
    assert lost(outbox, repository) == [(MAIN, "b" * 40, "c" * 40)]


def test_after_an_outbox_was_set_aside_the_present_is_known(outbox, repository):
    salvage.take_over(outbox, salvage.Salvaged(Path("aside"), sequences=[(repository.path, 7)]))
    unfinished = repository.push(main="a")
    repository.push(main="b", topic="b")
    enter(outbox, unfinished)
    assert lost(outbox, repository) == []
    repository.push(main="c")
    assert lost(outbox, repository) == [(MAIN, "b" * 40, "c" * 40)]


def test_accepted_is_known_and_a_dry_look_changes_nothing(outbox, repository):
    enter(outbox, repository.push(main="a"))
    repository.push(main="b")
    for how in ({"keep": False}, {"accept": True, "keep": False}, {"keep": False}):
        before = outbox.ask("ref_rows", repository=repository.path), outbox.ask("known_repositories")
        look(outbox, repository, **how)
        assert (outbox.ask("ref_rows", repository=repository.path), outbox.ask("known_repositories")) == before
    look(outbox, repository, accept=True)
    assert lost(outbox, repository) == []


def test_what_the_hook_has_noted_for_nobody_counts_once_and_has_no_number(outbox, repository):
    enter(outbox, repository.push(main="a"))
    event = repository.push(main="b")
    for _ in range(2):
        assert outbox.add_event(event, only=[]) is None
    assert lost(outbox, repository) == []
    assert outbox.ask("sequence_of", repository=repository.path)[0]["sequence"] == 1
    assert [outbox.claim_event(60).event.refs[0].new for _ in range(1)] == ["a" * 40]
    assert outbox.claim_event(60) is None


# -------------------------------------------------------------------------------------------------------- what is recorded


def test_refs_that_moved_together_are_one_push_of_nobody(outbox, repository):
    enter(outbox, repository.push(main="a"))
    assert lost(outbox, repository) == []
    repository.push(main="b", topic="b")
    [event] = recorded(outbox, repository)
    assert event.refs == (RefUpdate(MAIN, "a" * 40, "b" * 40), RefUpdate(TOPIC, NONE, "b" * 40))
    assert (event.source, event.login, event.options, event.environment) == (RECONCILE, "", (), {"GL_REPO": "a/b"})


def test_a_push_lost_before_others_is_told_the_later_ones(outbox, repository):
    enter(outbox, repository.push(main="a"))
    gone = repository.push(main="b")
    later = repository.push(main="c")
    enter(outbox, later)
    [event] = recorded(outbox, repository)
    assert gone.time <= event.time < later.time
    claims = {claim.event.id: claim for claim in (outbox.claim_event(60) for _ in range(3))}
    assert later.id in {each.id for each in outbox.events_after(claims[event.id])}


def test_lost_at_two_times_the_ends_belong_together(outbox, repository):
    kept = [repository.push(main="a")]
    repository.push(main="b")
    kept.append(repository.push(main="c"))
    repository.push(main="d")
    kept.append(repository.push(main="e"))
    enter(outbox, *reversed(kept))
    assert sorted(lost(outbox, repository)) == [(MAIN, "a" * 40, "b" * 40), (MAIN, "c" * 40, "d" * 40)]


def test_found_by_two_at_once_it_is_one_event(outbox, repository):
    enter(outbox, repository.push(main="a"))
    repository.push(main="b")
    state_dir = outbox.path.rpartition("/")[0]
    found = look(outbox, repository)
    events = [reconcile.record(outbox, state_dir, repository.path, found, found.lost) for _ in range(2)]
    assert events[0] == events[1]
    take_all_in(outbox, state_dir)
    assert outbox.ask("sequence_of", repository=repository.path)[0]["sequence"] == 2
    enter(outbox, repository.push(main="a"))
    repository.push(main="b")
    assert recorded(outbox, repository)[0].id != events[0][0].id


def test_only_what_two_looks_find_alike_counts(outbox, repository):
    enter(outbox, repository.push(main="a", topic="a"))
    repository.push(main="b", topic="b")
    first = look(outbox, repository)
    late = repository.push(main="c")
    enter(outbox, late)
    second = look(outbox, repository)
    assert [each.move for each in first.again(second)] == [(MAIN, "a" * 40, "b" * 40), (TOPIC, "a" * 40, "b" * 40)]
    under_way = repository.push(topic="c")
    assert [each.move for each in second.again(look(outbox, repository))] == [(MAIN, "a" * 40, "b" * 40)]
    assert under_way.refs


def test_a_sha256_repository_has_zeros_of_its_length(outbox, repository):
    zeros, node = "0" * 64, "a" * 64
    repository.refs = {MAIN: node}
    event = Event(spool.new_id(), "git", repository.path, NOW, "ann", "ssh", (RefUpdate(MAIN, zeros, node),))
    enter(outbox, event)
    assert lost(outbox, repository) == []
    repository.refs = {}
    [event] = recorded(outbox, repository)
    assert event.refs == (RefUpdate(MAIN, node, zeros),)


def test_what_the_environment_was_outlives_the_events(outbox, repository):
    enter(outbox, repository.push(main="a"))
    assert lost(outbox, repository) == []
    with outbox.write():
        outbox._connection.execute("DELETE FROM event")
    repository.push(main="b")
    [event] = recorded(outbox, repository)
    assert event.environment == {"GL_REPO": "a/b"}


def test_a_push_of_many_refs_is_counted_in_quickly(outbox, repository):
    updates = tuple(RefUpdate(f"refs/tags/{number}", NONE, "a" * 40) for number in range(2000))
    repository.refs = {update.ref: update.new for update in updates}
    enter(outbox, Event(spool.new_id(), "git", repository.path, NOW, "ann", "ssh", updates))
    assert lost(outbox, repository) == []
    assert Counter(row["balance"] for row in outbox.ask("ref_rows", repository=repository.path)) == {1: 2000}


# --------------------------------------------------------------------------------------------------------------- Mercurial


class Mercurial:
    """A source of one repository whose reader tells what the test says; what it was told of the changelog is in `known`."""

    path = "/srv/hg/app"

    def configuration(self, path):
        assert path == self.path
        return Configuration.parse(SERVICE)

    def standing(self, path, settings, known):
        self.known = known
        return self.told


def test_the_changelog_is_known_as_far_as_nothing_is_missing(outbox):
    repository = Mercurial()
    enter(outbox, Event(spool.new_id(), "hg", repository.path, NOW, "ann", "ssh", first="a" * 40, last="b" * 40))
    repository.told = Changelog(5, "c" * 40, (("c" * 40, "c" * 40),))
    assert lost(outbox, repository) == [("", "c" * 40, "c" * 40)]
    assert repository.known == (None, "", (("a" * 40, "b" * 40),))
    [event] = recorded(outbox, repository)
    assert (event.first, event.last, event.refs) == ("c" * 40, "c" * 40, ())
    repository.told = Changelog(5, "c" * 40)
    assert lost(outbox, repository) == []
    assert repository.known == (None, "", (("a" * 40, "b" * 40), ("c" * 40, "c" * 40)))
    assert lost(outbox, repository) == []
    assert repository.known == (5, "c" * 40, ())
    look(outbox, repository, accept=True)
    assert lost(outbox, repository) == []
    assert repository.known == (None, "", ())
