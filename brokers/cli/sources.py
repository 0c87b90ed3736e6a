"""The two kinds of repository, as the delivery asks for them; what reads them is imported when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from brokers.config import Configuration, Settings
from brokers.delivery.progress import Progress
from payload.push import Commit, Event, Push, Repository


class Reading(Protocol):
    """A push whose commits are read as they are asked for, so that memory does not grow with them."""

    @property
    def repository(self) -> Repository:
        """As in the push."""

    @property
    def user(self) -> str:
        """Who pushed."""

    @property
    def total_commits(self) -> int:
        """How many are new."""

    @property
    def commits(self) -> Iterator[Commit]:
        """The newest `maxCommits`, oldest first. Raises ReadingError."""


class GitSource:
    """git repositories, over `githooks`."""

    def configuration(self, path: str) -> Configuration:
        """What git's configuration says for the git directory `path`. Raises ConfigError."""
        from githooks import config

        return config.load(path)

    def read(
        self,
        event: Event,
        settings: Settings,
        needs: frozenset[str],
        later: Sequence[Event] = (),
        progress: Progress | None = None,
    ) -> Push:
        """The push that `event` tells of. Raises ReadingError."""
        from githooks import reading

        return reading.read(event, settings, needs, later=later, progress=progress)

    def opened(
        self, event: Event, settings: Settings, needs: frozenset[str], progress: Progress | None = None
    ) -> AbstractContextManager[Reading]:
        """The same, commit by commit. Raises ReadingError."""
        from githooks import reading

        return reading.opened(event, settings, needs, progress=progress)


class HgSource:
    """Mercurial repositories, over `hghooks`; loads Mercurial."""

    def configuration(self, path: str) -> Configuration:
        """What hgrc says for the repository in the folder `path`. Raises ConfigError."""
        from hghooks import config

        return config.load(path)

    def read(
        self,
        event: Event,
        settings: Settings,
        needs: frozenset[str],
        later: Sequence[Event] = (),
        progress: Progress | None = None,
    ) -> Push:
        """The push that `event` tells of. Raises ReadingError. A changegroup's range is the same however late it is read."""
        del later
        from hghooks import changes

        return changes.read(event, settings, needs, progress=progress)

    def opened(
        self, event: Event, settings: Settings, needs: frozenset[str], progress: Progress | None = None
    ) -> AbstractContextManager[Reading]:
        """The same, changeset by changeset. Raises ReadingError."""
        from hghooks import changes

        return changes.opened(event, settings, needs, progress=progress)


def by_scm() -> Mapping[str, GitSource | HgSource]:
    """`git` and `hg`, each with its reader."""
    return {"git": GitSource(), "hg": HgSource()}
