"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    SKIPPED = "skipped"  #: it could not be looked at


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one broker."""

    broker: str
    """Its name; '' where the file did not load."""
    check: str
    """In a word: `loads`, `secrets`."""
    verdict: Verdict
    told: str
    """What was found, in one line."""
    remedy: str = ""
    """What to change; '' when all is well."""
