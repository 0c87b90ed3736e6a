"""Which files differ between trees: over the raw tree objects, without opening what is the same on both sides.

Equal to `git diff-tree -r -z --no-renames [--root]`, and for merges to `git diff-tree -r -c`: a rename is a removal and an
addition, a change of mode or type a modification, a file that became a folder a removal and additions.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from githooks.reading.errors import ObjectBroken
from githooks.reading.objects import TREE
from githooks.reading.recent import Recent
from githooks.reading.store import Objects
from githooks.reading.tree_entries import Entries, RawTree

_DIRECTORY = stat.S_IFDIR
_SUBMODULE = 0o160000
_KEPT_BYTES = 32 << 20
_NOTHING = RawTree(b"")
_TREE_BYTES = 256  # what Python takes for a tree besides its content


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


class Change(NamedTuple):
    """A file that a commit changed."""

    path: bytes
    old: Entry | None
    """In the first parent; None: not there."""
    new: Entry | None
    """In the commit; None: not there."""
    is_added: bool
    """No parent has it."""


_Folder = tuple[bytes, bytes | None, tuple[bytes | None, ...]]
"""Path with its `/`, tree in the commit, trees in the parents; None: not there."""


class Trees:
    """Trees of a repository; the ones read last are kept, for a commit's tree is its child's old one."""

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._entries = Entries(store.oid_bytes)
        self._kept: Recent[RawTree] = Recent(_KEPT_BYTES)

    def changes(self, tree: bytes | None, parents: Sequence[bytes | None]) -> Iterator[Change]:
        """What a commit changed, in the order of paths; it may be left off at any time.

        Of a merge: the files that differ from all parents. A tree of None is empty. Raises ReadingError.
        """
        open_folders = [self._changes_in(b"", tree, tuple(parents) or (None,))]
        while open_folders:
            item = next(open_folders[-1], None)
            if item is None:
                open_folders.pop()
            elif isinstance(item, Change):
                yield item
            else:
                open_folders.append(self._changes_in(*item))

    def _changes_in(self, prefix: bytes, new: bytes | None, olds: tuple[bytes | None, ...]) -> Iterator[Change | _Folder]:
        """Of one folder, with the folders in it that differ from all of `olds`, in the order of paths."""
        found: list[tuple[bytes, Change | _Folder]] = []
        if new not in olds:
            for name, new_side, old_sides in self._differing(new, tuple(dict.fromkeys(olds))):
                path = prefix + name
                new_folder, old_folders = _folder(new_side), tuple(map(_folder, old_sides))
                if new_folder not in old_folders:
                    found.append((path + b"/", (path + b"/", new_folder, old_folders)))
                new_file, old_files = _file(new_side), tuple(map(_file, old_sides))
                if new_file not in old_files:
                    found.append((path, Change(path, old_files[0], new_file, not any(old_files))))
            found.sort(key=itemgetter(0))
        return (item for _, item in found)

    def _differing(
        self, new: bytes | None, olds: tuple[bytes | None, ...]
    ) -> Iterator[tuple[bytes, Entry | None, list[Entry | None]]]:
        """Names that differ from one of `olds` at least, with their entries; those that differ from all of them are among these."""
        compared = next((old for old in olds if old is not None), None)
        gone, came = self._entries.changed(self._tree(compared), self._tree(new))
        before, after = self._by_name(gone), self._by_name(came)
        for name in before.keys() | after.keys():
            yield name, after.get(name), [before.get(name) if old == compared else self._named(old, name) for old in olds]

    def _by_name(self, entries: Iterable[bytes]) -> dict[bytes, Entry]:
        return {name: Entry(_canonical(mode), oid.hex().encode()) for mode, name, oid in map(self._entries.split, entries)}

    def _named(self, tree: bytes | None, name: bytes) -> Entry | None:
        entry = self._entries.named(self._tree(tree), name)
        return None if entry is None else self._by_name([entry])[name]

    def _tree(self, oid: bytes | None) -> RawTree:
        if oid is None:
            return _NOTHING
        tree = self._kept.get(oid)
        if tree is None:
            kind, raw = self._store.raw(oid)
            if kind != TREE:
                raise ObjectBroken(self._store.repository, oid.decode(), f"object {oid.decode()} is not a tree")
            tree = RawTree(raw)
            self._kept.put(oid, tree, len(raw) + _TREE_BYTES)
        return tree


def _folder(side: Entry | None) -> bytes | None:
    return side.oid if side is not None and side.mode == _DIRECTORY else None


def _file(side: Entry | None) -> Entry | None:
    return side if side is not None and side.mode != _DIRECTORY else None


@lru_cache(maxsize=256)
def _canonical(mode: bytes) -> int:
    """git's canon_mode: of a file's rights only the owner's x counts; what is nothing else is a submodule."""
    number = int(mode, 8) & 0o177777  # the rest means nothing to git, and is too much for `stat`
    kind = stat.S_IFMT(number)
    if kind == stat.S_IFREG:
        return 0o100755 if number & stat.S_IXUSR else 0o100644
    return kind if kind in (stat.S_IFLNK, stat.S_IFDIR) else _SUBMODULE
