"""The worker's loop: what the hooks left is taken in, what is due is given to the pool, how it ended is written down.

All writing to the outbox happens here, in one thread. What may take long - a repository's configuration, its commits, a
broker - is done in the pool's threads. Trouble of the machine (a full disk, a locked database, no more descriptors) is waited
out, and what cannot be written down yet is kept until it can.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from brokers.delivery import schedule, spool
from brokers.delivery.attempt import attempt
from brokers.delivery.bell import Bell
from brokers.delivery.claims import Claim, DeliveryClaim, EventClaim
from brokers.delivery.filters import concerns
from brokers.delivery.outbox import Outbox, OutboxError
from brokers.delivery.outcome import TIMED_OUT, Outcome, Verdict, reason_of
from brokers.delivery.pool import Job, Pool
from brokers.delivery.readings import EVENT_RETRY_S, READ_TIMEOUT_S, Readings
from brokers.errors import BrokerError
from payload.push import Event, MalformedEventError
from payload.text import visible

if TYPE_CHECKING:
    from brokers.delivery.worker import Worker

log = logging.getLogger("oberon.worker")

SCAN_S = 5.0
LEASE_S = 60.0
CONFIGURE_TIMEOUT_S = 30.0  # to read a repository's configuration
GRACE_S = 0.2  # between the transport's own deadline and giving up the thread
STOP_S = 10.0  # how long a stopping worker lets attempts come to their end
PRUNE_EVERY_S = 3600.0
CLOCK_JUMP_S = 5.0


class PoolExhausted(BrokerError):
    """So many brokers never ended that the worker has no thread left: it has to begin anew, as a new process."""

    def __str__(self) -> str:
        return "no thread is left: too many brokers did not end"


@dataclass(slots=True)
class Limits:
    """How much at a time, and for how long."""

    workers: int = 8
    per_host: int = 4
    keep_days: int = 30
    idle_s: float | None = None
    """Leave after so many seconds with nothing waiting; None: stay."""


@dataclass(frozen=True, slots=True)
class _Patience:
    """How long a delivery is tried, as configured when its attempt began."""

    retry_s: Sequence[float] = EVENT_RETRY_S
    max_age_s: float | None = None


class Scheduler:
    """Runs while the outbox is open; `run` returns when the worker may leave."""

    def __init__(self, worker: Worker, outbox: Outbox, bell: Bell) -> None:
        self._worker = worker
        self._outbox = outbox
        self._bell = bell
        self._pool = Pool(worker.limits.workers, bell.ring)
        self._readings = Readings(worker, outbox, self._pool)
        self._renew_at = 0.0
        self._prune_at = 0.0
        self._busy_at = time.monotonic()
        self._clock_ahead_s = worker.clock() - time.monotonic()
        self._left: set[str] = set()
        """Files of the spool that could not be taken in."""
        self._ended: list[Job] = []
        """Jobs whose ends are still to be written down."""

    def run(self, *, drain: bool) -> None:
        """Until the worker is stopped, or may leave: idle long enough, or (`drain`) with nothing due now.

        Raises PoolExhausted; with `drain` also OSError, OutboxError and RuntimeError, which otherwise are waited out.
        """
        try:
            while not self._worker.stopping:
                try:
                    if self._turn(drain=drain):
                        return
                    wait_s = self._wait_s()
                except (OSError, OutboxError, RuntimeError) as error:
                    if drain:
                        raise
                    log.warning("%s: %s; trying again in %d s", type(error).__name__, visible(str(error)), SCAN_S)
                    wait_s = SCAN_S
                self._bell.wait(wait_s)
            self._wind_up()
        finally:
            self._pool.close()

    def has_new(self) -> bool:
        """Whether anything is in the spool that was not there, or could be read, when it was last looked through."""
        return not self._left.issuperset(spool.waiting(self._worker.state_dir))

    def _turn(self, *, drain: bool) -> bool:
        """Once round; whether the worker may leave."""
        self._housekeep()
        self._ingest()
        self._collect()
        if self._pool.is_exhausted:
            raise PoolExhausted
        self._dispatch()
        self._readings.tell()
        if self._pool.running:
            self._busy_at = time.monotonic()
            return False
        return self._may_leave(drain=drain)

    # ------------------------------------------------------------------------------------------------------ spool to outbox

    def _ingest(self) -> None:
        left = set()
        for path in spool.waiting(self._worker.state_dir):
            try:
                self._take_in(path)
            except FileNotFoundError:
                continue  # another process was quicker
            except OSError as error:
                # One file that cannot be read or moved now (too many open files, say) holds up no other.
                if path not in self._left:
                    log.warning("left in the spool: %s", visible(str(error)))
                left.add(path)
        self._left = left

    def _take_in(self, path: str) -> None:
        """One file of the spool into the outbox; what is no event, aside."""
        try:
            record = spool.load(path)
            event = Event.from_record(record)
        except (spool.BadSpoolFile, MalformedEventError) as error:
            aside = spool.set_aside(self._worker.state_dir, path)
            log.warning("set aside as %s: %s", visible(aside), visible(str(error)))
            return
        only = record.get("only")
        self._outbox.add_event(event, only=[str(name) for name in only] if isinstance(only, list) else None)
        spool.remove(path)

    # ------------------------------------------------------------------------------------------------------ outbox to pool

    def _dispatch(self) -> None:
        if any(job.key.interrupted for job in self._pool.running):
            return  # a suspect runs alone, so that what stands beside it is not taken down, and not blamed
        # Half of the threads at most read: repositories that hang must not keep deliveries from their turn.
        most_reading = max(1, self._worker.limits.workers // 2)
        while self._pool.free and len(self._readings.running) < most_reading:
            event = self._outbox.claim_event(LEASE_S)
            if event is None:
                break
            if self._must_wait(event):
                return
            if self._readings.was_tried_enough(event):
                self._readings.give_up(event)
            else:
                self._submit(event, partial(self._readings.read, event), READ_TIMEOUT_S)
                if event.interrupted:
                    return
        while self._pool.free:
            delivery = self._outbox.claim_delivery(LEASE_S, self._worker.limits.per_host)
            if delivery is None:
                break
            if self._must_wait(delivery):
                return
            self._submit(delivery, partial(self._deliver, delivery), CONFIGURE_TIMEOUT_S)
            if delivery.interrupted:
                return

    def _must_wait(self, claim: Claim) -> bool:
        """Whether a worker was killed with `claim` under way, and it cannot run alone yet; then it is given back."""
        if not claim.interrupted or not self._pool.running:
            return False
        self._outbox.release(claim)
        return True

    def _submit(self, claim: Claim, work: Callable[[Job], Any], timeout_s: float) -> None:
        try:
            self._pool.submit(claim, work, timeout_s)
        except RuntimeError:  # the machine gives no thread now
            self._outbox.release(claim)
            raise

    def _deliver(self, claim: DeliveryClaim, job: Job) -> Outcome:
        """In a pool thread."""
        configuration = self._worker.configuration(claim.scm, claim.repository)
        service = configuration.service(claim.service)
        if service is None:
            return Outcome(Verdict.DEAD, "the service is no longer configured")
        job.told = patience = _Patience(service.retry_s or configuration.settings.retry_s, service.max_age_s)
        if claim.scheduled_attempts > len(patience.retry_s) + 1:
            return Outcome(Verdict.DEAD, "given up: the worker ended during each attempt")
        composed, skipped = concerns(service, claim.composed)
        if composed is None:
            return Outcome(Verdict.SKIPPED, skipped)
        self._pool.allow(job, service.timeout_s + GRACE_S)
        return attempt(service, configuration, composed, self._worker.resolve)

    # ------------------------------------------------------------------------------------------------------ pool to outbox

    def _collect(self) -> None:
        self._ended += self._pool.collect()
        while self._ended:
            self._busy_at = time.monotonic()
            job = self._ended[0]
            if isinstance(job.key, EventClaim):
                self._readings.finish(job.key, job)
            else:
                self._finish(job.key, _outcome_of(job), job.told or _Patience())
            self._ended.pop(0)

    def _finish(self, claim: DeliveryClaim, outcome: Outcome, patience: _Patience) -> None:
        next_at, outcome = schedule.next_attempt(claim, outcome, patience.retry_s, patience.max_age_s, self._worker.clock())
        held = self._outbox.finish(claim, outcome, next_at)
        told = outcome.note if outcome.verdict is Verdict.DELIVERED else outcome.reason
        log.info(
            "delivery %d to %s of %s: %s after attempt %d%s%s",
            claim.id,
            visible(claim.service),
            visible(claim.repository),
            outcome.verdict,
            claim.attempts,
            f": {visible(told)}" if told else "",
            "" if held else " (its lease was lost meanwhile)",
        )

    # --------------------------------------------------------------------------------------------------------- housekeeping

    def _housekeep(self) -> None:
        now = time.monotonic()
        ahead_s = self._worker.clock() - now
        if now >= self._renew_at or abs(ahead_s - self._clock_ahead_s) > CLOCK_JUMP_S:
            # After a jump of the clock too: our own leases would look as if they had run out.
            claims: list[Claim] = [job.key for job in (*self._pool.running, *self._ended)]
            if claims:
                self._outbox.renew(claims, LEASE_S)
            self._renew_at = now + LEASE_S / 4
            self._clock_ahead_s = ahead_s
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY_S
            forgotten = self._outbox.prune(self._worker.limits.keep_days * 86_400.0)
            swept = list(spool.sweep(self._worker.state_dir, self._worker.clock()))
            if forgotten or swept:
                log.info("forgot %d events, removed %d stale drafts", forgotten, len(swept))

    def _may_leave(self, *, drain: bool) -> bool:
        due_at = self._outbox.next_due_at()
        if drain:
            return (due_at is None or due_at > self._worker.clock()) and not self.has_new()
        idle_s = self._worker.limits.idle_s
        return idle_s is not None and due_at is None and time.monotonic() - self._busy_at >= idle_s

    def _wait_s(self) -> float:
        waits = [SCAN_S]
        due_at = self._outbox.next_due_at()
        if due_at is None:
            if self._worker.limits.idle_s is not None:
                waits.append(max(0.05, self._busy_at + self._worker.limits.idle_s - time.monotonic()))
        elif self._pool.free:
            wait_s = due_at - self._worker.clock()
            # What is due but was not claimed waits for its turn, which a pool thread's bell announces.
            waits += [wait_s] if wait_s > 0 else []
        moments = (self._pool.next_deadline(), self._readings.tell_at())
        waits += [moment - time.monotonic() for moment in moments if moment is not None]
        return max(0.0, min(waits))

    def _wind_up(self) -> None:
        """Stopping: attempts may end within STOP_S; what then still runs is given back, to be tried again."""
        until = time.monotonic() + STOP_S
        self._collect()
        while self._pool.running and time.monotonic() < until:
            self._bell.wait(min(0.5, until - time.monotonic()))
            self._collect()
        for job in self._pool.running:
            self._outbox.release(job.key)


def _outcome_of(job: Job) -> Outcome:
    """How a delivery's job ended."""
    if job.abandoned:
        reason = TIMED_OUT if job.told else "the repository's configuration could not be read in time"
        return Outcome(Verdict.RETRY, reason, slow_down=True, duration_s=job.elapsed_s)
    if job.error is None:
        outcome: Outcome = job.result
        return outcome
    if not isinstance(job.error, BrokerError):
        log.error("a fault while delivering", exc_info=job.error)
    return Outcome(Verdict.RETRY, visible(reason_of(job.error)), duration_s=job.elapsed_s)
