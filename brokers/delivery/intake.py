"""Spool to outbox: what the hooks left, entered once, however often it is found."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from brokers.delivery import spool, statedir
from brokers.delivery.outbox import Outbox
from payload.push import Event, MalformedEventError
from payload.text import visible

log = logging.getLogger("oberon.worker")


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
