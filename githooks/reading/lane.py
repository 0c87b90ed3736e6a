"""What the two lanes have in common: how a repository is asked, whoever answers.

A lane gives raw commits and tags, lengths, refs, and what commits changed. Which commits are new, which ref they count as
and what became of the refs is found above it by one code for both, so that both lanes tell the same of a push.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from githooks.reading.objects import Links
from githooks.reading.refs import Refs
from payload import text
from payload.push import FileChange, FileType

MOST_FILES = 100_000
"""Of one commit, that are looked at; of a tree that names itself in itself a kilobyte makes more than any machine can hold."""
MOST_FILES_OF_ALL = 1_000_000
"""Of all commits of a push; beyond, no more of each than are listed."""


class Contents(NamedTuple):
    """One commit as it is stored, and what it changed."""

    oid: bytes
    raw: bytes
    """The commit object."""
    files: tuple[FileChange, ...]
    """Sorted by path, at most `max_files`; of a merge only those that differ from all parents."""
    more_files: int
    """How many more there are, as far as they were looked at."""
    more_growth: int | None
    """By how many bytes these grew; None if that is unknown, or not all were looked at."""


class Tally:
    """What becomes of the files of one commit after another: those listed in full, and what is told of the rest."""

    def __init__(self, max_files: int) -> None:
        self._max_files = max_files
        self._of_all = 0
        self._files: list[FileChange] = []
        self._more_growth: int | None = 0
        self._seen = 0
        self.most = max(MOST_FILES, max_files)
        """How many files of the present commit may be added, in the order of their paths."""

    def add(
        self, path: bytes, old: bytes | None, new: bytes | None, sizes: tuple[int | None, int | None], *, added: bool
    ) -> None:
        """What the commit did to the file at `path`.

        `old` and `new` are its contents' names in the first parent and in the commit, None where it is not; `sizes` their
        lengths, None where they are not or cannot be measured; `added`: no parent has it.
        """
        self._seen += 1
        old_size, new_size = sizes
        known = (old is None or old_size is not None) and (new is None or new_size is not None)
        if len(self._files) < self._max_files:
            kind = FileType.REMOVED if new is None else FileType.ADDED if added else FileType.MODIFIED
            self._files.append(FileChange(text.decode_path(path), kind, old_size, new_size, known))
        elif not known:
            self._more_growth = None
        elif self._more_growth is not None:
            self._more_growth += (new_size or 0) - (old_size or 0)

    def ended(self, oid: bytes, raw: bytes, *, complete: bool) -> Contents:
        """The commit, once its files were added; `complete`: that were all. What is added next is the next commit's."""
        more = self._seen - len(self._files)
        made = Contents(oid, raw, tuple(self._files), more, self._more_growth if complete else None)
        self._of_all += self._seen
        if self._of_all >= MOST_FILES_OF_ALL:
            self.most = self._max_files
        self._files, self._more_growth, self._seen = [], 0, 0
        return made


class Lane(Protocol):
    """One repository, open. Oids are full hex. Every method raises ReadingError."""

    repository: str
    """Path as the event has it, for messages."""
    git_dir: str
    common_dir: str
    """Of a linked worktree: where refs and objects are; else `git_dir`."""

    eager: int
    """How many new commits are best read one by one before `newest_first` is asked."""

    def raw(self, oid: bytes) -> tuple[int, bytes]:
        """Type (`objects.COMMIT`, ...) and content. Raises ObjectMissing or ObjectBroken; never ask it for a blob."""

    def length(self, oid: bytes) -> int | None:
        """Bytes of the object when inflated; None if it is missing or its header makes no sense."""

    def refs(self, prefixes: Sequence[bytes]) -> Refs:
        """The refs whose full names begin with one of `prefixes`."""

    def head_branch(self) -> bytes | None:
        """The full name of the branch that HEAD stands for; None if HEAD is detached or unreadable."""

    def links_of(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """Commits that `oids` name, maybe through tags, in bulk; None if that is not quicker. Links of None are to be read."""

    def newest_first(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """All commits that `oids` reach, newest first, a child before its parents; None if that is not quick.

        Links of None are to be read.
        """

    def contents(self, commits: Sequence[tuple[bytes, Links]], max_files: int) -> Iterator[Contents]:
        """What each of `commits` is and changed, in their order; up to `max_files` of the files of each are listed."""


class OpenLane(Lane, AbstractContextManager["OpenLane"], Protocol):
    """A lane as it is opened: leaving its context closes files and ends processes."""
