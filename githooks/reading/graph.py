"""The commits of a repository as a graph: each one's parents and time, read once and kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from brokers.errors import ReadingError
from githooks.reading import objects
from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.lane import Lane
from githooks.reading.objects import COMMIT, TAG, Links

_LISTINGS = 4
_LONGEST_TAG = 64 * 1024 * 1024  # bytes; what a ref names and is longer is a blob, and never read into memory


class Graph:
    """Commits by full hex name. `cut` replaces the parents of some: `layout.cut_history`."""

    def __init__(self, lane: Lane, cut: Mapping[bytes, tuple[bytes, ...]]) -> None:
        self._lane = lane
        self._cut = cut
        self._known: dict[bytes, Links] = {}
        self._listings_left = _LISTINGS
        self.eager = lane.eager
        """How many commits are read one by one before `newest_first` pays."""

    def links(self, oid: bytes) -> Links:
        """Parents and time of a commit. Raises ReadingError: ObjectMissing, or ObjectBroken if it is none."""
        found = self._known.get(oid)
        if found is None:
            kind, raw = self._lane.raw(oid)
            if kind != COMMIT:
                raise ObjectBroken(self._lane.repository, oid.decode(), f"object {oid.decode()} is not a commit")
            found = self._keep(oid, raw)
        return found

    def known(self, oid: bytes) -> Links | None:
        """The same if it was read before, else None."""
        return self._known.get(oid)

    def read_ahead(self, oids: Iterable[bytes]) -> None:
        """Read those of `oids` that are commits or lead to one, if the lane reads many for less than one by one."""
        asked = [oid for oid in oids if oid not in self._known]
        told = self._lane.links_of(asked) if asked else None
        if told is not None:
            with suppress(ReadingError):  # what is wrong is met again, and told, by who reads one by one
                for oid, links in told:
                    if links is not None:
                        self._known.setdefault(oid, links)

    def newest_first(self, oids: Iterable[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """All commits that those of `oids` reach which were read, newest first; they are not kept. None if that is not quick.

        Others may be missing. Links of None are to be read. Raises ReadingError on the way. After the first few times there is
        no more of it: who asks for each of a thousand refs is better served by what is kept of the commits read one by one.
        """
        if self._listings_left == 0:
            return None
        self._listings_left -= 1
        return self._lane.newest_first([oid for oid in oids if oid in self._known])

    def keep(self, oid: bytes, links: Links) -> None:
        """Remember what was read of a commit."""
        self._known.setdefault(oid, links)

    def peel(self, oid: bytes) -> bytes | None:
        """The commit that a ref's value names, through any number of tags; None if it names a tree or a blob.

        Raises ReadingError.
        """
        while oid not in self._known:
            if (self._lane.length(oid) or 0) > _LONGEST_TAG:
                return None
            kind, raw = self._lane.raw(oid)
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
