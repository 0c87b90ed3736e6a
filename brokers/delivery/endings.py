"""How attempts ended, written down many at a time in one transaction, with what follows from it.

Functions over a transaction of the outbox (`Database.write`); `run` runs a statement by its name. As many statements for a
hundred as for one, as in `due`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from brokers.delivery import consequences
from brokers.delivery.breaker import Run
from brokers.delivery.claims import DeliveryClaim
from brokers.delivery.outcome import Outcome, State, Verdict
from payload import text

_STATE_AFTER = {
    Verdict.DELIVERED: State.DELIVERED,
    Verdict.DEAD: State.DEAD,
    Verdict.SKIPPED: State.SKIPPED,
}


class Ended(NamedTuple):
    """An attempt that has ended."""

    claim: DeliveryClaim
    outcome: Outcome
    next_at: float | None
    """When a RETRY is due; None ends it as dead."""

    @property
    def state(self) -> State:
        """The one that the delivery is in from now on."""
        return _STATE_AFTER.get(self.outcome.verdict) or (State.DEAD if self.next_at is None else State.WAITING)


def write_down(run: Run, now: float, ended: Sequence[Ended]) -> set[int]:
    """The attempts, the states of the deliveries, and what follows; the ids of those whose lease held.

    Of the others another worker has the delivery, and only the attempt is recorded.
    """
    run("add_attempts", attempts=json.dumps([_attempt(end, now) for end in ended]))
    deliveries = json.dumps([_delivery(end) for end in ended])
    held = dict(json.loads(run("held_deliveries", ended=deliveries).fetchone()["held"]))
    run("finish_deliveries", ended=deliveries, now=now)
    has_failed = False  # one of them, which counts against its endpoint until the next is delivered
    for end in ended:
        if end.claim.id not in held:
            continue
        is_delivered = end.outcome.verdict is Verdict.DELIVERED
        if not is_delivered or has_failed or held[end.claim.id]:
            consequences.follow(run, end.claim, end.outcome, end.state, now)
        has_failed |= not is_delivered
    return set(held)


def _attempt(end: Ended, now: float) -> tuple[object, ...]:
    """As `add_attempts` takes it."""
    outcome = end.outcome
    return (
        end.claim.id,
        end.claim.attempts,
        now - outcome.duration_s,
        outcome.duration_s,
        outcome.verdict,
        text.repair(outcome.reason),
        outcome.details,
    )


def _delivery(end: Ended) -> tuple[object, ...]:
    """As `finish_deliveries` takes it."""
    return end.claim.id, end.claim.lease, end.state, text.repair(end.outcome.reason), text.repair(end.outcome.note), end.next_at
