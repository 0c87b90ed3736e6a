"""How attempts ended, written down many at a time in one transaction, with what follows from it.

Functions over a transaction of the outbox (`Database.write`); `run` runs a statement by its name. As many statements for a
hundred as for one: each lets the pool's threads have the interpreter, and has to wait to get it back.
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
    finished = run("finish_deliveries", ended=json.dumps([_delivery(end) for end in ended]), now=now).fetchall()
    held = {row["id"] for row in finished}
    delivered = [end.claim.id for end in ended if end.outcome.verdict is Verdict.DELIVERED]
    in_trouble = {row["id"] for row in run("in_trouble", ids=json.dumps(delivered))} if delivered else set()
    for end in ended:
        if end.claim.id in held and (end.outcome.verdict is not Verdict.DELIVERED or end.claim.id in in_trouble):
            consequences.follow(run, end.claim, end.outcome, end.state, now)
    return held


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
        json.dumps(outcome.details),
    )


def _delivery(end: Ended) -> tuple[object, ...]:
    """As `finish_deliveries` takes it."""
    return end.claim.id, end.claim.lease, end.state, text.repair(end.outcome.reason), text.repair(end.outcome.note), end.next_at
