"""What the record's answers look like: typed rows of `queries.sql`, and what else the state directory tells.

Times are Unix seconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from payload.push import Event


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
    schedule_from: int
    """How many attempts there were before it last was."""
    next_at: float
    """When it is due, while it waits."""
    reason: str
    """Why the last attempt failed, or why it was skipped or given up."""
    note: str
    """What the broker returned."""
    created_at: float
    """Or when it was last sent again."""
    finished_at: float | None
    expires_at: float | None
    """When it is too old to be tried; None: never."""


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
