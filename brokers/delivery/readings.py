"""Pushes being read: the work in a pool's thread, how far it is in the log and the outbox, and how it ended.

A reading may take as long as it likes while it makes progress; one that makes none for READ_TIMEOUT_S is given up. All but
`read` is called by the worker's loop.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from brokers.config import Configuration
from brokers.delivery import alerts, schedule
from brokers.delivery.claims import EventClaim, path_text
from brokers.delivery.expansion import Expansion, Source, expand, expand_alert, needs_of
from brokers.delivery.job import Job
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import reason_of
from brokers.delivery.pool import Pool
from brokers.delivery.progress import Progress, told
from brokers.errors import BrokerError
from payload.push import Event, Push
from payload.text import visible

if TYPE_CHECKING:
    from brokers.delivery.worker import Worker

log = logging.getLogger("oberon.worker")

READ_TIMEOUT_S = 600.0  # without progress: no repository and no disk is that slow
EVENT_RETRY_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
NOTE_EVERY_S = 2.0  # into the outbox, for `oberon status`; the first time after as long
LOG_AFTER_S = 5.0
LOG_EVERY_S = 10.0


@dataclass(slots=True)
class _Due:
    """When a reading is told of next, in seconds since it began."""

    note_s: float
    log_s: float
    logged: bool = False


class Readings:
    """Those of one worker. `pool` runs them, each as a job whose key is its EventClaim and whose `told` is its progress."""

    def __init__(self, worker: Worker, outbox: Outbox, pool: Pool) -> None:
        self._worker = worker
        self._outbox = outbox
        self._pool = pool
        self._due: dict[str, _Due] = {}
        """By lease."""

    @property
    def running(self) -> list[Job]:
        """Their jobs."""
        return [job for job in self._pool.under_way if isinstance(job.key, EventClaim)]

    def begin(self, claim: EventClaim) -> None:
        """Hand it to the pool. Raises RuntimeError if the machine gives no thread."""
        self._pool.submit(claim, partial(self.read, claim), READ_TIMEOUT_S)

    # ------------------------------------------------------------------------------------------------------ in a pool thread

    def read(self, claim: EventClaim, job: Job) -> Expansion:
        """The repository's configuration and history, made into a payload and deliveries. Raises BrokerError."""
        source = self._worker.source(claim.event.scm)
        configuration = source.configuration(claim.event.path)
        if claim.event.alert:
            return expand_alert(self._alert(claim.event, source, configuration), configuration)
        self._heed_alerts(claim.event, configuration)
        later = self._outbox.events_after(claim)
        push = source.read(claim.event, configuration.settings, needs_of(configuration), later, self._watched(job))
        return expand(push, configuration, claim.sequence, claim.only)

    def _heed_alerts(self, event: Event, configuration: Configuration) -> None:
        """Write down whether alerts are wanted before it is read: it may be the first of its repository, and turn out unreadable."""
        repository = path_text(event.path)
        is_wanted = configuration.settings.alert is not None
        if is_wanted != bool(self._outbox.ask("wants_alerts", repository=repository)):
            with self._outbox.write() as run:
                run("want_alerts" if is_wanted else "want_no_alerts", repository=repository)

    def _alert(self, event: Event, source: Source, configuration: Configuration) -> Push:
        """An alert as a push that moves nothing; also of a repository that cannot be read, which may be what it is about."""
        try:
            push = source.read(alerts.without_alert(event), configuration.settings, frozenset())
        except BrokerError:
            return alerts.push_of(event, configuration)
        return replace(push, event=event)

    def _watched(self, job: Job) -> Progress:
        def progress(commits_read: int, commits_total: int) -> None:
            job.go_on()
            if job.told != (commits_read, commits_total):
                job.told = (commits_read, commits_total)
                self._pool.allow(job, READ_TIMEOUT_S)

        return progress

    # -------------------------------------------------------------------------------------------------------- while they run

    def tell(self) -> None:
        """Note in the outbox, and log, how far those are that take long. Raises OutboxError."""
        for job in self.running:
            if job.began is None:
                continue
            due = self._due_of(job.key)
            elapsed_s = job.elapsed_s
            if elapsed_s >= due.log_s:
                due.log_s, due.logged = elapsed_s + LOG_EVERY_S, True
                log.info("reading %s: %s, %d s", _named(job.key), _how_far(job), elapsed_s)
            if elapsed_s >= due.note_s:
                due.note_s = elapsed_s + NOTE_EVERY_S
                commits_read, commits_total = job.told or (0, None)
                self._outbox.note_reading(job.key, commits_read, commits_total, elapsed_s)

    def tell_at(self) -> float | None:
        """When `tell` has something to tell, on time.monotonic()'s clock; None while nothing is read."""
        due = ((job.began, self._due_of(job.key)) for job in self.running if job.began is not None)
        return min((began + min(at.note_s, at.log_s) for began, at in due), default=None)

    def _due_of(self, claim: EventClaim) -> _Due:
        return self._due.setdefault(claim.lease, _Due(NOTE_EVERY_S, LOG_AFTER_S))

    # --------------------------------------------------------------------------------------------------------- how they end

    def finish(self, claim: EventClaim, job: Job) -> None:
        """Write down what a reading came to: the deliveries, or why it is tried again. Raises OutboxError."""
        if isinstance(job.result, Expansion) and not job.abandoned:
            read = job.result
            self._outbox.expand(claim, read.composed, read.deliveries, alerts_wanted=read.alerts_wanted)
            if self._due_of(claim).logged:
                log.info("read %s: %s, %d s", _named(claim), _how_far(job), job.elapsed_s)
            del self._due[claim.lease]
            return
        error = job.error
        reason = reason_of(error) if error is not None else f"no progress for {READ_TIMEOUT_S:g} s: {_how_far(job)}"
        if error is not None and not isinstance(error, BrokerError):
            log.error("a fault while reading", exc_info=error)
        delay_s = schedule.delay_s(EVENT_RETRY_S, claim.attempts)
        self._fail(claim, reason, None if delay_s is None else self._worker.clock() + delay_s)

    def was_tried_enough(self, claim: EventClaim) -> bool:
        """Whether the worker ended as often while it was read as it is tried at all."""
        return claim.attempts > len(EVENT_RETRY_S) + 1

    def give_up(self, claim: EventClaim) -> None:
        """Of what was tried enough. Raises OutboxError."""
        self._fail(claim, "given up: the worker ended each time it was read", None)

    def _fail(self, claim: EventClaim, reason: str, next_at: float | None) -> None:
        self._outbox.fail_event(claim, visible(reason), next_at)
        self._due.pop(claim.lease, None)
        log.warning(
            "event %s of %s could not be read%s: %s",
            claim.event.id,
            visible(claim.event.path),
            ", given up" if next_at is None else "",
            visible(reason),
        )


def _named(claim: EventClaim) -> str:
    return f"{visible(claim.event.path)}, event {claim.event.id}"


def _how_far(job: Job) -> str:
    return told(*(job.told or (0, None)))
