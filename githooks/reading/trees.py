"""Which files differ between trees: over the raw tree objects, without opening what is the same on both sides.

Equal to `git diff-tree -r -z --no-renames [--root]`, and for merges to `git diff-tree -r -c`: a rename is a removal and an
addition, a change of mode or type a modification, a file that became a folder a removal and additions.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from typing import NamedTuple

from githooks.reading.errors import ObjectBroken
from githooks.reading.store import TREE, Objects

_DIRECTORY = stat.S_IFDIR
_SUBMODULE = 0o160000
_CACHED_TREES = 4096


class Entry(NamedTuple):
    """What a tree says of a name."""

    mode: int
    """Canonical, as git compares it: 0o100644, 0o100755, 0o120000, 0o160000 or 0o40000."""
    oid: bytes
    """Full hex."""

    @property
    def is_submodule(self) -> bool:
        """Whether it names a commit of another repository, which is not here to be measured."""
        return self.mode == _SUBMODULE


Sides = tuple[Entry | None, Entry | None]
"""A file in the old tree and in the new one; None: not there."""
_RawEntries = frozenset[tuple[bytes, bytes, bytes]]


class Trees:
    """Trees of a repository; the ones read last are kept, for a commit's tree is its child's old one."""

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._entries = re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % store.oid_bytes, re.DOTALL)
        self._cache: dict[bytes, _RawEntries] = {}

    def difference(self, old: bytes | None, new: bytes | None) -> dict[bytes, Sides]:
        """Path -> its two sides, for each file that differs; a tree of None is empty. Raises ReadingError."""
        found: dict[bytes, Sides] = {}
        waiting = [(b"", old, new)]
        while waiting:
            prefix, old, new = waiting.pop()
            if old == new:
                continue
            before, after = self._raw(old), self._raw(new)
            olds, news = _by_name(before - after), _by_name(after - before)
            for name in olds.keys() | news.keys():
                sides = olds.get(name), news.get(name)
                if sides[0] == sides[1]:
                    continue  # the same file under modes that mean the same
                path = prefix + name
                folders = [side.oid if side is not None and side.mode == _DIRECTORY else None for side in sides]
                if folders != [None, None]:
                    waiting.append((path + b"/", folders[0], folders[1]))
                files = [None if folder is not None else side for side, folder in zip(sides, folders, strict=True)]
                if files != [None, None]:
                    found[path] = (files[0], files[1])
        return found

    def changes(self, tree: bytes | None, parents: Sequence[bytes | None]) -> tuple[dict[bytes, Sides], set[bytes]]:
        """What a commit changed: path -> its sides in the first parent and the commit; and which of them no parent has.

        Of a merge: the files that differ from all parents. Raises ReadingError.
        """
        if not parents:
            found = self.difference(None, tree)
            return found, set(found)
        first, *others = [self.difference(parent, tree) for parent in dict.fromkeys(parents)]
        found = {path: sides for path, sides in first.items() if all(path in other for other in others)}
        added = {path for path, sides in found.items() if sides[0] is None and all(other[path][0] is None for other in others)}
        return found, added

    def _raw(self, oid: bytes | None) -> _RawEntries:
        if oid is None:
            return frozenset()
        entries = self._cache.get(oid)
        if entries is None:
            kind, raw = self._store.raw(oid)
            if kind != TREE:
                raise ObjectBroken(self._store.repository, oid.decode(), f"object {oid.decode()} is not a tree")
            entries = frozenset(self._entries.findall(raw))
            if len(self._cache) >= _CACHED_TREES:
                self._cache.clear()
            self._cache[oid] = entries
        return entries


def _by_name(entries: _RawEntries) -> dict[bytes, Entry]:
    return {name: Entry(_canonical(int(mode, 8)), oid.hex().encode()) for mode, name, oid in entries}


def _canonical(mode: int) -> int:
    """git's canon_mode: of a file's rights only the owner's x counts; what is nothing else is a submodule."""
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        return 0o100755 if mode & stat.S_IXUSR else 0o100644
    return kind if kind in (stat.S_IFLNK, stat.S_IFDIR) else _SUBMODULE
