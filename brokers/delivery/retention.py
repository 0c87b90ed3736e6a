"""What is forgotten, and the room that it leaves: pruning, the file's size, a full disk, a clock that was set back.

Pruning runs in transactions of BATCH pushes. On a full disk it goes like this (measured, SQLite 3.40): deleting needs room for
the -wal file, some 3 KiB for each push, and what is committed already needs room in the database before the -wal file can be
used again, 1 MiB at most (`wal_autocheckpoint`). Both come from the ballast. What is written afterwards goes to pages that
pruning has set free, and to a -wal file that has its room already.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from brokers.delivery import disk, spool
from brokers.delivery.database import CorruptOutboxError, Database, FullDiskError, MovedOutboxError, OutboxError
from payload.text import visible

log = logging.getLogger("oberon.worker")

Run = Callable[..., sqlite3.Cursor]
"""Of a transaction: runs a statement by its name."""
T = TypeVar("T")

EVERY_S = 60.0
AT_A_TIME_S = 0.2
"""So long at most the worker does nothing else; the rest is done AGAIN_S later."""
AGAIN_S = 1.0
BATCH = 100
PAGES = 256
"""Given back in one transaction: 1 MiB."""
MOST_FREE_PAGES = 4096
"""Kept for what comes next: 16 MiB. More free pages are given back."""
LONGEST_WAIT_S = 25 * 3600.0
"""What is due later than that was put off by another clock: `schedule.LONGEST_S` is a day."""
LONGEST_HOLD_S = 2 * 3600.0
"""Likewise for leases, a worker's of a minute or an inline hook's of its deadline and a minute, and for breakers, an hour."""
LEASE_LEFT_S = 60.0


def prune(outbox: Database, keep_s: float, *, for_s: float | None = None) -> tuple[int, bool]:
    """Forget pushes older than `keep_s` seconds whose deliveries all ended as long ago, delivered or skipped; the dead stay.

    How many, and whether there may be more, `for_s` being over. Raises OutboxError; what was forgotten until then is.
    """
    before = outbox.now - keep_s
    until = None if for_s is None else time.monotonic() + for_s
    forgotten = 0
    while True:
        with outbox.write() as run:
            batch = run("prune", before=before, most=BATCH).rowcount
        forgotten += batch
        if batch < BATCH:
            return forgotten, False
        if until is not None and time.monotonic() >= until:
            return forgotten, True


def prunable(outbox: Database, keep_s: float) -> int:
    """How many pushes `prune` would forget."""
    counted: int = outbox.ask("count_prunable", before=outbox.now - keep_s)[0]["n"]
    return counted


def forget_deliveries(outbox: Database, deliveries: Sequence[int]) -> list[int]:
    """Forget those of them that have ended, however, and each push whose last one that was; which. Raises OutboxError."""
    return _forget(outbox, deliveries, _forget_delivery)


def forget_pushes(outbox: Database, events: Sequence[str]) -> list[str]:
    """Forget those of them that could not be read, or whose deliveries have all ended, however; which. Raises OutboxError."""
    return _forget(outbox, events, lambda run, event: run("forget_push", event=event).rowcount == 1)


def _forget_delivery(run: Run, delivery: int) -> bool:
    row = run("forget_delivery", id=delivery).fetchone()
    if row is None:
        return False
    run("forget_bare_push", event=row["event"])
    return True


def _forget(outbox: Database, chosen: Sequence[T], forget: Callable[[Run, T], bool]) -> list[T]:
    forgotten = []
    for first in range(0, len(chosen), BATCH):
        with outbox.write() as run:
            forgotten += [each for each in chosen[first : first + BATCH] if forget(run, each)]
    return forgotten


def compact(outbox: Database, *, for_s: float | None = None) -> bool:
    """Empty the -wal file, and give free pages beyond MOST_FREE_PAGES back; whether some are left, `for_s` being over."""
    until = None if for_s is None else time.monotonic() + for_s
    while (free := outbox.free_pages()) > MOST_FREE_PAGES:
        outbox.shrink(min(PAGES, free - MOST_FREE_PAGES))
        if until is not None and time.monotonic() >= until:
            break
    outbox.checkpoint()
    return free > MOST_FREE_PAGES


def make_room(outbox: Database, state_dir: str, keep_s: float) -> int:
    """After FullDiskError: prune, with the room of the ballast; how many pushes were forgotten. Raises OutboxError."""
    if disk.release_ballast(state_dir):
        log.warning(
            "the disk is full: the room of %s/%s is used, to forget what is old and to write down how deliveries end",
            state_dir,
            disk.BALLAST,
        )
    with suppress(FullDiskError):  # there may be room in the -wal file all the same
        outbox.checkpoint(truncate=False)
    forgotten, _ = prune(outbox, keep_s)
    outbox.checkpoint(truncate=False)
    return forgotten


def mend_times(outbox: Database) -> int:
    """Make due what waits for a time that no schedule gives, the clock having been set back; how many. Raises OutboxError.

    Leases that would hold for longer than any end in LEASE_LEFT_S.
    """
    now = outbox.now
    times = {"now": now, "latest": now + LONGEST_WAIT_S, "longest": now + LONGEST_HOLD_S, "left": now + LEASE_LEFT_S}
    with outbox.write() as run:
        return sum(run(name, **times).rowcount for name in ("mend_events", "mend_deliveries", "mend_breakers"))


@dataclass(slots=True)
class Upkeep:
    """What a worker does for its outbox beside its work; `run` and `make_room` raise OutboxError."""

    outbox: Database
    state_dir: str
    keep_s: float
    clock: Callable[[], float] = field(default=time.monotonic)
    _due_at: float = 0.0

    def run(self) -> None:
        """Each time round; does something every EVERY_S seconds, for about AT_A_TIME_S."""
        now = self.clock()
        if now < self._due_at:
            return
        self._due_at = now + EVERY_S
        disk.keep_ballast(self.state_dir)
        if mended := mend_times(self.outbox):
            log.warning(
                "the clock was set back: %d deliveries, pushes and endpoints that waited for a far time do not any longer", mended
            )
        forgotten, more = prune(self.outbox, self.keep_s, for_s=AT_A_TIME_S)
        if forgotten:
            log.info("forgot %d pushes older than %d days", forgotten, self.keep_s / 86_400)
        if swept := list(spool.sweep(self.state_dir, self.outbox.now)):
            log.info("removed %d stale drafts", len(swept))
        if more or compact(self.outbox, for_s=AT_A_TIME_S):
            self._due_at = now + AGAIN_S

    def make_room(self) -> None:
        """After FullDiskError. What hinders it is waited out: the next time round tries again."""
        try:
            if forgotten := make_room(self.outbox, self.state_dir, self.keep_s):
                log.info("forgot %d pushes older than %d days", forgotten, self.keep_s / 86_400)
        except FullDiskError:
            pass  # it was told already
        except (CorruptOutboxError, MovedOutboxError):
            raise
        except OutboxError as error:
            log.warning("no room could be made: %s", visible(str(error)))
