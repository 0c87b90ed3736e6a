"""Spool to outbox: what the hooks left, entered once, however often it is found."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from brokers.delivery import spool, statedir
from brokers.delivery.database import FullDiskError
from brokers.delivery.outbox import Outbox
from payload.push import Event, MalformedEventError
from payload.text import visible

log = logging.getLogger("oberon.worker")

SCAN_S = 5.0
FILES_AT_A_TIME = 20  # taken out of the spool, before deliveries have their turn


class Intake:
    """What a worker takes out of the spool: when a hook has rung, and every SCAN_S."""

    def __init__(self, outbox: Outbox, state_dir: str) -> None:
        self._outbox = outbox
        self._state_dir = state_dir
        self._left: set[str] = set()
        """Files that could not be taken in."""
        self.due_at = 0.0
        """When the spool is looked through next, on time.monotonic()'s clock."""

    @property
    def is_due(self) -> bool:
        """Whether the spool is to be looked through now."""
        return time.monotonic() >= self.due_at

    def look(self) -> None:
        """At once: a hook has rung."""
        self.due_at = 0.0

    def has_new(self) -> bool:
        """Whether anything is in the spool that was not there, or could be read, when it was last looked through.

        Raises OSError if it cannot be listed.
        """
        return not self._left.issuperset(spool.waiting(self._state_dir))

    def go_on(self) -> FullDiskError | None:
        """Take in the next files. What is returned hindered it, but is no reason not to go on: what is in the
        spool is safe there.

        Raises OSError if the spool cannot be listed, OutboxError.
        """
        now = time.monotonic()
        paths = spool.waiting(self._state_dir)
        fresh = [path for path in paths if path not in self._left]
        turn = (fresh + [path for path in paths if path in self._left])[:FILES_AT_A_TIME]
        try:
            left = take_in(self._outbox, self._state_dir, turn)
        except FullDiskError as error:
            return error
        self.due_at = now if len(fresh) > FILES_AT_A_TIME else now + SCAN_S
        # One file that cannot be read or moved now (too many open files, say) holds up no other.
        for path in left.keys() - self._left:
            log.warning("left in the spool: %s", visible(str(left[path])))
        self._left = self._left.intersection(paths).difference(turn).union(left)
        return None


def take_in(outbox: Outbox, state_dir: str, paths: Sequence[str]) -> dict[str, OSError]:
    """These files of the spool into the outbox, in one transaction, and away; what is no event, aside.

    Returned are those that could not be read or moved now, and why. Raises OutboxError; then all of them are where they were.
    """
    left: dict[str, OSError] = {}
    entered = []
    with outbox.write():
        for path in paths:
            try:
                if _enter(outbox, state_dir, path):
                    entered.append(path)
            except FileNotFoundError:
                continue  # another process was quicker
            except OSError as error:
                left[path] = error
    for path in entered:  # what is written is on the disk now
        try:
            spool.remove(path)
        except OSError as error:
            left[path] = error
    return left


def _enter(outbox: Outbox, state_dir: str, path: str) -> bool:
    """One of them into the outbox, or aside; whether it is in the outbox. Raises OutboxError, OSError."""
    try:
        record = spool.load(path, shared=statedir.is_shared(state_dir))
        # Alerts come from the outbox itself; one in the spool is none.
        event = Event.from_record({**record, "alert": {}})
    except (spool.BadSpoolFile, MalformedEventError) as error:
        aside = spool.set_aside(state_dir, path)
        log.warning("set aside as %s: %s", visible(aside), visible(str(error)))
        return False
    only = record.get("only")
    outbox.add_event(event, only=[str(name) for name in only] if isinstance(only, list) else None)
    return True


def take_all_in(outbox: Outbox, state_dir: str) -> int:
    """All of it; how many files there were. Raises OutboxError, OSError."""
    paths = spool.waiting(state_dir)
    for error in take_in(outbox, state_dir, paths).values():
        raise error
    return len(paths)
