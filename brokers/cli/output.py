"""What a command prints: lines for people, in which nothing from outside reaches the terminal raw, and JSON for programs.

JSON is ASCII: every parser takes it, and no control character of a pushed name gets to a terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from payload import text


def repaired(line: str) -> str:
    """`line` fit for a terminal: one line, control characters as escapes, no bytes that are no text."""
    return text.visible(text.repair(line))


def say(line: str = "") -> None:
    """Print one line for people."""
    print(repaired(line))


def warn(line: object) -> None:
    """Print one line for people on stderr, as a warning."""
    print(f"warning: {repaired(str(line))}", file=sys.stderr)


def block(told: str, indent: str = "    ") -> None:
    """Print text of several lines, each line indented; line ends at its end and carriage returns are not shown."""
    for line in told.rstrip("\r\n").split("\n"):
        shown = line.removesuffix("\r")
        say(indent + shown if shown else "")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> None:
    """Print rows in columns as wide as their widest cell; the last column runs on."""
    cells = [[repaired(cell) for cell in row] for row in ([heads] if any(heads) else [])]
    cells += [[repaired(cell) for cell in row] for row in rows]
    if not cells:
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print(indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_json(value: Any) -> None:
    """Print a value as JSON, indented by 2."""
    print(json.dumps(_repaired_all(value), indent=2))


def as_json_line(value: Any) -> None:
    """Print a value as JSON in one line (JSON Lines)."""
    print(json.dumps(_repaired_all(value)))


def as_json_block(value: Any, indent: str = "    ") -> None:
    """Print a value as JSON within other lines for people: indented, characters as they are where they can be shown."""
    block(json.dumps(_repaired_all(value), indent=2, ensure_ascii=False), indent)


def _repaired_all(value: Any) -> Any:
    if isinstance(value, str):
        return text.repair(value)
    if isinstance(value, Mapping):
        return {text.repair(str(key)): _repaired_all(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_repaired_all(item) for item in value]
    return value


def iso(unix_s: float | None) -> str | None:
    """`2024-02-03T03:04:05Z`, as --json tells times; None stays None."""
    return None if unix_s is None else datetime.fromtimestamp(int(unix_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local(unix_s: float | None) -> str:
    """`2024-02-03 04:05:06` in this machine's zone, as people are told times; '' for None."""
    return "" if unix_s is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))


_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))


def span(seconds: float) -> str:
    """A duration in its largest whole unit, as `90s`, `5m`, `3h`, `2d`; under two of a unit the next smaller one."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"
