"""What can be wrong with the changesets of an event."""

from __future__ import annotations

from brokers.errors import ReadingError


class ChangesetMissing(ReadingError):
    """The push's changesets are no longer there: somebody stripped them after the push. Waiting does not mend it."""

    def __init__(self, repository: str, node: str) -> None:
        super().__init__(repository, f"changeset {node} is not there any more; it may have been stripped after the push")
        self.args = (repository, node)  # what unpickling passes to __init__
        self.node = node
