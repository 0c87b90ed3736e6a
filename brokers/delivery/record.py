"""What the state directory tells: deliveries, attempts, pushes not yet read, the spool, the worker. It changes nothing.

Each answer is a typed row of a question in `queries.sql`. Times are Unix seconds.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from brokers.delivery import spool, wake
from brokers.delivery.outbox import FILE, MAX_LATER, Outbox
from brokers.delivery.outcome import State
from payload.push import Event

NO_LIMIT = -1  # SQLite's
STUCK_S = 600.0
"""What is due for so long although a worker runs is stuck."""
UNATTENDED_S = 60.0
"""What is due for so long while no worker runs will wait for the next push; a hook starts one within a second."""


class _Row:
    """A dataclass whose fields are columns."""

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        return cls(**{field.name: row[field.name] for field in fields(cls)})  # type: ignore[arg-type]  # each subclass is one


@dataclass(frozen=True, slots=True)
class Delivery(_Row):
    """One push for one service."""

    id: int
    event: str
    """The push's id, 32 hex digits."""
    sequence: int
    """The push's number in its repository."""
    repository: str
    service: str
    broker: str
    endpoint: str
    """Where it goes, as `host:port`; '' if the broker does not say."""
    state: str
    """A `State`."""
    attempts: int
    repeats: int
    """How often it was sent again by hand."""
    next_at: float
    """When it is due, while it waits."""
    reason: str
    """Why the last attempt failed, or why it was skipped or given up."""
    note: str
    """What the broker returned."""
    created_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class UnreadPush(_Row):
    """A push in the outbox whose repository was not read yet, or cannot be read."""

    id: str
    repository: str
    sequence: int
    state: str
    attempts: int
    next_at: float
    reason: str
    created_at: float


@dataclass(frozen=True, slots=True)
class LastPush:
    """A push as it was recorded, with what it takes to read it again."""

    event: Event
    sequence: int
    """The push's number in its repository."""
    payload: dict[str, Any]
    """As the worker composed it then, less `broker` and `service`."""
    later: tuple[Event, ...]
    """Those of its repository that came after it and are not read, oldest first."""


@dataclass(frozen=True, slots=True)
class Reading(_Row):
    """A push that the worker is reading and that takes it longer."""

    repository: str
    event: str
    """The push's id, 32 hex digits."""
    commits_read: int
    commits_total: int | None
    """Those to read; None before it is known."""
    started_at: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of the broker."""

    number: int
    started_at: float
    duration_s: float
    outcome: str
    """A `Verdict`."""
    reason: str
    details: Mapping[str, Any]
    """`exchanges`, and `traceback` and `printed` where there are any."""


@dataclass(frozen=True, slots=True)
class Failing(_Row):
    """A service with a delivery that failed, and the newest such one."""

    repository: str
    service: str
    state: str
    reason: str
    id: int


@dataclass(frozen=True, slots=True)
class Spool:
    """What lies in the spool."""

    waiting: int = 0
    bad: int = 0
    oldest_s: float | None = None
    """Age of the oldest that waits; None if none does."""


@dataclass(frozen=True, slots=True)
class Late:
    """What is due for longer than it takes."""

    count: int
    """Pushes and deliveries."""
    since: float
    worker: bool
    """Whether one runs."""


@contextmanager
def existing_outbox(state_dir: str) -> Iterator[Outbox | None]:
    """The outbox of `state_dir`; None where there is none yet, and none is made. Raises OutboxError."""
    if not (Path(state_dir) / FILE).exists():
        yield None
        return
    with Outbox.open(state_dir, time.time) as outbox:
        yield outbox


def deliveries(
    outbox: Outbox | None,
    *,
    repository: str | None = None,
    service: str | None = None,
    state: str | None = None,
    failed: bool = False,
    since: float | None = None,
    most: int = NO_LIMIT,
) -> list[Delivery]:
    """Newest first. `failed`: those that failed and are not delivered since, dead ones too; `since`: entered at or after it."""
    if outbox is None:
        return []
    asked = {"repository": _in_outbox(repository), "service": service, "state": state, "failed": failed, "since": since}
    return [Delivery.of(row) for row in outbox.ask("list_deliveries", **asked, most=most)]


def unread(outbox: Outbox | None, repository: str | None = None, most: int = NO_LIMIT) -> list[UnreadPush]:
    """Pushes not yet read, newest first; those that cannot be read are `dead`."""
    rows = outbox.ask("list_unread", repository=_in_outbox(repository), most=most) if outbox else []
    return [UnreadPush.of(row) for row in rows]


def readings(outbox: Outbox | None, *, worker: bool, now: float) -> list[Reading]:
    """What a worker is reading, oldest first; nothing where none runs (`worker`), though one that was killed left its notes."""
    return [Reading.of(row) for row in outbox.ask("list_readings", now=now)] if outbox and worker else []


def delivery(outbox: Outbox | None, number: int) -> tuple[Delivery, dict[str, Any], dict[str, Any] | None] | None:
    """A delivery, the facts of its push (`Event.to_record`) and the payload less `broker` and `service`; None if there is none."""
    rows = outbox.ask("show_delivery", id=number) if outbox else []
    if not rows:
        return None
    payload = rows[0]["payload"]
    return Delivery.of(rows[0]), json.loads(rows[0]["record"]), None if payload is None else json.loads(payload)


def unread_push(outbox: Outbox | None, event: str) -> UnreadPush | None:
    """The push of that id, if it is in the outbox and not read."""
    return next((push for push in unread(outbox) if push.id == event), None)


def deliveries_of(outbox: Outbox | None, event: str) -> list[int]:
    """The numbers of a push's deliveries."""
    return [row["id"] for row in outbox.ask("deliveries_of", id=event)] if outbox else []


