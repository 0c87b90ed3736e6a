"""Diffs for people: how much of them a mail shows, and what is said of the rest.

A diff is shown by whole lines, with its tabs, and with any other control character made visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from payload import text

MAX_LINE_CHARS = 500
"""Longer ones are of no text that somebody would read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is shown of the diff of one commit, and of all in one mail; bytes of UTF-8."""

    commit_lines: int = 1000
    commit_bytes: int = 64 * 1024
    mail_lines: int = 5000
    mail_bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a diff."""

    lines: tuple[str, ...]
    remark: str = ""
    """What is missing and why, in sentences; '' if nothing is."""


class Room:
    """What is left of the limits of one mail."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lines, self._bytes = limits.mail_lines, limits.mail_bytes

    def show(self, details: Mapping[str, Any]) -> Shown | None:
        """The diff of a commit, of `payload['oberon']['commits'][raw_node]`; None if the payload has none."""
        diff = details.get("diff")
        if diff is None:
            return None
        is_cut = "diff" in details.get("truncated", ())
        if not diff:
            return Shown((), "The diff could not be made." if is_cut else "There is no difference to show.")
        every = text.repair(str(diff)).removesuffix("\n").split("\n")
        lines, limit = self._take(every)
        left = len(every) - len(lines)
        remarks = []
        if left:
            count = f"{left:,} {'line' if left == 1 else 'lines'}"
            begun = f"The diff goes on for {count}" if lines else f"The diff, of {count}, is left out"
            remarks.append(f"{begun}: at most {limit} are shown.")
        if is_cut:
            remarks.append("What is beyond oberon.maxDiff is not here.")
        return Shown(tuple(lines), " ".join(remarks))

    def _take(self, every: Sequence[str]) -> tuple[list[str], str]:
        """As many lines as there is room for, and the limit that the next one, if there is one, would exceed."""
        limits = self._limits
        max_lines, of_lines = min((limits.commit_lines, "commit"), (self._lines, "mail"))
        max_bytes, of_bytes = min((limits.commit_bytes, "commit"), (self._bytes, "mail"))
        told_lines = limits.commit_lines if of_lines == "commit" else limits.mail_lines
        told_bytes = limits.commit_bytes if of_bytes == "commit" else limits.mail_bytes
        limit = f"{told_lines:,} lines a {of_lines}"
        lines: list[str] = []
        size = 0
        for line in every[:max_lines]:
            shown = _shown(line)
            if size + len(shown.encode()) + 1 > max_bytes:
                limit = f"{told_bytes:,} bytes a {of_bytes}"
                break
            size += len(shown.encode()) + 1
            lines.append(shown)
        self._lines -= len(lines)
        self._bytes -= size
        return lines, limit


def _shown(line: str) -> str:
    if len(line) > MAX_LINE_CHARS:
        line = f"{line[:MAX_LINE_CHARS]} [... {len(line) - MAX_LINE_CHARS:,} more characters]"
    return line if line.isprintable() else "\t".join(text.visible(part) for part in line.split("\t"))
