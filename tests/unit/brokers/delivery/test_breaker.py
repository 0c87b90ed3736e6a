"""An endpoint that fails is left alone, one try at a time, and nothing that waits for it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.delivery import breaker, control, schedule, statedir
from brokers.delivery.claims import NewDelivery
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate
from tests.support.clock import Clock

DOWN = Outcome(Verdict.RETRY, "refused", reached=False)
REFUSED = Outcome(Verdict.RETRY, "HTTP 404", reached=True)
FAULTY = Outcome(Verdict.RETRY, "KeyError", reached=None)
UP = Outcome(Verdict.DELIVERED, reached=True)
RETRY_S = (5.0, 30.0, 120.0, 600.0, 1800.0)
PER_HOST = 8


def enter(outbox, number, endpoint="ci:443", service="ci", **options):
    refs = (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    outbox.add_event(Event(f"{number:032x}", "git", "/srv/git/app.git", 1.0, "git", "ssh", refs))
    claim = outbox.claim_event(60)
    outbox.expand(claim, {"commits": [], "oberon": {"refs": []}}, [NewDelivery(service, "post", endpoint, **options)])


def attempt(outbox, clock, outcome):
    """One claim and its end; the delivery's number, None if none is due."""
    claim = outbox.claim_delivery(60, PER_HOST)
    if claim is None:
        return None
    next_at, outcome = schedule.next_attempt(claim, outcome, RETRY_S, None, clock.now)
    assert outbox.finish(claim, outcome, next_at)
    return claim.id


def broken(outbox, clock, waiting=1):
    """The breaker just opened by its fifth failure, and `waiting` deliveries more that were never tried."""
    for number in range(breaker.OPENS_AFTER + waiting):
        enter(outbox, number)
    for _ in range(breaker.OPENS_AFTER):
        assert attempt(outbox, clock, DOWN) is not None


def states(outbox):
    return {row["id"]: row["state"] for row in outbox.ask("list_deliveries", **NOTHING_ASKED)}


NOTHING_ASKED = {"repository": None, "service": None, "state": None, "failed": False, "since": None, "most": -1}


def test_after_five_failures_in_a_row_what_waits_is_parked(outbox, clock):
    broken(outbox, clock, waiting=3)
    assert attempt(outbox, clock, DOWN) is None
    assert set(states(outbox).values()) == {"parked"}
    assert outbox.next_due_at() == clock.now + breaker.FIRST_PROBE_S


@pytest.mark.parametrize("between", [UP, REFUSED])
def test_an_answer_in_between_begins_the_count_anew(outbox, clock, between):
    for number in range(12):
        enter(outbox, number)
    for _ in range(4):
        attempt(outbox, clock, DOWN)
    attempt(outbox, clock, between)
    for _ in range(4):
        attempt(outbox, clock, DOWN)
    assert attempt(outbox, clock, UP) is not None


@pytest.mark.parametrize("outcome", [REFUSED, FAULTY], ids=["404", "the broker's fault"])
def test_what_says_nothing_of_the_endpoint_never_opens_it(outbox, clock, outcome):
    for number in range(12):
        enter(outbox, number)
    assert None not in [attempt(outbox, clock, outcome) for _ in range(12)]


def test_other_endpoints_and_those_without_one_go_on(outbox, clock):
    broken(outbox, clock)
    enter(outbox, 100, "chat:443", "chat")
    enter(outbox, 101, "", "file")
    assert None not in [attempt(outbox, clock, UP) for _ in range(2)]
    assert attempt(outbox, clock, UP) is None


def test_probes_come_one_at_a_time_and_ever_less_often(outbox, clock):
    broken(outbox, clock, waiting=20)
    waits = []
    opened = clock.now
    for _ in range(12):
        clock.now = outbox.next_due_at()
        waits.append(clock.now - opened)
        claim = outbox.claim_delivery(60, PER_HOST)
        assert outbox.claim_delivery(60, PER_HOST) is None, "while the probe is under way"
        opened = clock.now
        assert outbox.finish(claim, DOWN, clock.now + 90_000)
    assert waits == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]


def test_a_probe_whose_worker_is_killed_is_followed_by_the_next(outbox, clock):
    broken(outbox, clock, waiting=2)
    clock.now += breaker.FIRST_PROBE_S
    assert outbox.claim_delivery(5, PER_HOST) is not None
    clock.now += breaker.wait_s(1)
    assert outbox.claim_delivery(5, PER_HOST) is not None


def test_the_next_worker_does_not_wait_for_the_probe_of_a_killed_one(outbox, clock):
    broken(outbox, clock, waiting=2)
    clock.now += breaker.FIRST_PROBE_S
    outbox.claim_delivery(60, PER_HOST)
    assert outbox.end_leases_of_workers() == 1
    assert outbox.claim_delivery(60, PER_HOST) is None
    assert outbox.next_due_at() == clock.now + breaker.wait_s(1)


