"""When to try again.

The default waits, 5 s to 10 h over 27 h 42 m, are dense at first because what fails at self-hosted receivers is a restart of
a few minutes. Each is spread by +-20 %, so that a receiver that comes back is not met by everyone at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from brokers.delivery.claims import DeliveryClaim
from brokers.delivery.outcome import Outcome, Verdict

JITTER = 0.2
SLOW_DOWN_S = 60.0  # at least, after 429 and time-outs
LONGEST_S = 24 * 3600.0  # whatever is configured, or asked for; what is due later was put off by another clock (`retention.py`)


def delay_s(
    retry_s: Sequence[float],
    attempts: int,
    *,
    after_s: float | None = None,
    slow_down: bool = False,
    spread: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Seconds to wait after the attempt number `attempts` (the first is 1) failed; None: that was the last.

    `after_s` is what the receiver (`Retry-After`) asked for: obeyed between the scheduled wait and twice it, so that a receiver
    can slow us down but neither hurry us nor put us off for ever. `slow_down` waits at least SLOW_DOWN_S. No wait is longer than
    LONGEST_S.
    """
    if attempts > len(retry_s):
        return None
    base = retry_s[attempts - 1]
    least = max(base, SLOW_DOWN_S) if slow_down else base
    if after_s is not None:
        return min(max(after_s, least), max(2 * base, least), LONGEST_S)
    drawn = spread(1 - JITTER, 1 + JITTER)
    return min(max(base * drawn, least if slow_down else 0.0), LONGEST_S)


def next_attempt(
    claim: DeliveryClaim, outcome: Outcome, retry_s: Sequence[float], max_age_s: float | None, now: float
) -> tuple[float | None, Outcome]:
    """When a failed delivery is due again, in Unix seconds; None, with the reason completed, if it is given up.

    `max_age_s` counts from when the delivery was entered or last sent again by hand; None: no limit.
    """
    if outcome.verdict is not Verdict.RETRY:
        return None, outcome
    wait_s = delay_s(retry_s, claim.scheduled_attempts, after_s=outcome.after_s, slow_down=outcome.slow_down)
    if wait_s is None:
        return None, _given_up(outcome, f"given up after {claim.attempts} attempts")
    if max_age_s is not None and now + wait_s > claim.created_at + max_age_s:
        return None, _given_up(outcome, "given up: older than maxAge")
    return now + wait_s, outcome


def _given_up(outcome: Outcome, why: str) -> Outcome:
    return replace(outcome, verdict=Verdict.DEAD, reason=f"{why}; last: {outcome.reason}")
