"""Deliver in the hook's own process, before the push returns: the same steps as the worker's, under one deadline.

The event goes to the outbox first, under a lease, so that a hook that is killed loses nothing; what fails or is not done at the
deadline stays there, and a worker is started for it. Where the outbox cannot be had (a full disk, a state directory of another
user), deliveries are made all the same; what of them fails goes to the spool, and if that is closed too, the pusher is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from brokers.config import Configuration, ServiceSettings, Settings
from brokers.delivery import schedule, spool, statedir, wake
from brokers.delivery.attempt import attempt
from brokers.delivery.claims import DeliveryClaim, EventClaim
from brokers.delivery.expansion import Expansion, expand, needs_of
from brokers.delivery.filters import concerns
from brokers.delivery.outbox import Outbox, OutboxError
from brokers.delivery.outcome import TIMED_OUT, Outcome, Verdict
from brokers.delivery.pool import Pool
from brokers.errors import BrokerError
from brokers.secrets import resolver
from payload.push import Event, Push
from payload.text import visible

LEASE_BEYOND_DEADLINE_S = 60.0
NOT_READ = "the repository could not be read in time"

Read = Callable[[Event, Settings, frozenset[str]], Push]
Say = Callable[[str], None]


def deliver(
    event: Event,
    configuration: Configuration,
    *,
    read: Read,
    state_dir: str,
    environ: Mapping[str, str],
    say: Say,
    read_in_thread: bool = False,
) -> None:
    """Deliver `event` to every service within `oberon.deadline`; one line for each goes to `say`. Never raises Exception.

    `read` runs in the calling thread - Mercurial's objects belong to it - unless `read_in_thread`, which also keeps the
    deadline when the reading takes longer.
    """
    delivery = _Inline(event, configuration, state_dir, environ, say, time.monotonic() + configuration.settings.deadline_s)
    try:
        delivery.run(read, read_in_thread=read_in_thread)
    except Exception as error:
        say(f"error: oberon: {visible(f'{type(error).__name__}: {error}')}")
        delivery.keep_for_later(None)


@dataclass(slots=True)
class _Inline:
    event: Event
    configuration: Configuration
    state_dir: str
    environ: Mapping[str, str]
    say: Say
    deadline: float
    outbox: Outbox | None = None
    left_over: bool = False
    """Something stays in the outbox for a worker."""

    def run(self, read: Read, *, read_in_thread: bool) -> None:
        with self._outbox_if_any() as self.outbox:
            claim = self._enter()
            try:
                expansion = self._expand(read, claim, in_thread=read_in_thread)
            except Exception as error:
                reason = str(error) if isinstance(error, BrokerError) else f"{type(error).__name__}: {error}"
                self.say(f"warning: oberon: {visible(reason)}; it will be tried again")
                self._give_back(claim, reason)
                return
            claims: Sequence[DeliveryClaim] | None = None
            if claim is not None and self.outbox is not None:
                claims = self.outbox.expand(claim, expansion.composed, expansion.deliveries, lease_s=self._lease_s())
            self._deliver_all(expansion, {claim.service: claim for claim in claims or ()})
        if self.left_over:
            self._start_worker()

    def keep_for_later(self, only: Sequence[str] | None) -> None:
        """Put the event into the spool for `only` these services (None: all); the last resort is to tell the pusher."""
        record = {**self.event.to_record(), **({} if only is None else {"only": list(only)})}
        try:
            spool.write(self.state_dir, record)
        except OSError as error:
            self.say(
                f"warning: oberon: this push is not kept for a retry: {self.state_dir}: {error.strerror}; see `oberon doctor`"
            )
            return
        self._start_worker()

    # -------------------------------------------------------------------------------------------------------- the steps

    @contextmanager
    def _outbox_if_any(self) -> Iterator[Outbox | None]:
        try:
            statedir.prepare(self.state_dir)
            outbox = Outbox.open(self.state_dir, time.time)
        except (OSError, OutboxError) as error:
            self._no_record(error)
            yield None
            return
        with outbox:
            yield outbox

    def _enter(self) -> EventClaim | None:
        """Put the event into the outbox under a lease; None, and no outbox from then on, where that cannot be done."""
        if self.outbox is None:
            return None
        try:
            claim = self.outbox.add_event(self.event, lease_s=self._lease_s())
        except OutboxError as error:
            self._no_record(error)
            claim = None
        if claim is None:
            self.outbox = None
        return claim

    def _no_record(self, error: OSError | OutboxError) -> None:
        reason = error.reason if isinstance(error, OutboxError) else error.strerror
        self.say(f"warning: oberon: no record of this push: {self.state_dir}: {visible(str(reason))}; see `oberon doctor`")

    def _expand(self, read: Read, claim: EventClaim | None, *, in_thread: bool) -> Expansion:
        def work() -> Expansion:
            push = read(self.event, self.configuration.settings, needs_of(self.configuration))
            return expand(push, self.configuration, claim.sequence if claim else None)

        return _within(work, self._remaining_s()) if in_thread else work()

    def _deliver_all(self, expansion: Expansion, claims: Mapping[str, DeliveryClaim]) -> None:
        resolve = resolver(self.environ)
        pool = Pool(self.configuration.settings.workers, (rung := _Rung()).ring)
        due = [new.service for new in expansion.deliveries if not new.skipped]
        waiting = list(due)
        failed = []
        try:
            while waiting or pool.running:
                while waiting and pool.free and self._remaining_s() > 0:
                    service = self.configuration.service(waiting.pop(0))
                    assert service is not None
                    timeout_s = min(service.timeout_s, self._remaining_s())
                    pool.submit(service, self._attempt(service, expansion.composed, resolve, timeout_s), timeout_s)
                if not pool.running:
                    break
                rung.wait(min(pool.next_deadline() or self.deadline, self.deadline) - time.monotonic())
                for job in pool.collect():
                    outcome = Outcome(Verdict.RETRY, TIMED_OUT, slow_down=True) if job.abandoned else job.result
                    if not self._finish(job.key, outcome, claims.get(job.key.service)):
                        failed.append(job.key.service)
        finally:
            pool.close()
        for name in waiting:
            service = self.configuration.service(name)
            assert service is not None
            if not self._finish(service, Outcome(Verdict.RETRY, "the deadline was over before its turn"), claims.get(name)):
                failed.append(name)
        if failed and self.outbox is None:
            self.keep_for_later(failed)

    def _attempt(
        self, service: ServiceSettings, composed: Mapping[str, Any], resolve: Callable[[str], str], timeout_s: float
    ) -> Callable[[], Outcome]:
        narrowed, _ = concerns(service, composed)
        return lambda: attempt(service, self.configuration, narrowed or composed, resolve, timeout_s=timeout_s)

    def _finish(self, service: ServiceSettings, outcome: Outcome, claim: DeliveryClaim | None) -> bool:
        """Record one delivery and tell the pusher; whether nothing is left to do for it."""
        next_at: float | None = None
        if claim is not None and self.outbox is not None:
            retry_s = service.retry_s or self.configuration.settings.retry_s
            next_at, outcome = schedule.next_attempt(claim, outcome, retry_s, service.max_age_s, time.time())
            try:
                self.outbox.finish(claim, outcome, next_at)
            except OutboxError as error:
                self._no_record(error)  # its lease runs out, and a worker delivers it, perhaps once more
            self.left_over |= next_at is not None
        name = visible(service.service)
        if outcome.verdict is Verdict.DELIVERED:
            self.say(f"oberon: {name}: delivered{f' ({visible(outcome.note)})' if outcome.note else ''}")
        elif outcome.verdict is Verdict.RETRY:
            # Without an outbox that is not sure yet: `keep_for_later` tells.
            again = "; it will be tried again" if claim is not None else ""
            self.say(f"warning: oberon: {name}: {visible(outcome.reason)}{again}")
        else:
            self.say(f"warning: oberon: {name}: {visible(outcome.reason)}")
        return outcome.verdict is not Verdict.RETRY

    def _give_back(self, claim: EventClaim | None, reason: str) -> None:
        if claim is None or self.outbox is None:
            self.keep_for_later(None)
            return
        self.outbox.fail_event(claim, visible(reason), time.time() + self.configuration.settings.retry_s[0])
        self._start_worker()

    def _start_worker(self) -> None:
        try:
            wake.wake(self.state_dir, self.environ)
        except OSError as error:
            self.say(f"warning: oberon: no worker could be started: {error.strerror}; the next push tries again")

    def _remaining_s(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def _lease_s(self) -> float:
        return self._remaining_s() + LEASE_BEYOND_DEADLINE_S


class _Rung:
    """Set by pool threads, waited for by the hook's."""

    def __init__(self) -> None:
        import threading

        self._event = threading.Event()

    def ring(self) -> None:
        self._event.set()

    def wait(self, timeout_s: float) -> None:
        self._event.wait(max(0.0, timeout_s))
        self._event.clear()


def _within(work: Callable[[], Expansion], timeout_s: float) -> Expansion:
    """The result of `work`, done in a thread of its own, or TimeoutError after `timeout_s`."""
    rung = _Rung()
    pool = Pool(1, rung.ring)
    pool.submit(None, work, timeout_s)
    try:
        while True:
            rung.wait((pool.next_deadline() or 0.0) - time.monotonic())
            for job in pool.collect():
                if job.abandoned:
                    raise BrokerError(NOT_READ)
                if job.error is not None:
                    raise job.error
                expansion: Expansion = job.result
                return expansion
    finally:
        pool.close()
