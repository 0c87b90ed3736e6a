"""What `oberon doctor` looks at: each function here yields `Check`s, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  #: it works, but not as well or as safely as it could
    ERROR = "error"  #: deliveries fail, or no push is seen


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    level: Level
    looked_at: str
    """In a word or two: `git`, `state directory`, `service.ci.url`."""
    told: str
    """What was found, in one line."""
    remedy: str = ""
    """The command, or the change, that mends it; '' when all is well."""
    is_setting: bool = False
    """Whether it is the configuration that is wrong: then the exit code is 2."""


def ok(looked_at: str, told: str) -> Check:
    """All is well."""
    return Check(Level.OK, looked_at, told)


def warning(looked_at: str, told: str, remedy: str) -> Check:
    """It works, but."""
    return Check(Level.WARNING, looked_at, told, remedy)


def error(looked_at: str, told: str, remedy: str, *, is_setting: bool = False) -> Check:
    """It does not work."""
    return Check(Level.ERROR, looked_at, told, remedy, is_setting)
