"""The two kinds of repository, as the delivery asks for them; what reads them is imported when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from brokers.config import Configuration, Settings
from brokers.delivery.progress import Progress
from brokers.delivery.standing import KnownChangelog, Standing
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
    """git repositories, over `githooks`. `trusted_only`: no settings of repositories whose owner git does not trust."""

    def __init__(self, *, trusted_only: bool = False) -> None:
        self._trusted_only = trusted_only

    def configuration(self, path: str) -> Configuration:
        """What git's configuration says for the git directory `path`. Raises ConfigError."""
        from githooks import config

        return config.load(path, trusted_only=self._trusted_only)

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

    def standing(self, path: str, settings: Settings, known: KnownChangelog) -> Standing:
        """Where the refs that count stand. Raises ReadingError."""
        del known
        from githooks.reading.standing import standing

        return standing(path, settings.refs)


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

    def standing(self, path: str, settings: Settings, known: KnownChangelog) -> Standing:
        """How long the changelog is, and what of it is not recorded. Raises ReadingError."""
        del settings
        from hghooks.standing import standing

        return standing(path, known)


def by_scm(*, trusted_only: bool = False) -> Mapping[str, GitSource | HgSource]:
    """`git` and `hg`, each with its reader. `trusted_only`: as GitSource; Mercurial knows nothing else."""
    return {"git": GitSource(trusted_only=trusted_only), "hg": HgSource()}
