"""The commits of a repository as a graph: each one's parents and time, read once and kept."""

from __future__ import annotations

from collections.abc import Mapping

from githooks.reading import objects
from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.objects import Links
from githooks.reading.sizes import Lengths
from githooks.reading.store import COMMIT, TAG, Objects

_LONGEST_TAG = 64 * 1024 * 1024  # bytes; what a ref names and is longer is a blob, and never read into memory


class Graph:
    """Commits by full hex name. `cut` replaces the parents of some: `store.cut_history`."""

    def __init__(self, store: Objects, cut: Mapping[bytes, tuple[bytes, ...]], lengths: Lengths) -> None:
        self._store = store
        self._cut = cut
        self._lengths = lengths
        self._known: dict[bytes, Links] = {}

    def links(self, oid: bytes) -> Links:
        """Parents and time of a commit. Raises ReadingError: ObjectMissing, or ObjectBroken if it is none."""
        found = self._known.get(oid)
        if found is None:
            kind, raw = self._store.raw(oid)
            if kind != COMMIT:
                raise ObjectBroken(self._store.repository, oid.decode(), f"object {oid.decode()} is not a commit")
            found = self._keep(oid, raw)
        return found

    def known(self, oid: bytes) -> Links | None:
        """The same if it was read before, else None."""
        return self._known.get(oid)

    def peel(self, oid: bytes) -> bytes | None:
        """The commit that a ref's value names, through any number of tags; None if it names a tree or a blob.

        Raises ReadingError.
        """
        while oid not in self._known:
            if (self._lengths.of(oid) or 0) > _LONGEST_TAG:
                return None
            kind, raw = self._store.raw(oid)
            if kind == COMMIT:
                self._keep(oid, raw)
            elif kind == TAG:
                tag = objects.tag(raw)
                if tag.target is None or tag.target_kind in (b"blob", b"tree"):
                    return None
                oid = tag.target
            else:
                return None
        return oid

    def peel_if_there(self, oid: bytes) -> bytes | None:
        """As `peel`, but None too for what is missing or broken: on the side that is excluded it excludes nothing."""
        try:
            return self.peel(oid)
        except (ObjectMissing, ObjectBroken):
            return None

    def _keep(self, oid: bytes, raw: bytes) -> Links:
        found = objects.links(raw)
        if oid in self._cut:
            found = Links(self._cut[oid], found.time)
        self._known[oid] = found
        return found
