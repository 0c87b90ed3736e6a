"""Why a Mercurial repository could not be read; both are told to the admin as the reason of a delivery's state."""

from __future__ import annotations

from brokers.errors import BrokerError


class ReadingError(BrokerError):
    """A push cannot be read. `str()` is one line: the repository's path, then the reason."""

    def __init__(self, repository: str, reason: str) -> None:
        super().__init__(repository, reason)
        self.repository = repository
        """Path as the event has it."""
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.repository}: {self.reason}"


class RepositoryGone(ReadingError):
    """There is no repository at that path (any more)."""


class RepositoryUnreadable(ReadingError):
    """The repository is there and cannot be read: rights, a broken hgrc, an extension it needs, damage."""


class ChangesetMissing(ReadingError):
    """The push's changesets are no longer there: somebody stripped them after the push. Waiting does not mend it."""

    def __init__(self, repository: str, node: str) -> None:
        super().__init__(repository, f"changeset {node} is not there any more; it may have been stripped after the push")
        self.args = (repository, node)  # what unpickling passes to __init__
        self.node = node
