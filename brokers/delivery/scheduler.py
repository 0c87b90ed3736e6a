"""The worker's loop: what the hooks left is taken in, what is due is given to the pool, how it ended is written down.

All writing to the outbox happens here, in one thread; the pool's threads read repositories and call brokers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brokers.delivery import schedule, spool
from brokers.delivery.attempt import attempt
from brokers.delivery.bell import Bell
from brokers.delivery.claims import Claim, DeliveryClaim, EventClaim
from brokers.delivery.expansion import Expansion, expand, needs_of
from brokers.delivery.filters import concerns
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import TIMED_OUT, Outcome, Verdict
from brokers.delivery.pool import Job, Pool
from brokers.errors import BrokerError
from payload.push import Event, MalformedEventError
from payload.text import visible

if TYPE_CHECKING:
    from brokers.delivery.worker import Worker

log = logging.getLogger("oberon.worker")

SCAN_S = 5.0
LEASE_S = 60.0
READ_TIMEOUT_S = 600.0  # of one repository; a push of 100,000 commits takes a fraction of it
GRACE_S = 0.2  # between the transport's own deadline and giving up the thread
EVENT_RETRY_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
STOP_S = 10.0  # how long a stopping worker lets attempts come to their end
PRUNE_EVERY_S = 3600.0


@dataclass(slots=True)
class Limits:
    """How much at a time, and for how long."""

    workers: int = 8
    per_host: int = 4
    keep_days: int = 30
    idle_s: float | None = None
    """Leave after so many seconds with nothing waiting; None: stay."""


class Scheduler:
    """Runs while the outbox is open; `run` returns when the worker may leave."""

    def __init__(self, worker: Worker, outbox: Outbox, bell: Bell) -> None:
        self._worker = worker
        self._outbox = outbox
        self._bell = bell
        self._pool = Pool(worker.limits.workers, bell.ring)
        self._renew_at = 0.0
        self._scan_at = 0.0
        self._prune_at = 0.0
        self._busy_at = time.monotonic()
        self._left: set[str] = set()
        """Files of the spool that could not be taken in."""

    def run(self, *, drain: bool) -> None:
        """Until the worker is stopped, or may leave: idle long enough, or (`drain`) with nothing due now."""
        try:
            while not self._worker.stopping:
                self._housekeep()
                self._ingest()
                self._collect()
                self._dispatch()
                if self._pool.running:
                    self._busy_at = time.monotonic()
                elif self._may_leave(drain=drain):
                    return
                self._bell.wait(self._wait_s())
            self._wind_up()
        finally:
            self._pool.close()

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

    def has_new(self) -> bool:
        """Whether anything is in the spool that was not there, or could be read, when it was last looked through."""
        return not self._left.issuperset(spool.waiting(self._worker.state_dir))

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
        while self._pool.free:
            event = self._outbox.claim_event(LEASE_S)
            if event is None:
                break
            self._pool.submit(event, lambda claim=event: self._read(claim), READ_TIMEOUT_S)  # type: ignore[misc]  # mypy#12557: a lambda's default has no type
        while self._pool.free:
            delivery = self._outbox.claim_delivery(LEASE_S, self._worker.limits.per_host)
            if delivery is None:
                break
            self._start(delivery)

    def _start(self, claim: DeliveryClaim) -> None:
        try:
            configuration = self._worker.configuration(claim.scm, claim.repository)
        except BrokerError as error:
            self._finish(claim, Outcome(Verdict.RETRY, str(error)))
            return
        service = configuration.service(claim.service)
        if service is None:
            self._finish(claim, Outcome(Verdict.DEAD, "the service is no longer configured"))
            return
        composed, skipped = concerns(service, claim.composed)
        if composed is None:
            self._finish(claim, Outcome(Verdict.SKIPPED, skipped))
            return
        resolve = self._worker.resolve
        self._pool.submit(claim, lambda: attempt(service, configuration, composed, resolve), service.timeout_s + GRACE_S)

    def _read(self, claim: EventClaim) -> Expansion:
        """In a pool thread."""
        source = self._worker.source(claim.event.scm)
        configuration = source.configuration(claim.event.path)
        later = self._outbox.events_after(claim)
        push = source.read(claim.event, configuration.settings, needs_of(configuration), later)
        return expand(push, configuration, claim.sequence, claim.only)

    # ------------------------------------------------------------------------------------------------------ pool to outbox

    def _collect(self) -> None:
        for job in self._pool.collect():
            self._busy_at = time.monotonic()
            if isinstance(job.key, EventClaim):
                self._finish_reading(job.key, job)
            elif job.abandoned:
                self._finish(job.key, Outcome(Verdict.RETRY, TIMED_OUT, slow_down=True, duration_s=job.elapsed_s))
            elif job.error is not None:  # attempt() never raises; if it does, that is a fault of ours
                self._finish(job.key, Outcome(Verdict.RETRY, f"fault in Oberon: {job.error!r}"))
            else:
                self._finish(job.key, job.result)

    def _finish(self, claim: DeliveryClaim, outcome: Outcome) -> None:
        retry_s, max_age_s = self._patience_for(claim)
        next_at, outcome = schedule.next_attempt(claim, outcome, retry_s, max_age_s, self._worker.clock())
        held = self._outbox.finish(claim, outcome, next_at)
        told = outcome.note if outcome.verdict is Verdict.DELIVERED else outcome.reason
        log.info(
            "delivery %d to %s of %s: %s after attempt %d%s%s",
            claim.id,
            visible(claim.service),
            visible(claim.repository),
            outcome.verdict,
            claim.attempts,
            f": {told}" if told else "",
            "" if held else " (its lease was lost meanwhile)",
        )

    def _patience_for(self, claim: DeliveryClaim) -> tuple[Sequence[float], float | None]:
        """The waits between a delivery's attempts and its greatest age, both in seconds, as configured now."""
        try:
            configuration = self._worker.configuration(claim.scm, claim.repository)
        except BrokerError:
            return EVENT_RETRY_S, None
        service = configuration.service(claim.service)
        retry_s = (service.retry_s if service else None) or configuration.settings.retry_s
        return retry_s, service.max_age_s if service else None

    def _finish_reading(self, claim: EventClaim, job: Job) -> None:
        error: object = job.error
        if isinstance(job.result, Expansion) and not job.abandoned:
            self._outbox.expand(claim, job.result.composed, job.result.deliveries)
            return
        if job.abandoned:
            error = "reading took longer than the time limit"
        delay_s = schedule.delay_s(EVENT_RETRY_S, claim.attempts)
        reason = str(error) if isinstance(error, (BrokerError, str)) else f"{type(error).__name__}: {error}"
        self._outbox.fail_event(claim, visible(reason), None if delay_s is None else self._worker.clock() + delay_s)
        log.error(
            "event %s of %s could not be read%s: %s",
            claim.event.id,
            visible(claim.event.path),
            ", given up" if delay_s is None else "",
            visible(reason),
            exc_info=error if isinstance(error, Exception) and not isinstance(error, BrokerError) else None,
        )

    # --------------------------------------------------------------------------------------------------------- housekeeping

    def _housekeep(self) -> None:
        now = time.monotonic()
        if now >= self._renew_at:
            claims: list[Claim] = [job.key for job in self._pool.running]
            if claims:
                self._outbox.renew(claims, LEASE_S)
            self._renew_at = now + LEASE_S / 4
        if now >= self._prune_at:
            forgotten = self._outbox.prune(self._worker.limits.keep_days * 86_400.0)
            swept = list(spool.sweep(self._worker.state_dir, self._worker.clock()))
            if forgotten or swept:
                log.info("forgot %d events, removed %d stale drafts", forgotten, len(swept))
            self._prune_at = now + PRUNE_EVERY_S

    def _may_leave(self, *, drain: bool) -> bool:
        due_at = self._outbox.next_due_at()
        if drain:
            return (due_at is None or due_at > self._worker.clock()) and not self.has_new()
        idle_s = self._worker.limits.idle_s
        return idle_s is not None and due_at is None and time.monotonic() - self._busy_at >= idle_s

    def _wait_s(self) -> float:
        waits = [SCAN_S]
        due_at = self._outbox.next_due_at()
        if due_at is not None and self._pool.free:
            wait_s = due_at - self._worker.clock()
            # What is due but was not claimed waits for its turn, which a pool thread's bell announces.
            waits += [wait_s] if wait_s > 0 else []
        deadline = self._pool.next_deadline()
        if deadline is not None:
            waits.append(deadline - time.monotonic())
        if self._worker.limits.idle_s is not None:
            waits.append(max(0.05, self._busy_at + self._worker.limits.idle_s - time.monotonic()))
        return max(0.0, min(waits))

    def _wind_up(self) -> None:
        """Stopping: attempts may end within STOP_S; what then still runs is given back, to be tried again."""
        until = time.monotonic() + STOP_S
        while self._pool.running and time.monotonic() < until:
            self._collect()
            self._bell.wait(min(0.5, until - time.monotonic()))
        for job in self._pool.running:
            self._outbox.release(job.key)
