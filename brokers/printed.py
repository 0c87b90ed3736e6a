"""What a broker prints goes to its attempt's record, not to the pusher and never into a protocol stream.

After an hg hook returned, stdout is the wire to the client again; a thread that prints then would write into it. So while
brokers run, `sys.stdout` and `sys.stderr` ask which thread is printing, and keep a broker's words for the record.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

MAX_CHARS = 8 * 1024

_mine = threading.local()


class _ByThread(io.TextIOBase):
    """A stream that keeps what broker threads write and hands everything else on."""

    def __init__(self, behind: TextIO) -> None:
        self.behind = behind

    def write(self, text: str) -> int:
        kept: list[str] | None = getattr(_mine, "kept", None)
        if kept is None:
            return self.behind.write(text)
        if sum(map(len, kept)) < MAX_CHARS:
            kept.append(text)
        return len(text)

    def flush(self) -> None:
        if getattr(_mine, "kept", None) is None:
            self.behind.flush()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


def _keep_apart() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _ByThread):
            setattr(sys, name, _ByThread(stream))


@contextmanager
def keeping() -> Iterator[list[str]]:
    """Within it, what this thread prints is appended to the list that it yields, up to about MAX_CHARS."""
    _keep_apart()
    kept: list[str] = []
    _mine.kept = kept
    try:
        yield kept
    finally:
        # An abandoned thread may print until the process ends; only its own `finally` gives it the streams back.
        del _mine.kept
