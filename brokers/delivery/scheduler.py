"""The worker's loop: what the hooks left is taken in, what is due is given to the pool, how it ended is written down.

What is claimed and how it ended is written to the outbox here, in one thread. What may take long - a repository's
configuration, its commits, a broker - is done in the pool's threads. Trouble of the machine (a full disk, a locked database, no
more descriptors) is waited out, and what cannot be written down yet is kept until it can.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brokers.delivery.bell import Bell
from brokers.delivery.claims import Claim, DeliveryClaim, EventClaim
from brokers.delivery.database import CorruptOutboxError, FullDiskError, MovedOutboxError
from brokers.delivery.deliveries import Deliveries
from brokers.delivery.intake import SCAN_S, Intake
from brokers.delivery.job import Job
from brokers.delivery.loaded import Teller
from brokers.delivery.outbox import Outbox, OutboxError
from brokers.delivery.pool import Pool
from brokers.delivery.readings import Readings
from brokers.delivery.retention import Upkeep
from brokers.delivery.rounds import Rounds
from brokers.errors import BrokerError
from payload.text import visible

if TYPE_CHECKING:
    from brokers.delivery.worker import Worker

log = logging.getLogger("oberon.worker")

DAY_S = 86_400.0
LEASE_S = 60.0
STOP_S = 10.0  # how long a stopping worker lets attempts come to their end
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
    reconcile_s: float = 30.0
    """A push that moves refs now is written down within that time: what is missing for longer is lost."""


class Scheduler:
    """Runs while the outbox is open; `run` returns when the worker may leave."""

    def __init__(self, worker: Worker, outbox: Outbox, bell: Bell) -> None:
        self._worker = worker
        self._outbox = outbox
        self._bell = bell
        self._pool = Pool(worker.limits.workers, bell.ring, per_lane=worker.limits.per_host)
        self._readings = Readings(worker, outbox, self._pool)
        self._deliveries = Deliveries(worker, outbox, self._pool)
        self._has_begun = False
        self._suspect: Claim | None = None
        """What a worker was killed with, until it can run alone."""
        self._renew_at = 0.0
        self._rounds = Rounds(worker, outbox, bell.ring)
        self._brokers = Teller(worker.state_dir)
        self._upkeep = Upkeep(outbox, worker.state_dir, worker.limits.keep_days * DAY_S)
        self._busy_at = time.monotonic()
        self._clock_ahead_s = worker.clock() - time.monotonic()
        self._intake = Intake(outbox, worker.state_dir)
        self._ended: list[Job] = []
        """Jobs whose ends are still to be written down."""

    def run(self, *, drain: bool) -> None:
        """Until the worker is stopped, or may leave: idle long enough, or (`drain`) with nothing due now.

        Raises PoolExhausted, and CorruptOutboxError and MovedOutboxError when the outbox has to be opened anew; with `drain` also
        OSError, other OutboxErrors and RuntimeError, which otherwise are waited out.
        """
        try:
            while not self._worker.stopping:
                if self._worker.reloading:
                    self._read_anew()
                try:
                    if self._turn(drain=drain):
                        return
                    wait_s = self._wait_s()
                except (CorruptOutboxError, MovedOutboxError):
                    raise
                except (OSError, OutboxError, RuntimeError) as error:
                    if isinstance(error, FullDiskError):
                        self._upkeep.make_room()
                    if drain:
                        raise
                    log.warning("%s: %s; trying again in %d s", type(error).__name__, visible(str(error)), SCAN_S)
                    wait_s = SCAN_S
                self._tell_manager()
                self._brokers.tell()
                if self._bell.wait(min(wait_s, self._worker.notifier.feed_in_s)):
                    self._intake.look()
            self._wind_up()
        finally:
            self._rounds.close()
            self._pool.close()

    def has_new(self) -> bool:
        """As of `Intake`."""
        return self._intake.has_new()

    def _turn(self, *, drain: bool) -> bool:
        """Once round; whether the worker may leave."""
        if not self._has_begun:
            self._take_over()
        self._housekeep()
        full = None
        if self._intake.is_due:
            self._end()  # what has ended and is not written down would be made again, were the worker killed meanwhile
            full = self._intake.go_on()
        self._ended += self._pool.collect()
        if self._pool.is_exhausted:
            raise PoolExhausted
        self._begin_all(self._exchange())
        self._readings.tell()
        if full is not None:
            raise full
        if not drain:
            self._rounds.go_on()
        if self._pool.under_way:
            self._busy_at = time.monotonic()
            return False
        return self._may_leave(drain=drain)

    def _take_over(self) -> None:
        """What a worker that was killed had under way."""
        ended = self._outbox.end_leases_of_workers()
        if ended:
            log.warning("a worker was killed: %d pushes and deliveries that it had under way are tried again", ended)
        self._has_begun = True

    # ------------------------------------------------------------------------------------------------------ outbox to pool

    def _exchange(self) -> list[Claim]:
        """Write down what has ended, and claim what may begin, in one transaction and with one wait for the disk."""
        # A suspect runs alone, so that what stands beside it is not taken down, and not blamed.
        is_alone = self._suspect is not None or any(job.key.interrupted for job in self._pool.under_way)
        with self._outbox.write():
            self._write_down()
            claims = [] if is_alone else self._claim()
        self._written_down()
        if claims:
            return claims
        if self._suspect is not None and not self._pool.under_way:
            # Given back it would be first in its queue again, and have its turn when there is nothing else to read.
            claims, self._suspect = [self._suspect], None
        return claims

    def _write_down(self) -> None:
        """Within a transaction; `_written_down` once it is committed."""
        if self._ended:
            self._busy_at = time.monotonic()
        attempts = []
        for job in self._ended:
            if isinstance(job.key, EventClaim):
                self._readings.finish(job.key, job)
            else:
                attempts.append(job)
        self._deliveries.finish(attempts)

    def _written_down(self) -> None:
        self._ended.clear()
        self._deliveries.returned.clear()

    def _claim(self) -> list[Claim]:
        """As much as there are free threads, and what may be claimed ahead of them; one that a worker was killed with comes last."""
        free = self._pool.free
        # Half of the threads at most read: repositories that hang must not keep deliveries from their turn. While quick ones wait
        # for a thread one will soon be free, and reads first.
        most_reading = min(free + len(self._pool.waiting), max(1, self._worker.limits.workers // 2) - len(self._readings.running))
        claims: list[Claim] = []
        while len(claims) < most_reading and (event := self._outbox.claim_event(LEASE_S)) is not None:
            claims.append(event)
            if event.interrupted:
                return claims
        quick, ahead = self._deliveries.quick, self._deliveries.room
        most = max(0, free - len(claims))
        if not most and not claims and (waiting := self._pool.waiting) and all(job.is_quick for job in waiting):
            most = 1  # likewise; without that, whoever is not quick would wait until all that is quick is gone
        if most or (quick and ahead):
            claims += self._outbox.claim_deliveries(LEASE_S, self._worker.limits.per_host, most, quick=quick, ahead=ahead)
        return claims

    def _begin_all(self, claims: list[Claim]) -> None:
        while claims:
            claim = claims.pop(0)
            if claim.interrupted and self._pool.under_way:
                self._suspect = claim  # it is the last
                return
            try:
                self._begin(claim)
            except (OutboxError, RuntimeError):
                self._deliveries.returned += [claim, *claims]
                with suppress(OutboxError):  # the next turn tries again
                    self._end()
                raise

    def _begin(self, claim: Claim) -> None:
        if isinstance(claim, DeliveryClaim):
            self._deliveries.begin(claim)
        elif self._readings.was_tried_enough(claim):
            self._readings.give_up(claim)
        else:
            self._readings.begin(claim)

    # --------------------------------------------------------------------------------------------------------- housekeeping

    def _housekeep(self) -> None:
        now = time.monotonic()
        ahead_s = self._worker.clock() - now
        if now >= self._renew_at or abs(ahead_s - self._clock_ahead_s) > CLOCK_JUMP_S:
            # After a jump of the clock too: our own leases would look as if they had run out.
            claims: list[Claim] = [job.key for job in (*self._pool.under_way, *self._ended)]
            claims += self._deliveries.returned
            claims += [self._suspect] if self._suspect else []
            if claims:
                self._outbox.renew(claims, LEASE_S)
            self._renew_at = now + LEASE_S / 4
            self._clock_ahead_s = ahead_s
            self._outbox.expire()
        self._upkeep.run()

    def _read_anew(self) -> None:
        self._worker.read_anew()
        self._pool.resize(self._worker.limits.workers, per_lane=self._worker.limits.per_host)
        self._upkeep.keep_s = self._worker.limits.keep_days * DAY_S

    def _tell_manager(self) -> None:
        """That the loop goes round, and with what."""
        notifier = self._worker.notifier
        notifier.watchdog()
        if notifier.status_is_due:
            with suppress(OutboxError):  # it has been told, or will be, by what needs it more
                waiting = self._outbox.ask("count_waiting")[0]["n"]
                notifier.status(f"{waiting} deliveries wait, {len(self._pool.under_way)} jobs run")

    def _may_leave(self, *, drain: bool) -> bool:
        due_at = self._outbox.next_due_at()
        if not drain:
            idle_s = self._worker.limits.idle_s
            return idle_s is not None and due_at is None and time.monotonic() - self._busy_at >= idle_s
        if self.has_new():
            self._intake.look()
            return False
        return due_at is None or due_at > self._worker.clock()

    def _wait_s(self) -> float:
        now = time.monotonic()
        waits = [self._intake.due_at - now]
        # Without a free thread nothing begins before one of the jobs has ended, and that rings.
        due_at = self._outbox.next_due_at() if self._pool.free else math.inf
        if due_at is None:
            if self._worker.limits.idle_s is not None:
                waits.append(max(0.05, self._busy_at + self._worker.limits.idle_s - now))
        elif (wait_s := due_at - self._worker.clock()) > 0:
            # What is due but was not claimed waits for its turn, which a pool thread's bell announces.
            waits.append(wait_s)
        moments = (self._pool.next_deadline(), self._deliveries.late_at(), self._readings.tell_at(), self._rounds.due_at())
        waits += [moment - now for moment in moments if moment is not None]
        return max(0.0, min(waits))

    def _wind_up(self) -> None:
        """Stopping: attempts may end within STOP_S; what then still runs is given back, to be tried again."""
        self._worker.notifier.stopping()
        until = time.monotonic() + STOP_S
        self._deliveries.take_back(all_of_them=True)
        self._end()
        while self._pool.under_way and time.monotonic() < until:
            self._bell.wait(min(0.5, until - time.monotonic()))
            self._worker.notifier.watchdog()
            self._end()
        for claim in [job.key for job in self._pool.under_way] + ([self._suspect] if self._suspect else []):
            self._outbox.release(claim)

    def _end(self) -> None:
        self._ended += self._pool.collect()
        if self._ended or self._deliveries.returned:
            with self._outbox.write():
                self._write_down()
            self._written_down()
