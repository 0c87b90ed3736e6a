import os

import pytest

from brokers.delivery import disk, retention, schedule, statedir
from brokers.delivery.claims import NewDelivery
from brokers.delivery.outbox import FILE, Outbox
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate

DAY_S = 86_400.0


class Clock:
    now = 100_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(state_dir, clock):
    statedir.prepare(str(state_dir))
    with Outbox.open(str(state_dir), clock) as opened:
        opened._connection.execute("PRAGMA synchronous = OFF")  # quicker
        yield opened


def event(number=1):
    return Event(
        f"{number:032x}", "git", "/srv/git/app.git", 1.0, "git", "ssh", (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    )


def pushed(outbox, number, *verdicts, size=10):
    """A push with a delivery for each verdict: `skipped`, or how its first attempt ended; None leaves it waiting."""
    outbox.add_event(event(number))
    new = [
        NewDelivery(f"s{place}", "post", skipped="skipped: refs filter" if verdict is Verdict.SKIPPED else "")
        for place, verdict in enumerate(verdicts)
    ]
    claims = outbox.expand(outbox.claim_event(60), {"commits": ["x" * size]}, new, lease_s=60)
    for claim, verdict in zip(claims, (each for each in verdicts if each is not Verdict.SKIPPED), strict=True):
        if verdict is None:
            outbox.release(claim)
        else:
            outbox.finish(
                claim, Outcome(verdict, details={"printed": "y" * size}), outbox.now + 1.0 if verdict is Verdict.RETRY else None
            )
    return outbox.ask("deliveries_of", id=event(number).id)


def numbers(outbox):
    rows = outbox._connection.execute("SELECT id FROM event ORDER BY id").fetchall()
    return [int(row["id"], 16) for row in rows]


def test_pruning_forgets_what_is_done_and_keeps_the_rest(outbox, clock):
    pushed(outbox, 1, Verdict.DELIVERED, Verdict.SKIPPED)
    pushed(outbox, 2, Verdict.DELIVERED, Verdict.DEAD)
    pushed(outbox, 3, Verdict.RETRY)
    pushed(outbox, 4)
    outbox.add_event(event(5))
    outbox.add_event(event(6))
    outbox.fail_event(outbox.claim_event(60), "gone", None)
    assert retention.prune(outbox, DAY_S) == (0, False)
    clock.now += DAY_S + 1
    assert retention.prunable(outbox, DAY_S) == 2
    assert retention.prune(outbox, DAY_S) == (2, False)
    assert numbers(outbox) == [2, 3, 5, 6]
    assert outbox.ask("show_event", id=event(5).id)[0]["state"] == "dead"
    left = {table: outbox._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("delivery", "attempt")}
    assert left == {"delivery": 3, "attempt": 3}
    pushed(outbox, 7, Verdict.DELIVERED)
    assert outbox.ask("show_event", id=event(7).id)[0]["sequence"] == 7, "the numbering goes on"


def test_what_was_sent_again_counts_from_when_it_ended(outbox, clock):
    (delivery,) = pushed(outbox, 1, Verdict.DELIVERED)
    clock.now += 40 * DAY_S
    outbox.redeliver(delivery["id"])
    outbox.finish(outbox.claim_delivery(60, 4), Outcome(Verdict.DELIVERED), None)
    assert retention.prune(outbox, 30 * DAY_S) == (0, False)
    clock.now += 30 * DAY_S + 1
    assert retention.prune(outbox, 30 * DAY_S) == (1, False)


def test_no_transaction_is_long(outbox, clock):
    for number in range(1, 2 * retention.BATCH + 6):
        pushed(outbox, number)
    clock.now += DAY_S
    statements = []
    outbox._connection.set_trace_callback(statements.append)
    assert retention.prune(outbox, 1.0, for_s=0.0) == (retention.BATCH, True)
    assert retention.prune(outbox, 1.0) == (retention.BATCH + 5, False)
    assert statements.count("COMMIT") == 3


def test_forgetting_the_dead(outbox):
    dead, done = pushed(outbox, 1, Verdict.DEAD, Verdict.DELIVERED)
    (waiting,) = pushed(outbox, 2, Verdict.RETRY)
    (alone,) = pushed(outbox, 3, Verdict.DEAD)
    chosen = [dead["id"], waiting["id"], alone["id"], 4711]
    assert retention.forget_deliveries(outbox, chosen) == [dead["id"], alone["id"]]
    assert numbers(outbox) == [1, 2]
    assert [row["id"] for row in outbox.ask("deliveries_of", id=event(1).id)] == [done["id"]]
    assert retention.forget_pushes(outbox, [event(number).id for number in (1, 2, 9)]) == [event(1).id]
    assert numbers(outbox) == [2]


def test_a_push_that_is_not_read_is_forgotten_only_when_it_was_given_up(outbox):
    outbox.add_event(event(1))
    assert retention.forget_pushes(outbox, [event(1).id]) == []
    outbox.fail_event(outbox.claim_event(60), "gone", None)
    assert retention.forget_pushes(outbox, [event(1).id]) == [event(1).id]


def test_the_file_shrinks_and_the_journal_is_emptied(outbox, state_dir, clock, monkeypatch):
    monkeypatch.setattr(retention, "MOST_FREE_PAGES", 10)
    for number in range(1, 101):
        pushed(outbox, number, Verdict.DELIVERED, size=20_000)
    outbox.checkpoint()
    full = (state_dir / FILE).stat().st_size
    assert full > 4_000_000
    clock.now += DAY_S
    assert retention.prune(outbox, 1.0) == (100, False)
    assert retention.compact(outbox, for_s=0.0), "there is more to do"
    assert not retention.compact(outbox)
    assert (state_dir / FILE).stat().st_size < full / 20
    assert (state_dir / f"{FILE}-wal").stat().st_size == 0


def test_a_reader_is_not_waited_for(outbox, state_dir, clock):
    pushed(outbox, 1, Verdict.DELIVERED)
    with Outbox.open(str(state_dir), clock) as other:
        other._connection.execute("BEGIN")
        other.ask("count_events")
        pushed(outbox, 2, Verdict.DELIVERED)
        assert not retention.compact(outbox)
        assert (state_dir / f"{FILE}-wal").stat().st_size > 0
        other._connection.execute("ROLLBACK")
    assert outbox._connection.execute("PRAGMA busy_timeout").fetchone()[0] == 30_000


# ------------------------------------------------------------------------------------------------------------- the clock


def test_no_schedule_reaches_further_than_what_is_taken_for_another_clock():
    waits = [
        schedule.delay_s((wait_s,), 1, after_s=after_s, spread=lambda _, most: most)
        for wait_s in (5.0, 10 * 3600.0, 24 * 3600.0, 48 * 3600.0)
        for after_s in (None, 1e9)
    ]
    assert max(waits) < retention.LONGEST_WAIT_S


@pytest.mark.parametrize("back_s", [2 * DAY_S, 400 * DAY_S])
def test_after_the_clock_was_set_back_nothing_is_stuck(outbox, clock, back_s):
    pushed(outbox, 1, Verdict.RETRY)
    outbox.add_event(event(2))
    outbox.fail_event(outbox.claim_event(60), "not now", clock.now + 5)
    pushed(outbox, 3, None, None)
    crashed = outbox.claim_delivery(60, 4)  # by a worker that is gone
    outbox._connection.execute("INSERT INTO breaker VALUES ('ci:443', 5, ?, ?, 3)", (clock.now, clock.now + 80))
    clock.now -= back_s
    assert outbox.claim_event(60) is None
    assert outbox.claim_delivery(60, 4) is None
    assert retention.mend_times(outbox) == 5
    assert retention.mend_times(outbox) == 0
    assert outbox.claim_event(60).event == event(2)
    assert {outbox.claim_delivery(60, 4).event for _ in range(2)} == {event(1).id, event(3).id}
    assert outbox.claim_delivery(60, 4) is None, "its lease may still be somebody's"
    clock.now += retention.LEASE_LEFT_S + 1
    assert crashed.id in {outbox.claim_delivery(60, 4).id for _ in range(3)}
    (open_until,) = outbox._connection.execute("SELECT open_until FROM breaker").fetchone()
    assert open_until <= clock.now


def test_what_is_due_later_by_the_schedule_is_left_alone(outbox, clock):
    for number in (1, 2):
        pushed(outbox, number, None)
    outbox.finish(outbox.claim_delivery(60, 4), Outcome(Verdict.RETRY, after_s=1e9), clock.now + schedule.LONGEST_S)
    outbox.claim_delivery(60, 4)
    outbox._connection.execute("INSERT INTO breaker VALUES ('ci:443', 5, ?, ?, 3)", (clock.now, clock.now + 3600))
    assert retention.mend_times(outbox) == 0


# ---------------------------------------------------------------------------------------------------------------- upkeep


def test_the_worker_sees_to_it_once_a_minute(outbox, state_dir, clock):
    ticks = Clock()
    upkeep = retention.Upkeep(outbox, str(state_dir), DAY_S, ticks)
    pushed(outbox, 1, Verdict.DELIVERED)
    stale = state_dir / "spool" / "tmp" / "stale"
    stale.touch()
    os.utime(stale, (clock.now, clock.now))
    upkeep.run()
    assert (state_dir / disk.BALLAST).exists()
    clock.now += 2 * DAY_S
    upkeep.run()
    assert numbers(outbox) == [1]
    ticks.now += retention.EVERY_S
    upkeep.run()
    assert numbers(outbox) == []
    assert not stale.exists()


def test_more_than_it_does_at_a_time_is_soon_gone_on_with(outbox, state_dir, clock, monkeypatch):
    monkeypatch.setattr(retention, "AT_A_TIME_S", 0.0)
    ticks = Clock()
    upkeep = retention.Upkeep(outbox, str(state_dir), 1.0, ticks)
    for number in range(1, retention.BATCH + 3):
        pushed(outbox, number)
    clock.now += DAY_S
    upkeep.run()
    assert len(numbers(outbox)) == 2
    ticks.now += retention.AGAIN_S
    upkeep.run()
    assert numbers(outbox) == []
