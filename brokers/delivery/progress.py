"""How far a reading is: what the readers call, and the words for it."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called in the reading thread with (commits read, commits to read): first as (0, n), then now and then."""

FINDING = "finding its new commits"


def told(commits_read: int, commits_total: int | None) -> str:
    """`12,000 of 60,000 commits`; before the total is known (None), that they are being looked for."""
    return FINDING if commits_total is None else f"{commits_read:,} of {commits_total:,} commits"


class Spaced:
    """A `Progress` that hands on its words: `after_s` after it was made at the earliest, then every `every_s` at most."""

    def __init__(self, tell: Callable[[str], None], *, after_s: float, every_s: float) -> None:
        self._tell = tell
        self._every_s = every_s
        self._next_at = time.monotonic() + after_s

    def __call__(self, commits_read: int, commits_total: int) -> None:
        """As `Progress` is called."""
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + self._every_s
            self._tell(told(commits_read, commits_total))
