"""What `git diff-tree` tells of many commits: `git diff-tree --stdin -r -c --root -z --no-renames`, asked and understood.

Commits are asked for in chunks, one ahead, so that git works on the next while this one is used. A chunk ends with a line that
is no object's name, which diff-tree repeats as it is, and lets go of what it held back. It is random, so that nothing pushed
can hold it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import NamedTuple

from githooks.reading.child import Child
from githooks.reading.lane import Tally

COMMAND = ("diff-tree", "--stdin", "--always", "-r", "-c", "--root", "-z", "--no-renames", "--raw")
MAX_BYTES = 512 << 20  # of memory: git has all files of a commit before it tells the first, and that many are some two million
CHUNK = 256  # commits
SUBMODULE = b""

_PASSED_OVER = 1_000_000  # files of a commit that are read and thrown away, before git is started again for the next one
_NO_MODE = b"000000"
_SUBMODULE_MODE = b"160000"
_path = itemgetter(0)

Row = tuple[bytes, bytes | None, bytes | None, bool]
"""Of `git diff-tree --raw`: path, blob in the first parent, blob in the commit (None: not there, `SUBMODULE`: no blob of this
repository), and whether no parent has the path."""


class Told(NamedTuple):
    """What git told of a commit's changes."""

    oid: bytes
    rows: list[Row]
    complete: bool
    """Whether that is all."""


class Asker:
    """Asks one `git diff-tree` after another, and one `git cat-file` once, for commits in their order: a chunk at a time."""

    def __init__(self, oids: Sequence[bytes], objects: Child) -> None:
        self._oids = oids
        self._objects = objects
        self._objects_asked = 0
        self.end = secrets.token_hex(16).encode() + b"\n"

    def begin(self, differ: Child, at: int) -> None:
        """Ask `differ` from `at` on, two chunks to begin with."""
        self._differ = differ
        self._at = at
        self.pending = 0
        """How many chunks it was asked for and has not answered to their end."""
        self.go_on()
        self.go_on()

    def go_on(self) -> None:
        """Ask for the next chunk, if there is one."""
        oids = self._oids[self._at : self._at + CHUNK]
        if oids:
            self._at += len(oids)
            self.pending += 1
            self._differ.send(b"".join(oid + b"\n" for oid in oids) + self.end)
            fresh = self._oids[self._objects_asked : self._at]
            self._objects_asked = max(self._objects_asked, self._at)
            self._objects.send(b"".join(oid + b"\n" for oid in fresh))


def told(differ: Child, asker: Asker, tally: Tally) -> Iterator[Told]:
    """git-diff-tree(1), "Raw output format" and "diff format for merges", with -z: commits, each with what it changed.

    Ends early after a commit with so many files that waiting for the rest of them would be endless.
    """
    oid = b""
    rows: list[Row] = []
    passed_over = 0
    fields = differ.fields(asker.end)
    for field in fields:
        if field.startswith(b":"):
            path = next(fields)
            if len(rows) < tally.most:
                rows.append(_merged(field, path) if field.startswith(b"::") else _row(field, path))
                continue
            passed_over += 1
            if passed_over < _PASSED_OVER:
                continue
        if oid:
            yield Told(oid, _in_order(rows), not passed_over)
        if passed_over >= _PASSED_OVER:
            return
        oid, rows, passed_over = field, [], 0
        if field == asker.end:
            oid = b""
            asker.pending -= 1
            asker.go_on()
            if not asker.pending:
                return


def _row(field: bytes, path: bytes) -> Row:
    old_mode, new_mode, old, new, _ = field[1:].split(b" ")
    return path, _blob(old_mode, old), _blob(new_mode, new), old_mode == _NO_MODE


def _merged(field: bytes, path: bytes) -> Row:
    told = field.lstrip(b":").split(b" ")
    parents = len(field) - len(field.lstrip(b":"))
    modes, oids = told[: parents + 1], told[parents + 1 :]
    added = all(mode == _NO_MODE for mode in modes[:parents])
    return path, _blob(modes[0], oids[0]), _blob(modes[parents], oids[parents]), added


def _blob(mode: bytes, oid: bytes) -> bytes | None:
    return None if mode == _NO_MODE else SUBMODULE if mode == _SUBMODULE_MODE else oid


def _in_order(rows: list[Row]) -> list[Row]:
    """Sorted by path. Where a tree was not sorted git tells a file twice, as gone and as come: it is one that changed, or did not."""
    rows.sort(key=_path)
    if all(one[0] != other[0] for one, other in pairwise(rows)):
        return rows
    found: list[Row] = []
    for path, same in groupby(rows, key=_path):
        told = list(same)
        old = next((row[1] for row in told if row[1] is not None), None)
        new = next((row[2] for row in told if row[2] is not None), None)
        if old != new:
            found.append((path, old, new, old is None))
    return found
