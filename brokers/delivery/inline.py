"""Deliver in the hook's own process, before the push returns: the same steps as the worker's, under one deadline.

The event goes to the outbox first, under a lease, so that a hook that is killed loses nothing; what fails or is not done at the
deadline stays there, and a worker is started for it. Where the outbox cannot be had (a full disk, a state directory of another
user, or shared by many), deliveries are made all the same; what of them fails goes to the spool, and if that is closed too, the
pusher is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from brokers.config import Configuration, ServiceSettings
from brokers.delivery import schedule, spool, statedir, wake
from brokers.delivery.attempt import attempt
from brokers.delivery.claims import DeliveryClaim, EventClaim, NewDelivery, path_text
from brokers.delivery.database import CorruptOutboxError
from brokers.delivery.expansion import Expansion, Read, expand, needs_of
from brokers.delivery.filters import concerns
from brokers.delivery.job import Job
from brokers.delivery.outbox import Outbox, OutboxError
from brokers.delivery.outcome import TIMED_OUT, Outcome, Verdict
from brokers.delivery.pool import Pool, within
from brokers.delivery.progress import Progress, Spaced
from brokers.errors import BrokerError
from brokers.secrets import resolver
from payload.build import copied
from payload.push import Event, Push
from payload.text import visible

LEASE_BEYOND_DEADLINE_S = 60.0
BUSY_TIMEOUT_S = 1.0  # at most, of another process's transaction; the pusher waits for it
PROGRESS_AFTER_S = 2.0
PROGRESS_EVERY_S = 5.0
NOT_READ = "the repository could not be read in time"

_WHY_IT_WAITS = {
    "disabled": "is switched off, and keeps this push until `oberon enable`",
    "parked": "cannot be reached at present, and gets this push when it is back",
    "": "waits for an earlier push",
}

T = TypeVar("T")

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
    fault: OSError | None = None,
) -> None:
    """Deliver `event` to every service within `oberon.deadline`; one line for each goes to `say`. Never raises Exception.

    `read` runs in the calling thread - Mercurial's objects belong to it - unless `read_in_thread`, which also keeps the
    deadline when the reading takes longer. Whatever runs a broker's code is in threads of its own.

    `fault` is why the spool could not be written, where this stands in for the worker: then the pusher hears nothing but the
    one line that says so.
    """
    delivery = _Inline(
        event,
        configuration,
        state_dir,
        environ,
        say,
        time.monotonic() + configuration.settings.deadline_s,
        fault,
        fault is not None,
    )
    try:
        delivery.run(read, read_in_thread=read_in_thread)
    except Exception as error:
        delivery.tell(f"error: oberon: {visible(f'{type(error).__name__}: {error}')}")
        delivery.keep_for_later(None)
    delivery.tell_of_the_record()


@dataclass(slots=True)
class _Inline:
    event: Event
    configuration: Configuration
    state_dir: str
    environ: Mapping[str, str]
    say: Say
    deadline: float
    fault: OSError | OutboxError | None = None
    """What could not be written down, and why."""
    quiet: bool = False
    """The pusher hears of nothing else."""
    unkept: list[str] = field(default_factory=list)
    """What was neither delivered nor could be kept for a retry."""
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
                self.tell(f"warning: oberon: {visible(reason)}; it will be tried again")
                self._give_back(claim, reason)
                return
            self._deliver_all(expansion, self._claims(claim, expansion))
            if self.left_over or self._anything_waits():
                self._start_worker()

    def keep_for_later(self, only: Sequence[str] | None) -> None:
        """Put the event into the spool for `only` these services (None: all); the last resort is to tell the pusher."""
        record = {**self.event.to_record(), **({} if only is None else {"only": list(only)})}
        try:
            spool.write(self.state_dir, record)
        except OSError as error:
            self._no_record(error)
            self.unkept += ["the whole push"] if only is None else only
            return
        if self._start_worker() == "absent":
            where = visible(self.state_dir)
            self.tell(f"warning: oberon: kept for another try, and waits: no worker runs for {where}; see `oberon doctor`")

    def tell(self, line: str) -> None:
        """One line to the pusher, unless there is to be one only."""
        if not self.quiet:
            self.say(line)

    def tell_of_the_record(self) -> None:
        """At the end, one line if something could not be written down."""
        if self.fault is None:
            return
        reason = self.fault.reason if isinstance(self.fault, OutboxError) else self.fault.strerror
        lost = f"; not delivered, and not kept: {visible(', '.join(self.unkept))}" if self.unkept else ""
        self.say(f"warning: oberon: cannot write to {self.state_dir}: {visible(str(reason))}{lost}; see `oberon doctor`")

    # -------------------------------------------------------------------------------------------------------- the steps

    @contextmanager
    def _outbox_if_any(self) -> Iterator[Outbox | None]:
        if statedir.is_shared(self.state_dir):
            yield None  # it is the worker's; what fails goes to the spool
            return
        try:
            statedir.prepare(self.state_dir)
            outbox = Outbox.open(self.state_dir, time.time, busy_timeout_s=min(BUSY_TIMEOUT_S, self._remaining_s() / 4))
        except (OSError, OutboxError) as error:
            self._no_record(error)
            if isinstance(error, CorruptOutboxError):
                self._start_worker()  # which mends it
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
        self.fault = self.fault or error

    def _expand(self, read: Read, claim: EventClaim | None, *, in_thread: bool) -> Expansion:
        settings = self.configuration.settings
        sequence = claim.sequence if claim else None
        needs = _within(lambda _: needs_of(self.configuration), self._remaining_s())

        def read_it(job: Job | None = None) -> Push:
            return read(self.event, settings, needs, progress=self._progress(job))

        push = _within(read_it, self._remaining_s()) if in_thread else read_it()
        return _within(lambda _: expand(push, self.configuration, sequence), self._remaining_s())

    def _progress(self, job: Job | None) -> Progress:
        spaced = Spaced(lambda words: self.tell(f"oberon: reading {words}"), after_s=PROGRESS_AFTER_S, every_s=PROGRESS_EVERY_S)

        def progress(commits_read: int, commits_total: int) -> None:
            if job is not None:
                job.go_on()
            spaced(commits_read, commits_total)

        return progress

    def _claims(self, claim: EventClaim | None, expansion: Expansion) -> dict[str, DeliveryClaim] | None:
        """Enter the deliveries; service -> the claim on it. None, and no outbox from then on, where that cannot be done."""
        if claim is None or self.outbox is None:
            return None
        try:
            claims = self.outbox.expand(
                claim,
                expansion.composed,
                expansion.deliveries,
                lease_s=self._lease_s(),
                alerts_wanted=expansion.alerts_wanted,
            )
        except OutboxError as error:
            self._no_record(error)
            self.outbox = None
            return None
        return {one.service: one for one in claims or ()}

    def _anything_waits(self) -> bool:
        """Also what an earlier hook left when it was killed: nobody else may be there to see to it."""
        try:
            return self.outbox is not None and self.outbox.next_due_at() is not None
        except OutboxError:
            return True

    def _deliver_all(self, expansion: Expansion, claims: Mapping[str, DeliveryClaim] | None) -> None:
        resolve = resolver(self.environ)
        rung = threading.Event()
        pool = Pool(self.configuration.settings.workers, rung.set)
        waiting = []
        failed = []
        for new in expansion.deliveries:
            if not new.skipped and claims is not None and new.service not in claims:
                self.left_over = True
                self.tell(f"oberon: {visible(new.service)}: {self._why_it_waits(new)}")
            elif not new.skipped:
                waiting.append(new.service)
        claims = claims or {}
        try:
            while waiting or pool.under_way:
                while waiting and pool.free and self._remaining_s() > 0:
                    service = self.configuration.service(waiting.pop(0))
                    assert service is not None
                    timeout_s = min(service.timeout_s, self._remaining_s())
                    pool.submit(service, self._attempt(service, expansion.composed, resolve, timeout_s), timeout_s)
                if not pool.under_way:
                    break
                rung.wait(max(0.0, min(pool.next_deadline() or self.deadline, self.deadline) - time.monotonic()))
                rung.clear()
                failed += [
                    job.key.service
                    for job in pool.collect()
                    if not self._finish(job.key, _outcome_of(job), claims.get(job.key.service))
                ]
        finally:
            pool.close()
        for name in waiting:
            service = self.configuration.service(name)
            assert service is not None
            if not self._finish(service, Outcome(Verdict.RETRY, "the deadline was over before its turn"), claims.get(name)):
                failed.append(name)
        if self.outbox is None:
            if failed:
                self.keep_for_later(failed)
            else:
                self._note()

    def _note(self) -> None:
        """Delivered to all, and unknown to the outbox: the worker would find the push missing."""
        with suppress(OSError):
            spool.write(self.state_dir, {**self.event.to_record(), "only": []})
            self._start_worker()  # also for what earlier pushes left there: without the outbox nobody has looked

    def _why_it_waits(self, new: NewDelivery) -> str:
        assert self.outbox is not None
        held = self.outbox.ask("held_back", repository=path_text(self.event.path), service=new.service, endpoint=new.endpoint)
        return _WHY_IT_WAITS[held[0]["why"] if held else ""]

    def _attempt(
        self, service: ServiceSettings, composed: Mapping[str, Any], resolve: Callable[[str], str], timeout_s: float
    ) -> Callable[[Job], Outcome]:
        narrowed, _ = concerns(service, composed)
        own = copied(narrowed or composed)
        return lambda _: attempt(service, self.configuration, own, resolve, timeout_s=timeout_s, repository=self.event.path)

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
            self.tell(f"oberon: {name}: delivered{f' ({visible(outcome.note)})' if outcome.note else ''}")
        elif outcome.verdict is Verdict.RETRY:
            # Without an outbox that is not sure yet: `keep_for_later` tells.
            again = "; it will be tried again" if claim is not None else ""
            self.tell(f"warning: oberon: {name}: {visible(outcome.reason)}{again}")
        else:
            self.tell(f"warning: oberon: {name}: {visible(outcome.reason)}")
        return outcome.verdict is not Verdict.RETRY

    def _give_back(self, claim: EventClaim | None, reason: str) -> None:
        if claim is None or self.outbox is None:
            self.keep_for_later(None)
            return
        self.outbox.fail_event(claim, visible(reason), time.time() + self.configuration.settings.retry_s[0])
        self._start_worker()

    def _start_worker(self) -> str:
        """What `wake.wake` says; '' if none could be started."""
        try:
            return wake.wake(self.state_dir, self.environ)
        except OSError as error:
            self.tell(f"warning: oberon: no worker could be started: {error.strerror}; the next push tries again")
            return ""

    def _remaining_s(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def _lease_s(self) -> float:
        return self._remaining_s() + LEASE_BEYOND_DEADLINE_S


def _outcome_of(job: Job) -> Outcome:
    if job.abandoned:
        return Outcome(Verdict.RETRY, TIMED_OUT, slow_down=True)
    if job.error is not None:
        return Outcome(Verdict.RETRY, f"fault in Oberon: {type(job.error).__name__}")
    outcome: Outcome = job.result
    return outcome


def _within(work: Callable[[Job], T], timeout_s: float) -> T:
    """The result of `work`, done in a thread of its own. Raises what it raises, or BrokerError after `timeout_s`."""
    job = within(work, timeout_s)
    if job.abandoned:
        raise BrokerError(NOT_READ)
    if job.error is not None:
        raise job.error
    result: T = job.result
    return result
