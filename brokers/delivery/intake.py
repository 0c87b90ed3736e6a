"""Spool to outbox: what the hooks left, entered once, however often it is found."""

from __future__ import annotations

import logging
from contextlib import suppress

from brokers.delivery import spool, statedir
from brokers.delivery.outbox import Outbox
from payload.push import Event, MalformedEventError
from payload.text import visible

log = logging.getLogger("oberon.worker")


def take_in(outbox: Outbox, state_dir: str, path: str) -> None:
    """One file of the spool into the outbox, and away; what is no event, aside. Raises OutboxError, OSError."""
    try:
        record = spool.load(path, shared=statedir.is_shared(state_dir))
        # Alerts come from the outbox itself; one in the spool is none.
        event = Event.from_record({**record, "alert": {}})
    except (spool.BadSpoolFile, MalformedEventError) as error:
        aside = spool.set_aside(state_dir, path)
        log.warning("set aside as %s: %s", visible(aside), visible(str(error)))
        return
    only = record.get("only")
    outbox.add_event(event, only=[str(name) for name in only] if isinstance(only, list) else None)
    spool.remove(path)


def take_all_in(outbox: Outbox, state_dir: str) -> int:
    """All of it; how many files. Raises OutboxError, OSError."""
    paths = spool.waiting(state_dir)
    for path in paths:
        with suppress(FileNotFoundError):  # another process was quicker
            take_in(outbox, state_dir, path)
    return len(paths)
