"""A corrupt outbox is set aside, and the worker goes on with a new one.

What it says of unfinished pushes, as far as it can be read, goes back into the spool first, so that being killed in between
loses nothing: an event is entered by its id. Beyond them, how far the numbering of the repositories was and which services
are switched off is taken over. The record of what is finished or dead stays in the file that is set aside, for
`sqlite3 FILE .recover`; so do the attempts of what is tried again, whose schedule begins anew, alerts that were on their way,
and what was known of the refs: `reconcile` takes what it finds next for known.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brokers.delivery import spool
from brokers.delivery.claims import path_text
from brokers.delivery.database import FILE, Database, OutboxError
from payload.push import Event
from payload.text import visible

log = logging.getLogger("oberon.worker")

AGAIN_S = 600.0
"""So soon after one was set aside none is: the disk is failing, and would be filled with them."""
DOUBTFUL_S = 3 * 86_400.0
"""A push that was read, and whose deliveries are in the part that cannot be, is sent to all again if it is younger than this."""

_ASIDE = FILE + ".corrupt-"
_STAMP = "%Y%m%dT%H%M%SZ"
_BESIDE = ("-wal", "-shm", "")  # the file itself last: a new one must not find the old one's journal
_UNFINISHED = ("waiting", "leased")
_SERVICE = ("repository", "name", "failing_since", "disabled_at", "disabled_by", "disabled_why", "alerted_at")


@dataclass(slots=True)
class Salvaged:
    """What was found in a corrupt outbox; `pushes` are in the spool."""

    path: Path
    """What it is called now."""
    pushes: int = 0
    lost: int = 0
    """Unfinished deliveries whose push could not be read."""
    whole: bool = True
    """Whether all of it could be read."""
    repositories: set[str] = field(default_factory=set)
    sequences: list[tuple[str, int]] = field(default_factory=list)
    services: list[tuple[Any, ...]] = field(default_factory=list)


def lying_aside(state_dir: str) -> list[Path]:
    """The outboxes that were set aside and are still there, oldest first; their -wal and -shm not among them."""
    with suppress(OSError):
        return sorted(path for path in Path(state_dir).glob(_ASIDE + "*") if not path.name.endswith(_BESIDE[:2]))
    return []


def set_aside(state_dir: str, reason: str, now: float) -> Salvaged:
    """Put a corrupt outbox out of the way; what was found in it. Only for the holder of the worker's lock, with it closed.

    Raises OutboxError if one was set aside less than AGAIN_S ago, OSError if a push cannot be written to the spool: then all is
    as it was.
    """
    before = lying_aside(state_dir)
    if before and now - before[-1].stat().st_ctime < AGAIN_S:
        told = f"corrupt again ({reason}), so soon after {before[-1].name} was set aside: see to the disk, or remove that file"
        raise OutboxError(os.fspath(Path(state_dir) / FILE), told)
    path = Path(state_dir) / FILE
    target = path.with_name(_ASIDE + time.strftime(_STAMP, time.gmtime(now)))
    found = _read(path, state_dir, target, now)
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{target}{suffix}")  # noqa: PTH104 - no path to join
    log.error(
        "the outbox is corrupt (%s): set aside as %s. %d unfinished pushes of it were taken over%s%s",
        visible(reason),
        visible(str(target)),
        found.pushes,
        f", {found.lost} unfinished deliveries could not be" if found.lost else "",
        "" if found.whole else "; parts of it cannot be read",
    )
    return found


def take_over(outbox: Database, found: Salvaged) -> None:
    """Into the new outbox: numbering, and the services that are switched off or fail. Raises OutboxError."""
    with outbox.write() as run:
        for path in found.repositories:
            run("set_baseline", repository=path, refs="", record=None)
        for path, sequence in found.sequences:
            run("take_over_sequence", path=path, sequence=sequence)
            run("set_baseline", repository=path, refs="", record=None)  # of the pushes, only the unfinished come in again
        for row in found.services:
            run("take_over_service", **dict(zip(_SERVICE, row, strict=True)))


class _Table:
    """The rows of a table, its key first: from the beginning to where it is damaged, then from the end to there."""

    def __init__(self, connection: sqlite3.Connection, name: str, key: Sequence[str], columns: Sequence[str] = ()) -> None:
        self._connection = connection
        self._key = len(key)
        self._asked = f"SELECT {', '.join((*key, *columns))} FROM {name} ORDER BY "  # noqa: S608 - names of this module's
        self._orders = tuple(", ".join(f"{column} {order}" for column in key) for order in ("ASC", "DESC"))
        self.whole = True
        """Whether all rows could be read; known after the last of them."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        last: tuple[Any, ...] = ()
        try:
            for row in self._connection.execute(self._asked + self._orders[0]):
                if row[: self._key] <= last:
                    break  # no order: pages lead in a circle
                last = row[: self._key]
                yield row
            else:
                return
        except (sqlite3.Error, TypeError):  # TypeError: a key of another type than the one before it
            pass
        self.whole = False
        with suppress(sqlite3.Error, TypeError):
            for row in self._connection.execute(self._asked + self._orders[1]):
                if row[: self._key] <= last:
                    return
                yield row


def _read(path: Path, state_dir: str, target: Path, now: float) -> Salvaged:
    found = Salvaged(target)
    try:
        # Read-only: closing it must not write the journal into what is damaged.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error:
        found.whole = False
        return found
    with closing(connection):
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        deliveries = _Table(connection, "delivery", ("id",), ("event", "service", "state"))
        events = _Table(connection, "event", ("id",), ("record", "only", "sequence", "state", "created_at"))
        sequences = _Table(connection, "repository", ("path",), ("sequence",))
        unfinished, known = _services(deliveries)
        for identity, record, only, sequence, state, created_at in events:
            services = unfinished.pop(identity, None)
            if sequence == 0:
                continue  # no push: an alert, or what is only known
            doubtful = state == "read" and not deliveries.whole and identity not in known
            if services is None and not (state in _UNFINISHED or (doubtful and created_at > now - DOUBTFUL_S)):
                continue
            repository = _respool(state_dir, record, only if services is None else json.dumps(services), created_at)
            if repository is None:
                found.lost += 1
            else:
                found.pushes += 1
                found.repositories.add(repository)
        found.lost += sum(map(len, unfinished.values()))
        found.sequences = list(sequences)
        found.repositories.update(repository for repository, _ in found.sequences)
        found.services = list(_Table(connection, "service", _SERVICE[:2], _SERVICE[2:]))
        found.whole = deliveries.whole and events.whole and sequences.whole
    return found


def _services(deliveries: _Table) -> tuple[dict[str, list[str]], set[str]]:
    """Event -> the services that it still has to go to; and all events with a delivery."""
    unfinished: dict[str, list[str]] = {}
    known = set()
    for _, event, service, state in deliveries:
        known.add(event)
        if state in _UNFINISHED:
            unfinished.setdefault(event, []).append(service)
    return unfinished, known


def _respool(state_dir: str, record: str, only: str | None, created_at: float) -> str | None:
    """Write an event into the spool, as old as it is; its repository in the outbox. None for one that cannot be read.

    Raises OSError.
    """
    try:
        event = Event.from_record(json.loads(record))
        told = event.to_record()
        path = spool.write(state_dir, told if only is None else {**told, "only": json.loads(only)})
        os.utime(path, (created_at, created_at))
    except (ValueError, TypeError, OverflowError):  # MalformedEventError is a ValueError
        return None
    return path_text(event.path)