def test_a_probe_that_is_given_back_is_made_again_at_once(outbox, clock):
    broken(outbox, clock, waiting=2)
    clock.now += breaker.FIRST_PROBE_S
    assert outbox.release(outbox.claim_delivery(60, PER_HOST))
    assert outbox.next_due_at() <= clock.now
    assert outbox.claim_delivery(60, PER_HOST) is not None
    assert outbox.claim_delivery(60, PER_HOST) is None


def test_what_was_claimed_before_the_breaker_opened_and_is_given_back_is_no_probe(outbox, clock):
    for number in range(breaker.OPENS_AFTER + 1):
        enter(outbox, number)
    ahead = outbox.claim_delivery(60, PER_HOST)
    for _ in range(breaker.OPENS_AFTER):
        assert attempt(outbox, clock, DOWN) is not None
    assert outbox.release(ahead)
    assert outbox.claim_delivery(60, PER_HOST) is None
    assert outbox.next_due_at() == clock.now + breaker.FIRST_PROBE_S


def test_when_it_is_back_what_was_parked_goes_out_oldest_first_and_four_at_once(outbox, clock):
    broken(outbox, clock, waiting=10)
    clock.now += breaker.FIRST_PROBE_S
    first = outbox.claim_delivery(60, PER_HOST)
    outbox.finish(first, UP, None)
    clock.now += 1  # what comes now is due now, and not drained
    order = []
    while claims := outbox.claim_deliveries(60, PER_HOST, PER_HOST):
        assert len(claims) <= breaker.DRAINING
        order += [claim.id for claim in claims]
        for claim in claims:
            outbox.finish(claim, UP, None)
    never_tried = [number for number in order if number > breaker.OPENS_AFTER]
    assert never_tried == sorted(never_tried)
    assert len({first.id, *order} - set(range(1, breaker.OPENS_AFTER + 1))) == 10
    enter_many = range(1000, 1010)
    for number in enter_many:
        enter(outbox, number)
    assert len(outbox.claim_deliveries(60, PER_HOST, 10)) == PER_HOST, "drained, it has its whole share again"


def test_a_service_that_is_switched_on_is_tried_at_once_and_once(outbox, clock):
    broken(outbox, clock, waiting=2)
    enter(outbox, 50, service="other")
    control.disable(outbox, "ci", None, "")
    assert control.enable(outbox, "ci", None) == breaker.OPENS_AFTER + 2
    assert attempt(outbox, clock, DOWN) == 1, "the oldest is the probe"
    assert outbox.claim_delivery(60, PER_HOST) is None
    control.disable(outbox, "ci", None, "")
    control.enable(outbox, "ci", None)
    assert attempt(outbox, clock, UP) == 1
    assert outbox.next_due_at() == clock.now


def test_a_delivery_entered_while_it_is_open_waits_for_the_next_probe(outbox, clock):
    broken(outbox, clock)
    enter(outbox, 100)
    assert attempt(outbox, clock, UP) is None
    assert outbox.next_due_at() == clock.now + breaker.FIRST_PROBE_S


def test_ordered_deliveries_stay_in_order_through_an_outage(outbox, clock):
    for number in range(4):
        enter(outbox, number, ordered=True)
    had = []
    for _ in range(200):
        due = outbox.next_due_at()
        if due is None:
            break
        clock.now = max(clock.now, due)
        is_down = clock.now < 1_000_000 + 700
        number = attempt(outbox, clock, DOWN if is_down else UP)
        if number is not None and not is_down:
            had.append(number)
    assert had == [1, 2, 3, 4]


@given(
    steps=st.lists(st.sampled_from(["enter", "down", "up", "refused", "faulty", "killed", "wait"]), max_size=60),
    per_host=st.integers(1, 6),
)
def test_nothing_is_lost_and_an_open_breaker_lets_one_through(tmp_path_factory, steps, per_host):
    state = str(tmp_path_factory.mktemp("state"))
    statedir.prepare(state)
    clock = Clock()
    outcomes = {"down": DOWN, "up": UP, "refused": REFUSED, "faulty": FAULTY}
    with Outbox.open(state, clock) as outbox:
        entered = delivered = 0
        for step in steps:
            clock.now += 1
            if step == "enter":
                enter(outbox, entered)
                entered += 1
            elif step == "wait":
                clock.now = max(clock.now, outbox.next_due_at() or 0.0)
            else:
                open_before = [row for row in outbox.ask("list_breakers") if row["open_until"] is not None]
                claims = outbox.claim_deliveries(30, per_host, 10)
                assert len(claims) <= (1 if open_before else per_host)
                assert all(row["open_until"] <= clock.now for row in open_before) or not claims
                for claim in claims if step != "killed" else ():
                    next_at, outcome = schedule.next_attempt(claim, outcomes[step], RETRY_S * 20, None, clock.now)
                    assert outbox.finish(claim, outcome, next_at)
                    delivered += step == "up"
        for _ in range(20 * entered):
            due = outbox.next_due_at()
            if due is None:
                break
            clock.now = max(clock.now + 1, due + 1)
            delivered += attempt(outbox, clock, UP) is not None
        assert delivered == entered
        assert outbox.ask("list_breakers") == []
