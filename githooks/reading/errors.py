"""What can go wrong while a repository is read; each error names the repository's path and the reason."""

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
    """There is no directory, or none that is a repository, at that path (any more)."""


class RepositoryUnreadable(ReadingError):
    """The repository is there and cannot be opened: rights, a broken config, a format that is not read here."""


class _ObjectError(ReadingError):
    def __init__(self, repository: str, oid: str, reason: str) -> None:
        super().__init__(repository, reason)
        self.args = (repository, oid, reason)  # what unpickling passes to __init__
        self.oid = oid
        """The object's full name in hex."""


class ObjectMissing(_ObjectError):
    """An object that the push needs is not there: pruned since, or the repository is damaged."""


class ObjectBroken(_ObjectError):
    """An object is there and cannot be read, or is not of the kind it must be."""
