"""The circumstances of one call of a broker: until when, over which network, and the record of what was said.

The delivery enters `placing(Call(...))` around `Broker.handle`; every transport function asks `current()`. So a broker
passes nothing on, and cannot forget its deadline.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

DEFAULT_TIMEOUT_S = 30.0
KEPT_BYTES = 8 * 1024  # of a request or response in the record, as GitLab keeps


@dataclass(slots=True)
class Exchange:
    """What was said to a service and what it answered, as text for the record; secrets not yet masked."""

    transport: str
    """`http`, `smtp`, `sendmail`, `program` or a message broker's scheme."""
    request: str
    """First line, headers, empty line, body: at most KEPT_BYTES of it."""
    response: str = ""
    """Likewise; '' if none came."""
    status: int | None = None
    """HTTP status, SMTP code or a program's exit status; None if none came."""
    duration_s: float = 0.0

    def to_record(self) -> dict[str, Any]:
        """By the names of the fields."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Call:
    """One call of a broker. `deadline` is on time.monotonic()'s clock."""

    deadline: float = field(default_factory=lambda: time.monotonic() + DEFAULT_TIMEOUT_S)
    allow_hosts: tuple[str, ...] = ("external", "private", "loopback")
    """Where services may be (`oberon.allowHosts`)."""
    repository: str = ""
    """Absolute path of the repository, for what works on it; '' where the call is for none."""
    proxy: str | None = None
    ca_bundle: str | None = None
    dry_run: bool = False
    """Record what would be said, say nothing; every answer is then a success."""
    exchanges: list[Exchange] = field(default_factory=list)
    placed: bool = False
    """The broker was called."""

    def remaining_s(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.deadline - time.monotonic())


_current: ContextVar[Call | None] = ContextVar("oberon_call", default=None)


@contextmanager
def placing(call: Call) -> Iterator[Call]:
    """Within it, `current()` is `call`, in this thread."""
    token = _current.set(call)
    call.placed = True
    try:
        yield call
    finally:
        _current.reset(token)


def current() -> Call:
    """The call being made in this thread; a new one with the default deadline where none is (a thread of the broker's own)."""
    return _current.get() or Call()