def attempts(outbox: Outbox, number: int) -> list[Attempt]:
    """A delivery's attempts, oldest first."""
    return [
        Attempt(
            row["number"], row["started_at"], row["duration_s"], row["outcome"], row["reason"], json.loads(row["details"] or "{}")
        )
        for row in outbox.ask("attempts_of", id=number)
    ]


def last_push(outbox: Outbox | None, repository: str) -> LastPush | None:
    """The newest push of a repository that was read; None if there is none."""
    place = _in_outbox(repository)
    rows = outbox.ask("last_push", repository=place) if outbox else []
    if outbox is None or not rows:
        return None
    row = rows[0]
    later = outbox.ask("events_after", repository=place, sequence=row["sequence"], most=MAX_LATER)
    return LastPush(
        Event.from_record(json.loads(row["record"])),
        row["sequence"],
        json.loads(row["payload"]),
        tuple(Event.from_record(json.loads(each["record"])) for each in later),
    )


def counts(outbox: Outbox | None, question: str) -> dict[str, int]:
    """How many in each state; `question` is `count_deliveries` or `count_events`."""
    return {row["state"]: row["n"] for row in outbox.ask(question)} if outbox else {}


def failing(outbox: Outbox | None) -> list[Failing]:
    """The services whose newest failure is not mended."""
    return [Failing.of(row) for row in outbox.ask("last_failures")] if outbox else []


def oldest_waiting_at(outbox: Outbox | None) -> float | None:
    """When the oldest delivery or push that still waits came in; None if none does."""
    questions = ("count_deliveries", "count_events")
    rows = [row for question in questions for row in outbox.ask(question)] if outbox else []
    return min((row["oldest"] for row in rows if row["state"] in (State.WAITING, State.LEASED)), default=None)


def late(outbox: Outbox | None, spooled: Spool, *, worker: bool, now: float) -> Late | None:
    """What should have been delivered long ago: STUCK_S where a `worker` runs, UNATTENDED_S where none does; None if nothing."""
    spooled_at = None if spooled.oldest_s is None else now - spooled.oldest_s
    since = min((at for at in (overdue_since(outbox), spooled_at) if at is not None), default=now)
    if now - since <= (STUCK_S if worker else UNATTENDED_S):
        return None
    due: int = outbox.ask("count_due", now=now)[0]["n"] if outbox else 0
    return Late(due + spooled.waiting, since, worker)


def overdue_since(outbox: Outbox | None) -> float | None:
    """When the first of what is waiting was due; later than now if nothing is late; None if nothing waits."""
    return outbox.next_due_at() if outbox else None


def ended_since(outbox: Outbox, since: float) -> dict[str, int]:
    """How many deliveries ended at or after `since`, by state, and how many still wait."""
    return {row["state"]: row["n"] for row in outbox.ask("ended_since", since=since)}


def spooled(state_dir: str) -> Spool:
    """What lies in the spool of `state_dir`; nothing where there is none. Raises OSError if it may not be listed."""
    if not (Path(state_dir) / "spool").is_dir():
        return Spool()
    waiting = spool.waiting(state_dir)
    oldest_at = None
    if waiting:
        try:
            oldest_at = Path(waiting[0]).lstat().st_mtime
        except FileNotFoundError:
            pass  # the worker took it in meanwhile
    bad = sum(1 for _ in (Path(state_dir) / "spool" / "bad").iterdir())
    return Spool(len(waiting), bad, None if oldest_at is None else max(0.0, time.time() - oldest_at))


def worker_runs(state_dir: str) -> bool:
    """Whether a worker holds the lock of `state_dir`. Raises PermissionError if it may not be asked."""
    lock = Path(state_dir) / wake.LOCK
    if lock.exists() and not os.access(lock, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(lock))
    return wake.is_held(str(lock))


def _in_outbox(path: str | None) -> str | None:
    """A repository's path as the outbox has it."""
    return None if path is None else os.fsencode(path).decode("utf-8", "backslashreplace")
