import pytest

from brokers.config import Settings
from brokers.delivery.claims import DeliveryClaim
from brokers.delivery.outcome import Outcome, Verdict
from brokers.delivery.schedule import delay_s, next_attempt

RETRY_S = Settings().retry_s


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def claim(attempts=1, scheduled=1, created_at=1000.0):
    return DeliveryClaim(1, "e", "git", "/r", "ci", "", attempts, scheduled, 0, created_at, {}, "lease")


def test_the_default_schedule_is_the_documented_one():
    waits = [delay_s(RETRY_S, attempt, spread=middle) for attempt in range(1, 11)]
    assert waits == [5, 30, 120, 600, 1800, 7200, 18000, 36000, 36000, None]
    assert sum(wait for wait in waits if wait) == 27 * 3600 + 42 * 60 + 35


def test_each_wait_is_spread_by_a_fifth():
    waits = [delay_s(RETRY_S, 4) for _ in range(500)]
    assert all(480 <= wait <= 720 for wait in waits)
    assert max(waits) - min(waits) > 100


@pytest.mark.parametrize(
    ("after_s", "slow_down", "expected"),
    [
        pytest.param(45, False, 45, id="between base and twice base: as asked"),
        pytest.param(1, False, 30, id="sooner than the schedule: the schedule"),
        pytest.param(-5, False, 30, id="negative"),
        pytest.param(1e99, False, 60, id="absurd"),
        pytest.param(1, True, 60, id="429 waits a minute at least"),
        pytest.param(None, True, 60, id="a time-out waits a minute at least"),
        pytest.param(None, False, 30, id="nothing asked"),
    ],
)
def test_what_the_receiver_asks_is_clamped(after_s, slow_down, expected):
    assert delay_s(RETRY_S, 2, after_s=after_s, slow_down=slow_down, spread=middle) == expected


def test_a_failed_delivery_is_due_again_after_the_wait_of_its_attempt():
    next_at, outcome = next_attempt(claim(), Outcome(Verdict.RETRY, "refused"), (100.0,), None, 1000.0)
    assert next_at is not None
    assert 1080 <= next_at <= 1120
    assert outcome.verdict is Verdict.RETRY


def test_the_last_attempt_ends_it_and_says_what_was_wrong():
    next_at, outcome = next_attempt(claim(attempts=7, scheduled=2), Outcome(Verdict.RETRY, "refused"), (100.0,), None, 1000.0)
    assert next_at is None
    assert outcome.verdict is Verdict.DEAD
    assert outcome.reason == "given up after 7 attempts; last: refused"


def test_what_would_be_older_than_its_greatest_age_is_given_up():
    next_at, outcome = next_attempt(claim(created_at=0), Outcome(Verdict.RETRY, "refused"), (100.0,), 60.0, 1000.0)
    assert (next_at, outcome.reason) == (None, "given up: older than maxAge; last: refused")


@pytest.mark.parametrize("verdict", [Verdict.DELIVERED, Verdict.DEAD, Verdict.SKIPPED])
def test_only_failures_are_tried_again(verdict):
    outcome = Outcome(verdict)
    assert next_attempt(claim(), outcome, RETRY_S, None, 0.0) == (None, outcome)
