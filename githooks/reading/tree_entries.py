"""The entries of raw trees: which differ between two, without looking at those they share.

Of two trees of 1,500 entries that differ in one, the bytes before it and behind it are the same, and are compared as such.
What bytes alone do not tell is where an entry begins, for names and object names may hold nearly any. So of each tree some
places are known where one does: from one pass over the whole, and from then on handed on from tree to tree, for in what two
trees share entries begin at the same places, moved by as much as the changes before have grown. A tree that is not entries from
its first byte to its last has no such places, and is searched for what looks like entries.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import accumulate

_LARGE_BYTES = 2048  # smaller ones are parsed sooner than compared
_MOST_CHANGES = 64  # and so are those that differ in more
_STEP = 16  # of so many entries one is known to begin
_GAP_BYTES = 1024  # where changes have left none for so long, one is added
_FIRST_RUN_BYTES = 64


class RawTree:
    """A tree object's content, and some places where an entry begins: ascending, the first 0; None until they are asked for."""

    __slots__ = ("places", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.places: list[int] | None = None


class Entries:
    """Entries of trees, as they are there: mode, space, name, NUL and a binary object name of `oid_bytes`."""

    def __init__(self, oid_bytes: int) -> None:
        self._entry = re.compile(rb"[0-7]+ [^\0]+\0.{%d}" % oid_bytes, re.DOTALL)
        self._oid_bytes = oid_bytes

    def split(self, entry: bytes) -> tuple[bytes, bytes, bytes]:
        """Mode, name and binary object name."""
        mode, _, rest = entry.partition(b" ")
        return mode, rest[: -self._oid_bytes - 1], rest[-self._oid_bytes :]

    def changed(self, old: RawTree, new: RawTree) -> tuple[set[bytes], set[bytes]]:
        """The entries that only `old` has, and those that only `new` has."""
        found = self._compared(old, new) if len(old.raw) >= _LARGE_BYTES and len(new.raw) >= _LARGE_BYTES else None
        gone, came = found or (set(self._entry.findall(old.raw)), set(self._entry.findall(new.raw)))
        return gone - came, came - gone

    def named(self, tree: RawTree, name: bytes) -> bytes | None:
        """The first entry of that name; None if there is none."""
        places = self._places(tree)
        if not places:
            return next((entry for entry in self._entry.findall(tree.raw) if self.split(entry)[1] == name), None)
        looked_for = b" %s\0" % name
        at = tree.raw.find(looked_for)
        while at >= 0:
            found = self._entry.match(tree.raw, self._last_begin(tree.raw, places, 0, at))
            if found is not None and self.split(found[0])[1] == name:
                return found[0]
            at = tree.raw.find(looked_for, at + 1)  # it was within an object's name
        return None

    def _compared(self, old: RawTree, new: RawTree) -> tuple[set[bytes], set[bytes]] | None:
        """Entries in which they differ, and maybe some that only moved; None if that is too many or one is not all entries."""
        known = self._places(old)
        if not known:
            return None
        gone: set[bytes] = set()
        came: set[bytes] = set()
        places: list[int] = []
        at_old = at_new = 0
        while len(gone) + len(came) <= _MOST_CHANGES:
            end = self._last_begin(old.raw, known, at_old, at_old + _same_bytes(old.raw, at_old, new.raw, at_new))
            moved = at_new - at_old
            places += [place + moved for place in known[bisect_left(known, at_old) : bisect_right(known, end)]]
            at_old, at_new = end, end + moved
            if at_new - places[-1] >= _GAP_BYTES:
                places.append(at_new)
            before, after = self._entry.match(old.raw, at_old), self._entry.match(new.raw, at_new)
            if before is None and after is None:
                if (at_old, at_new) != (len(old.raw), len(new.raw)):
                    return None
                if new.places is None:
                    new.places = places
                return gone, came
            old_key, new_key = (None if entry is None else self._key(entry[0]) for entry in (before, after))
            if before is not None and (new_key is None or (old_key is not None and old_key <= new_key)):
                gone.add(before[0])
                at_old = before.end()
            if after is not None and (old_key is None or (new_key is not None and new_key <= old_key)):
                came.add(after[0])
                at_new = after.end()
        return None

    def _key(self, entry: bytes) -> bytes:
        """By what entries are sorted in a tree: folders as if their names ended with a slash."""
        mode, name, _ = self.split(entry)
        return name + b"/" if mode.lstrip(b"0") == b"40000" else name

    def _places(self, tree: RawTree) -> list[int]:
        if tree.places is None:
            ends = list(accumulate(map(len, self._entry.findall(tree.raw)), initial=0))
            tree.places = ends[::_STEP] if ends[-1] == len(tree.raw) else []
        return tree.places

    def _last_begin(self, raw: bytes, places: list[int], least: int, most: int) -> int:
        """The last place from `least`, where an entry begins, to `most` where one does or the tree ends."""
        at = max(least, places[bisect_right(places, most) - 1])
        while (entry := self._entry.match(raw, at)) is not None and entry.end() <= most:
            at = entry.end()
        return at


def _same_bytes(a: bytes, at_a: int, b: bytes, at_b: int) -> int:
    """How many bytes of `a` from `at_a` on are those of `b` from `at_b` on."""
    most = min(len(a) - at_a, len(b) - at_b)
    same, run = 0, _FIRST_RUN_BYTES
    while same < most:
        end = min(same + run, most)
        if a[at_a + same : at_a + end] != b[at_b + same : at_b + end]:
            break
        same, run = end, 2 * run
    else:
        return most
    while end - same > 1:
        half = (same + end) // 2
        if a[at_a + same : at_a + half] == b[at_b + same : at_b + half]:
            same = half
        else:
            end = half
    return same
