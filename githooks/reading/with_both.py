"""The lane of `oberon.gitReader = auto`: dulwich for what is small, for no process needs to be started; git for what is large.

Where there is no git, dulwich reads everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from brokers.errors import ReadingError
from githooks.reading import git_binary
from githooks.reading.lane import Contents
from githooks.reading.objects import Links
from githooks.reading.with_dulwich import DulwichLane
from githooks.reading.with_git import GitLane
from payload.push import Event

CROSSOVER = 40
"""From so many commits on git is quicker, for all that it must be started (`make bench`, "crossover")."""


CROSSOVER_LINKS = 1000
"""Likewise, of commits of which only the links are read."""


class BothLanes(DulwichLane):
    """A `lane.Lane`; a context manager. Raises ReadingError if the repository is not there, or dulwich cannot open it."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self._event = event
        self._git_lane: GitLane | None = None

    def links_of(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """As of `lane.Lane`."""
        lane = self._git() if len(oids) >= CROSSOVER_LINKS else None
        return None if lane is None else lane.links_of(oids)

    def newest_first(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """As of `lane.Lane`."""
        lane = self._git()
        return None if lane is None else lane.newest_first(oids)

    def contents(self, commits: Sequence[tuple[bytes, Links]], max_files: int) -> Iterator[Contents]:
        """As of `lane.Lane`. Where git fails, whatever for, dulwich goes on."""
        lane = self._git() if len(commits) >= CROSSOVER else None
        told = 0
        if lane is not None:
            with suppress(ReadingError):
                for contents in lane.contents(commits, max_files):
                    yield contents
                    told += 1
        yield from super().contents(commits[told:], max_files)

    def _git(self) -> GitLane | None:
        if self._git_lane is None and git_binary.is_there():
            self._git_lane = self._open.enter_context(GitLane(self._event))
        return self._git_lane
