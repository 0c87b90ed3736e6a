"""Deliveries being attempted: the broker's call in a pool's thread, and how it ended. All but `run` is called by the worker's loop.

Deliveries to an endpoint that answers quickly are claimed AHEAD of the threads that will attempt them: so one turn of the loop,
with its wait for the disk, does for many. What turns out to wait longer than that is worth is given back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from brokers.delivery import schedule
from brokers.delivery.attempt import attempt
from brokers.delivery.claims import Claim, DeliveryClaim
from brokers.delivery.due import AHEAD_CHARS
from brokers.delivery.endings import Ended
from brokers.delivery.filters import concerns
from brokers.delivery.job import Job
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import TIMED_OUT, Outcome, Verdict, reason_of
from brokers.delivery.pool import Pool
from brokers.delivery.readings import EVENT_RETRY_S
from brokers.errors import BrokerError
from payload.text import visible

if TYPE_CHECKING:
    from brokers.delivery.worker import Worker

log = logging.getLogger("oberon.worker")

CONFIGURE_TIMEOUT_S = 30.0  # to read a repository's configuration
GRACE_S = 0.2  # between the transport's own deadline and giving up the thread
QUICK_S = 0.1  # an attempt that took no longer, and was delivered, speaks for its endpoint
AHEAD = 64  # of all endpoints together; as many are counted as attempted, and run alone once, where a worker is killed
AHEAD_S = 1.0  # that one of them waits for its thread


@dataclass(frozen=True, slots=True)
class _Patience:
    """How long a delivery is tried, as configured when its attempt began."""

    retry_s: Sequence[float] = EVENT_RETRY_S
    max_age_s: float | None = None


class Deliveries:
    """Those of one worker. `pool` runs them, each as a job whose key is its DeliveryClaim and whose `told` is its patience."""

    def __init__(self, worker: Worker, outbox: Outbox, pool: Pool) -> None:
        self._worker = worker
        self._outbox = outbox
        self._pool = pool
        self._quick: set[str] = set()
        """Those of `quick`. The threads, which see it first, put them in and take them out."""
        self.returned: list[Claim] = []
        """Claimed and not begun: to be given back, which `finish` does; until that is committed they stay here."""

    @property
    def quick(self) -> frozenset[str]:
        """The endpoints whose last attempt was quick."""
        return frozenset(self._quick)

    def begin(self, claim: DeliveryClaim) -> None:
        """Hand it to the pool. Raises RuntimeError if the machine gives no thread."""
        is_quick = claim.endpoint in self._quick
        self._pool.submit(claim, partial(self.run, claim), CONFIGURE_TIMEOUT_S, lane=claim.endpoint, is_quick=is_quick)

    def run(self, claim: DeliveryClaim, job: Job) -> Outcome | None:
        """In a pool thread. None: not attempted, since the one before it failed or was slow. Raises BrokerError as `_attempt`."""
        if job.is_quick and claim.endpoint not in self._quick:
            return None
        is_quick = False
        try:
            outcome = self._attempt(claim, job)
            is_quick = outcome.verdict is Verdict.DELIVERED and outcome.duration_s <= QUICK_S and not job.abandoned
            return outcome
        finally:
            (self._quick.add if is_quick and claim.endpoint else self._quick.discard)(claim.endpoint)

    def _attempt(self, claim: DeliveryClaim, job: Job) -> Outcome:
        """Raises BrokerError if the repository's configuration cannot be read."""
        configuration = self._worker.configuration(claim.scm, claim.repository)
        service = configuration.service(claim.service)
        if service is None:
            return Outcome(Verdict.DEAD, "the service is no longer configured")
        job.told = patience = _Patience(service.retry_s or configuration.settings.retry_s, service.max_age_s)
        if claim.scheduled_attempts > len(patience.retry_s) + 1:
            return Outcome(Verdict.DEAD, "given up: the worker ended during each attempt")
        composed, skipped = concerns(service, claim.composed())
        if composed is None:
            return Outcome(Verdict.SKIPPED, skipped)
        self._pool.allow(job, service.timeout_s + GRACE_S)
        return attempt(service, configuration, composed, self._worker.resolve, repository=claim.repository)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Write down how attempts ended, and give back what was claimed ahead and waits for too long. Raises OutboxError."""
        ended = [self._ended(job.key, job) for job in jobs if _was_attempted(job)]
        self._quick.difference_update(job.lane for job in jobs if job.abandoned)
        self.take_back()
        unattempted = [job.key for job in jobs if not _was_attempted(job)]
        for claim in self.returned + unattempted:  # before a breaker opens, which parks what waits
            self._outbox.release(claim)
        if ended:
            held = self._outbox.finish_all(ended)
            log.info("\n".join(_line(claim, outcome, held=claim.id in held) for claim, outcome, _ in ended))

    @property
    def room(self) -> int:
        """How many more may be claimed ahead."""
        waiting = [job.key for job in self._pool.waiting if isinstance(job.key, DeliveryClaim)]
        return 0 if sum(len(claim.payload) for claim in waiting) >= AHEAD_CHARS else max(0, AHEAD - len(waiting))

    def take_back(self, *, all_of_them: bool = False) -> None:
        """Of what waits in the pool, what has done so for AHEAD_S, goes to an endpoint that is not quick any more, or to a service
        that was switched off. Raises OutboxError.
        """
        waiting = self._pool.waiting
        off = {row["lease"] for row in self._outbox.ask("switched_off")} if waiting and not all_of_them else ()
        for job in waiting:
            is_late = job.submitted + AHEAD_S <= time.monotonic()
            if all_of_them or is_late or job.key.lease in off or (job.is_quick and job.lane not in self._quick):
                self._quick.discard(job.lane)
                if self._pool.withdraw(job):
                    self.returned.append(job.key)

    def late_at(self) -> float | None:
        """When something will have waited for too long, on time.monotonic()'s clock; None while nothing waits."""
        return min((job.submitted + AHEAD_S for job in self._pool.waiting), default=None)

    def _ended(self, claim: DeliveryClaim, job: Job) -> Ended:
        patience = job.told or _Patience()
        next_at, outcome = schedule.next_attempt(
            claim, _outcome_of(job), patience.retry_s, patience.max_age_s, self._worker.clock()
        )
        return Ended(claim, outcome, next_at)


def _line(claim: DeliveryClaim, outcome: Outcome, *, held: bool) -> str:
    """Of the log."""
    told = outcome.note if outcome.verdict is Verdict.DELIVERED else outcome.reason
    return (
        f"delivery {claim.id} to {visible(claim.service)} of {visible(claim.repository)}: {outcome.verdict} after attempt "
        f"{claim.attempts}{f': {visible(told)}' if told else ''}{'' if held else ' (its lease was lost meanwhile)'}"
    )


def _was_attempted(job: Job) -> bool:
    """Or given up, or failed before its attempt; as `Deliveries.run` tells."""
    return job.abandoned or job.error is not None or job.result is not None


def _outcome_of(job: Job) -> Outcome:
    """How a delivery's job ended."""
    if job.abandoned:
        reason = TIMED_OUT if job.told else "the repository's configuration could not be read in time"
        return Outcome(
            Verdict.RETRY,
            reason,
            slow_down=True,
            duration_s=job.elapsed_s,
            reached=False if job.told else None,
            called=bool(job.told),
        )
    if job.error is None:
        outcome: Outcome = job.result
        return outcome
    if not isinstance(job.error, BrokerError):
        log.error("a fault while delivering", exc_info=job.error)
    return Outcome(Verdict.RETRY, visible(reason_of(job.error)), duration_s=job.elapsed_s)
