"""A line that tells how far a reading is, for who waits at a terminal; nothing of it stays."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from brokers.delivery.progress import Progress, told

AFTER_S = 2.0
EVERY_S = 0.5


@contextmanager
def shown(*, wanted: bool = True) -> Iterator[Progress | None]:
    """Within it, what it yields tells stderr, from AFTER_S on, how far the reading is. None if stderr is no terminal, or not `wanted`.

    A thread writes, so that the line moves also while nothing is called, as before the number of commits is known.
    """
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    line = _Line()
    writer = threading.Thread(target=line.write, daemon=True)
    writer.start()
    try:
        yield line.note
    finally:
        line.over.set()
        writer.join()


class _Line:
    def __init__(self) -> None:
        self.over = threading.Event()
        self._began = time.monotonic()
        self._progress: tuple[int, int | None] = (0, None)

    def note(self, commits_read: int, commits_total: int) -> None:
        self._progress = (commits_read, commits_total)

    def write(self) -> None:
        """Until it is over; then the line is made blank."""
        width = 0
        while not self.over.wait(EVERY_S if width else AFTER_S):
            line = f"reading: {told(*self._progress)}, {time.monotonic() - self._began:.0f} s"
            width = max(width, len(line))
            print(f"\r{line.ljust(width)}", end="", file=sys.stderr, flush=True)
        if width:
            print(f"\r{' ' * width}\r", end="", file=sys.stderr, flush=True)
