"""How an attempt ended, and what the record keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from brokers.errors import BrokerError


class State(StrEnum):
    """Of a delivery (or of an event that is being read)."""

    WAITING = "waiting"  #: for its time, or for a free worker thread
    LEASED = "leased"  #: a worker is at it
    READ = "read"  #: events only: its deliveries have been made
    DELIVERED = "delivered"  #: the broker returned
    DEAD = "dead"  #: given up; `reason` says why, `oberon redeliver` tries again
    SKIPPED = "skipped"  #: a filter, a push option or a disabled service kept it back
    # Shown only: what waits, and why it is not tried when it is due.
    PARKED = "parked"  #: the breaker of its endpoint is open
    DISABLED = "disabled"  #: its service is switched off; `oberon enable` lets it go


class Verdict(StrEnum):
    """What an attempt comes to."""

    DELIVERED = "delivered"  #: done
    RETRY = "retry"  #: not now; the schedule decides when, or that it was the last
    DEAD = "dead"  #: never
    SKIPPED = "skipped"  #: not wanted


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt's end."""

    verdict: Verdict
    reason: str = ""
    """One line for people; '' when delivered."""
    note: str = ""
    """What `handle` returned."""
    after_s: float | None = None
    """Seconds the receiver asked to wait; None if it did not."""
    slow_down: bool = False
    """True for 429 and time-outs."""
    reached: bool | None = None
    """Whether the endpoint answered; None: the attempt does not tell, as when the broker itself is at fault."""
    called: bool = False
    """The broker was called; else its configuration, or what comes before the call, was at fault."""
    gone: bool = False
    """The service wants no more (410): it is to be switched off."""
    duration_s: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
    """`exchanges`, `traceback`, `printed`: secrets masked, each bounded."""


TIMED_OUT = "timed out"


def reason_of(error: BaseException) -> str:
    """What an error that ended a reading or an attempt is told as; one that nobody raised on purpose is our fault."""
    return str(error) if isinstance(error, BrokerError) else f"fault in Oberon: {type(error).__name__}: {error}"
