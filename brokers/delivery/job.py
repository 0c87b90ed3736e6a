"""A job of the pool's, as its owner and the thread that runs it see it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class GivenUp(Exception):
    """Raised within a job that took longer than it might."""


@dataclass(slots=True)
class Job:
    """Something to be done, and what became of it."""

    key: Any
    """The owner's own."""
    work: Callable[[Job], Any]
    timeout_s: float
    """From when it is begun."""
    lane: str = ""
    """'' for one that shares nothing out."""
    is_quick: bool = False
    """As far as its owner knows; such a one waits for its turn while the process has enough to do (`brokers.delivery.pace`)."""
    submitted: float = field(default_factory=time.monotonic)
    """This and the next two on time.monotonic()'s clock."""
    began: float | None = None
    """None while it waits for a thread, or for its turn in its lane."""
    deadline: float = math.inf
    told: Any = None
    """What the work let its owner know before it ended."""
    result: Any = None
    error: BaseException | None = None
    finished: bool = False
    """The work has returned or raised."""
    abandoned: bool = False
    """Given up by the owner when its time was over; the thread that runs it sees this when it is done, and ends."""

    @property
    def elapsed_s(self) -> float:
        """Since it was begun; 0 before that."""
        return 0.0 if self.began is None else time.monotonic() - self.began

    def go_on(self) -> None:
        """From within the job, now and then. Raises GivenUp, to end the work, if nobody waits for it any more."""
        if self.abandoned:
            raise GivenUp
