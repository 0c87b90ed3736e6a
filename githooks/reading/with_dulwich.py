"""The lane in this process, without a git binary.

Of dulwich only raw objects are used (`store`): which files changed (`trees`) and how long they are (`sizes`) is found by own
code, for dulwich's is 40 to 70 times slower than git and wrong in known cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Self

from githooks.reading import objects, refs
from githooks.reading.lane import Contents, Tally
from githooks.reading.objects import Links
from githooks.reading.refs import Refs
from githooks.reading.sizes import Lengths
from githooks.reading.store import open_objects
from githooks.reading.trees import Entry, Trees
from payload.push import Event


class DulwichLane:
    """A `lane.Lane`; a context manager, for its files. Raises ReadingError if the repository is not there or cannot be read."""

    eager = 1000

    def __init__(self, event: Event) -> None:
        self._open = ExitStack()
        self._store = self._open.enter_context(open_objects(event.path, event.environment))
        self._lengths = Lengths(self._store)
        self._trees = Trees(self._store)
        self.repository = event.path
        self.git_dir = self._store.git_dir
        self.common_dir = self._store.common_dir

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def raw(self, oid: bytes) -> tuple[int, bytes]:
        """As of `lane.Lane`."""
        return self._store.raw(oid)

    def length(self, oid: bytes) -> int | None:
        """As of `lane.Lane`."""
        return self._lengths.of(oid)

    def refs(self, prefixes: Sequence[bytes]) -> Refs:
        """As of `lane.Lane`."""
        return refs.current_or_unreadable(self.repository, self.common_dir, prefixes)

    def head_branch(self) -> bytes | None:
        """As of `lane.Lane`."""
        return refs.head_branch(self.git_dir)

    def links_of(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """As of `lane.Lane`."""
        del oids
        return None

    def newest_first(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """As of `lane.Lane`."""
        del oids
        return None

    def contents(self, commits: Sequence[tuple[bytes, Links]], max_files: int) -> Iterator[Contents]:
        """As of `lane.Lane`. Raises ReadingError if a commit, a parent or one of their trees is missing."""
        tally = Tally(max_files)
        for oid, links in commits:
            raw = self.raw(oid)[1]
            changes = self._trees.changes(objects.tree(raw), [objects.tree(self.raw(parent)[1]) for parent in links.parents])
            for path, old, new, added in islice(changes, tally.most):
                tally.add(path, old and old.oid, new and new.oid, (self._length(old), self._length(new)), added=added)
            yield tally.ended(oid, raw, complete=next(changes, None) is None)

    def _length(self, side: Entry | None) -> int | None:
        if side is None:
            return None
        return 0 if side.is_submodule else self._lengths.of(side.oid)
