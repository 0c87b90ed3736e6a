"""What can be wrong with an object while a git repository is read."""

from __future__ import annotations

from brokers.errors import ReadingError


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
