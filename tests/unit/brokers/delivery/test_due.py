"""Whose turn it is, where many are claimed at once."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.delivery import due, statedir
from brokers.delivery.claims import NewDelivery
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate
from tests.support.clock import Clock

COMPOSED = {"commits": [], "oberon": {"refs": []}}


def read(outbox, number, *deliveries, path="/srv/git/app.git", composed=COMPOSED):
    """An event entered and read, with these deliveries."""
    refs = (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    outbox.add_event(Event(f"{number:032x}", "git", path, 1.0, "git", "ssh", refs))
    outbox.expand(outbox.claim_event(60), composed, deliveries)


def to(service, endpoint="", **options):
    return NewDelivery(service, "post", endpoint=endpoint, **options)


def test_the_longest_due_come_first_and_no_endpoint_gets_more_than_its_share(outbox, clock):
    read(outbox, 1, to("a", "ci:443"), to("b", "ci:443"), to("c", "ci:443"), to("d", "chat:443"))
    clock.now += 1
    read(outbox, 2, to("e", "ci:443"), to("f", "chat:443"), to("g"))
    claims = outbox.claim_deliveries(60, 2, 10)
    assert [claim.service for claim in claims] == ["a", "b", "d", "f", "g"]
    assert len({claim.lease for claim in claims}) == len(claims)
    assert outbox.claim_deliveries(60, 2, 10) == []
    outbox.finish(claims[1], Outcome(Verdict.DELIVERED), None)
    assert [claim.service for claim in outbox.claim_deliveries(60, 2, 10)] == ["c"]


def test_a_full_endpoint_holds_up_no_other_behind_it(outbox):
    for number in range(20):
        read(outbox, number, to("ci", "ci:443"))
    read(outbox, 20, to("chat", "chat:443"))
    assert Counter(claim.service for claim in outbox.claim_deliveries(60, 2, 4)) == {"ci": 2, "chat": 1}


def test_of_each_line_the_first(outbox, clock):
    for number, path in enumerate(("/srv/git/a.git", "/srv/git/a.git", "/srv/git/b.git", "/srv/git/b.git")):
        read(outbox, number, to("ci", ordered=True), to("deploy", ordered=True), to("mail"), path=path)
    claims = outbox.claim_deliveries(60, 4, 100)
    assert Counter((claim.repository, claim.service) for claim in claims if claim.service != "mail") == {
        (path, service): 1 for path in ("/srv/git/a.git", "/srv/git/b.git") for service in ("ci", "deploy")
    }
    assert sum(claim.service == "mail" for claim in claims) == 4
    held_up, *others = claims
    for claim in others:
        outbox.finish(claim, Outcome(Verdict.DELIVERED), None)
    outbox.finish(held_up, Outcome(Verdict.RETRY, "refused"), clock.now + 5)
    behind = outbox.claim_deliveries(60, 4, 100)
    assert len(behind) == 3
    assert (held_up.repository, held_up.service) not in {(claim.repository, claim.service) for claim in behind}
    for claim in behind:
        outbox.finish(claim, Outcome(Verdict.DELIVERED), None)
    assert outbox.next_due_at() == clock.now + 5, "nobody else has anything to wait for"


def test_a_push_that_is_not_read_holds_up_the_line_behind_it(outbox, clock):
    refs = (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    outbox.add_event(Event(f"{1:032x}", "git", "/srv/git/app.git", 1.0, "git", "ssh", refs))
    unread = outbox.claim_event(60)
    read(outbox, 2, to("ci", ordered=True), to("mail"))
    assert [claim.service for claim in outbox.claim_deliveries(60, 4, 10)] == ["mail"]
    outbox.fail_event(unread, "gone", None)
    assert [claim.service for claim in outbox.claim_deliveries(60, 4, 10)] == ["ci"]


def test_what_a_worker_was_killed_with_comes_last(outbox, clock):
    for number in range(3):
        read(outbox, number, to("ci"))
    outbox.claim_deliveries(10, 4, 2)
    clock.now += 20
    read(outbox, 3, to("ci"))
    first = outbox.claim_deliveries(60, 4, 10)
    assert [bool(claim.interrupted) for claim in first] == [True], "it has been due longest, and is alone"
    assert [bool(claim.interrupted) for claim in outbox.claim_deliveries(60, 4, 10)] == [True]
    assert [bool(claim.interrupted) for claim in outbox.claim_deliveries(60, 4, 10)] == [False, False]


def test_of_a_quick_endpoint_more_are_claimed_than_there_are_threads(outbox):
    for number in range(20):
        read(outbox, number, to("ci", "ci:443"), to("chat", "chat:443"), to("mail"))
    first = outbox.claim_deliveries(60, 2, 4, quick={"ci:443"}, ahead=5)
    assert Counter(claim.service for claim in first) == {"ci": 7, "chat": 1, "mail": 1}, "four in turn, and five more of ci"
    assert [claim.id for claim in first] == sorted(claim.id for claim in first)
    assert outbox.claim_deliveries(60, 2, 0, quick={"ci:443"}, ahead=5) == [], "ci has its share of two, and five more"
    outbox.finish(next(claim for claim in first if claim.service == "ci"), Outcome(Verdict.DELIVERED), None)
    assert [claim.service for claim in outbox.claim_deliveries(60, 2, 0, quick={"ci:443"}, ahead=5)] == ["ci"]
    assert Counter(claim.service for claim in outbox.claim_deliveries(60, 2, 3)) == {"chat": 1, "mail": 2}


def test_ahead_are_claimed_no_more_payloads_than_memory_is_for(outbox, monkeypatch):
    monkeypatch.setattr(due, "AHEAD_CHARS", 10_000)
    for number in range(10):
        read(outbox, number, to("ci", "ci:443"), composed={**COMPOSED, "commits": ["x" * 3000]})
    ahead = {"quick": {"ci:443"}, "ahead": 10}
    assert len(outbox.claim_deliveries(60, 4, 0, **ahead)) == 3
    assert len(outbox.claim_deliveries(60, 4, 5, **ahead)) == 5, "as many as threads are free for, however long they are"


def test_nothing_is_claimed_ahead_while_a_breaker_says_how_many(outbox, clock):
    for number in range(20):
        read(outbox, number, to("ci", "ci:443"))
    down = Outcome(Verdict.RETRY, "refused", reached=False)
    for _ in range(5):
        [claim] = outbox.claim_deliveries(60, 4, 1)
        outbox.finish(claim, down, clock.now + 1000)
    ahead = {"quick": {"ci:443"}, "ahead": 8}
    assert outbox.claim_deliveries(60, 4, 4, **ahead) == []
    clock.now += 10
    [probe] = outbox.claim_deliveries(60, 4, 4, **ahead)
    outbox.finish(probe, Outcome(Verdict.DELIVERED, reached=True), None)
    assert len(outbox.claim_deliveries(60, 8, 8, **ahead)) == 4, "it is drained, four at once"


@settings(max_examples=40)
@given(
    pushes=st.lists(st.lists(st.sampled_from("abc"), max_size=3, unique=True), max_size=12),
    quick=st.frozensets(st.sampled_from("abcd")),
    per_endpoint=st.integers(1, 3),
    most=st.integers(0, 6),
    ahead=st.integers(0, 6),
)
def test_ahead_comes_only_what_is_quick_and_no_more_than_was_asked_for(
    tmp_path_factory, pushes, quick, per_endpoint, most, ahead
):
    folder = str(tmp_path_factory.mktemp("state"))
    statedir.prepare(folder)
    with Outbox.open(folder, Clock()) as outbox:
        for number, names in enumerate(pushes):
            read(outbox, number, *(to(name, name) for name in names))
        waiting = Counter(name for names in pushes for name in names)
        claims = outbox.claim_deliveries(60, per_endpoint, most, quick=quick, ahead=ahead)
    claimed = Counter(claim.endpoint for claim in claims)
    for name, n in claimed.items():
        assert n <= per_endpoint + (ahead if name in quick else 0)
    assert len(claims) <= most + (ahead if quick else 0)
    assert all(claim.endpoint in quick for claim in claims[most:])
    for name in quick & waiting.keys():  # nothing is left of it without a reason
        assert claimed[name] in (waiting[name], per_endpoint + ahead) or len(claims) == most + ahead


@settings(max_examples=25)
@given(
    pushes=st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=3, unique_by=lambda row: row[0]), max_size=8
    ),
    shares=st.lists(st.integers(1, 4), min_size=1, max_size=4),
)
def test_many_at_once_are_those_that_would_come_one_by_one(tmp_path_factory, pushes, shares):
    folders = [str(tmp_path_factory.mktemp("state")) for _ in range(2)]
    clock = Clock()
    for folder in folders:
        statedir.prepare(folder)
    with Outbox.open(folders[0], clock) as one, Outbox.open(folders[1], clock) as other:
        for number, rows in enumerate(pushes):
            for outbox in (one, other):
                read(outbox, number, *(to(name, f"{name}:443", ordered=ordered) for name, ordered in rows))
        for share in shares:
            single = [claim for _ in range(4) if (claim := one.claim_delivery(60, share)) is not None]
            many = other.claim_deliveries(60, share, 4)
            assert [claim.id for claim in many] == [claim.id for claim in single]
            for outbox, claims in ((one, single), (other, many)):
                for claim in claims[::2]:
                    outbox.finish(claim, Outcome(Verdict.DELIVERED), None)
