"""The worker's rounds: each repository it knows is compared with what is recorded of it, and what is missing is recorded.

One round begins with the worker, the next EVERY_S later. One repository is looked at at a time, in a thread of its own, so
that no delivery waits for it; one that cannot be read is logged once.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from brokers.delivery import reconcile, spool
from brokers.delivery.job import Job
from brokers.delivery.outbox import Outbox
from brokers.delivery.pool import Pool
from brokers.errors import BrokerError, RepositoryGone
from payload.text import visible

if TYPE_CHECKING:
    from brokers.delivery.reconcile import Look
    from brokers.delivery.worker import Worker

log = logging.getLogger("oberon.worker")

EVERY_S = 6 * 3600.0
AGAIN_S = 1.0
"""Until the spool is looked at again, where it was not empty."""
LOOK_TIMEOUT_S = 60.0
MOST_LOOKS = 10
"""In one round at one repository, where each look finds what the one before did not."""


@dataclass(order=True, slots=True)
class _Due:
    at: float
    """On time.monotonic()'s clock."""
    repository: str
    """As the outbox has it."""
    looks: int = field(default=0, compare=False)
    before: Look | None = field(default=None, compare=False)
    """The look before this one."""


class Rounds:
    """Those of one worker. `go_on` and `due_at` are called by its loop; `on_done`, in a thread, when `go_on` has something to do."""

    def __init__(self, worker: Worker, outbox: Outbox, on_done: Callable[[], None]) -> None:
        self._worker = worker
        self._outbox = outbox
        self._pool = Pool(1, on_done)
        self._due: list[_Due] = []
        self._next_round: float | None = None
        """None before the first."""
        self._complained: set[str] = set()

    def due_at(self) -> float | None:
        """When there is something to do, on time.monotonic()'s clock; None if that is not known."""
        if not self._pool.free:
            return self._pool.next_deadline()
        return self._due[0].at if self._due else self._next_round

    def go_on(self) -> None:
        """Take what came of the last look, and begin the next one if it is due and the spool is empty.

        Raises OutboxError, OSError if the spool cannot be listed, RuntimeError if the machine gives no thread.
        """
        for job in self._pool.collect():
            self._looked(job)
        now = time.monotonic()
        if not self._due and (self._next_round is None or now >= self._next_round):
            self._next_round = now + EVERY_S
            self._due = [_Due(now, row["path"]) for row in self._outbox.ask("known_repositories")]
            heapq.heapify(self._due)
        if self._pool.free and self._due and self._due[0].at <= now:
            due = self._due[0]
            if spool.waiting(self._worker.state_dir):
                due.at = now + AGAIN_S
                heapq.heapify(self._due)
                return
            self._pool.submit(due, partial(self._look, due), LOOK_TIMEOUT_S)
            heapq.heappop(self._due)

    def close(self) -> None:
        """Let the thread end."""
        self._pool.close()

    def _look(self, due: _Due, job: Job) -> Look | None:
        """In the thread; None if there is nothing to compare, or nothing more."""
        like = reconcile.newest(self._outbox, due.repository)
        if like is None:
            return None
        look = reconcile.look(self._outbox, due.repository, like, self._worker.source(like.scm))
        if due.before is not None:
            job.go_on()
            lost = due.before.again(look)
            for event in reconcile.record(self._outbox, self._worker.state_dir, due.repository, look, lost):
                log.warning(
                    "a push to %s was recorded by no hook, which must have been killed; it is now, as event %s",
                    visible(event.path),
                    event.id,
                )
            if len(lost) == len(look.lost):
                return None
        return look

    def _looked(self, job: Job) -> None:
        due: _Due = job.key
        if job.error is not None or job.abandoned:
            self._complain(due.repository, job.error)
            return
        look: Look | None = job.result
        if look is not None and look.lost and due.looks + 1 < MOST_LOOKS:
            at = time.monotonic() + self._worker.limits.reconcile_s
            heapq.heappush(self._due, _Due(at, due.repository, due.looks + 1, look))

    def _complain(self, repository: str, error: BaseException | None) -> None:
        if isinstance(error, RepositoryGone) or repository in self._complained:
            return
        self._complained.add(repository)
        if error is not None and not isinstance(error, BrokerError | OSError):
            log.error("a fault while looking at %s", visible(repository), exc_info=error)
            return
        why = f"not done within {LOOK_TIMEOUT_S:g} s" if error is None else visible(str(error))
        log.warning("%s is not compared with what is recorded of it: %s", visible(repository), why)
