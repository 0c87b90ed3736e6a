"""The two kinds of repository, as the delivery asks for them; what reads them is imported when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brokers.config import Configuration, Settings
from payload.push import Event, Push


class GitSource:
    """git repositories, over `githooks`."""

    def configuration(self, path: str) -> Configuration:
        """What git's configuration says for the git directory `path`. Raises ConfigError."""
        from githooks import config

        return config.load(path)

    def read(self, event: Event, settings: Settings, needs: frozenset[str], later: Sequence[Event] = ()) -> Push:
        """The push that `event` tells of. Raises ReadingError."""
        from githooks import reading

        return reading.read(event, settings, needs, later=later)


class HgSource:
    """Mercurial repositories, over `hghooks`; loads Mercurial."""

    def configuration(self, path: str) -> Configuration:
        """What hgrc says for the repository in the folder `path`. Raises ConfigError."""
        from hghooks import config

        return config.load(path)

    def read(self, event: Event, settings: Settings, needs: frozenset[str], later: Sequence[Event] = ()) -> Push:
        """The push that `event` tells of. Raises ReadingError. A changegroup's range is the same however late it is read."""
        del later
        from hghooks import changes

        return changes.read(event, settings, needs)


def by_scm() -> Mapping[str, GitSource | HgSource]:
    """`git` and `hg`, each with its reader."""
    return {"git": GitSource(), "hg": HgSource()}
