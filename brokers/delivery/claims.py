"""What the outbox hands out: events and deliveries under a lease, and what it takes in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from payload.push import Event


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery to be entered: for one service, waiting or skipped."""

    service: str
    broker: str
    endpoint: str = ""
    """`host:port` or the like, for the limit per host; '' when there is nothing to share out."""
    ordered: bool = False
    skipped: str = ""
    """Why it is not to be delivered; '' if it is."""
    max_age_s: float | None = None
    """How long it is tried at all; None: no limit."""


@dataclass(frozen=True, slots=True)
class EventClaim:
    """An event to be read, under a lease."""

    event: Event
    sequence: int
    """Counts up per repository."""
    only: tuple[str, ...] | None
    """The services it is still for; None: all."""
    attempts: int
    """With this one."""
    created_at: float
    lease: str
    """The fencing token."""
    interrupted: int = 0
    """How often in a row its lease had run out before: it, or one beside it, may kill the worker."""


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A delivery to be attempted, under a lease."""

    id: int
    event: str
    scm: str
    repository: str
    """Absolute path."""
    service: str
    endpoint: str
    attempts: int
    """In all, with this one."""
    scheduled_attempts: int
    """Since the schedule began anew (`redeliver`), with this one."""
    repeats: int
    """How often it was sent again by hand."""
    created_at: float
    payload: str
    """As JSON; see `composed`."""
    lease: str
    """The fencing token."""
    interrupted: int = 0
    """As of an event."""
    is_alert: bool = False
    """Of Oberon's own, about another delivery or service."""
    is_probe: bool = False
    """The one that the open breaker of its endpoint lets through."""

    def composed(self) -> dict[str, Any]:
        """The payload less `broker` and `service` (`payload.build.compose`); a new one each time."""
        made: dict[str, Any] = json.loads(self.payload)
        return made


Claim = DeliveryClaim | EventClaim


def path_text(path: str | None) -> str:
    """A repository's path as the outbox has it: UTF-8, other bytes as escapes; '', which stands for all, for None."""
    return os.fsencode(path or "").decode("utf-8", "backslashreplace")
