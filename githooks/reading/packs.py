"""The packs of a repository: in which one an object is, and where in it.

Packs and their indexes are read by dulwich; which of them to ask is decided here, for its object store asks the file system
anew about each object. A pack once opened stays readable when `git gc` removes it, and new ones are looked for when an object
is nowhere, so that none is lost from sight while it is moved from one file to another.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from dulwich.errors import ApplyDeltaError, ChecksumMismatch, FileFormatException
from dulwich.midx import MultiPackIndex, load_midx
from dulwich.object_format import ObjectFormat
from dulwich.objects import RawObjectID
from dulwich.pack import Pack, PackFileDisappeared, UnresolvedDeltas

DAMAGED = (
    zlib.error,
    struct.error,
    ApplyDeltaError,
    ChecksumMismatch,
    FileFormatException,
    UnresolvedDeltas,
    AssertionError,
    LookupError,
    ValueError,
)
"""What dulwich raises for files that are no packs and no indexes, and for what is no object in them."""

OFS_DELTA, REF_DELTA = DELTAS = 6, 7  # gitformat-pack(5), "Object types"
MORE = 0x80  # the bit of a varint's byte that says that another follows

_DELTA_BASES_BYTES = 16 << 20  # kept inflated, of each pack
_SHORT_BYTES = 1024


class OpenPack:
    """One pack; its files are opened when they are first needed."""

    def __init__(self, path: str, object_format: ObjectFormat) -> None:
        """`path` is without `.pack`."""
        self.path = path
        self._pack = Pack(path, object_format=object_format, delta_base_cache_limit=_DELTA_BASES_BYTES)
        self._descriptor: int | None = None

    def offset(self, oid: RawObjectID) -> int | None:
        """Where the object is in the pack, which is open then; None: not in it. Raises PackFileDisappeared, OSError or `DAMAGED`."""
        try:
            offset = self._pack.index.object_offset(oid)
        except KeyError:
            return None
        if self._descriptor is None:
            _ = self._pack.data
            try:
                self._descriptor = os.open(f"{self.path}.pack", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise PackFileDisappeared(self._pack) from error
        return offset

    def read(self, offset: int) -> tuple[int, bytes]:
        """Type and content of the object at `offset`, which `offset` gave. Raises OSError or `DAMAGED`."""
        head = self.head(offset, _SHORT_BYTES)
        kind, length, at = packed_header(head)
        if kind not in DELTAS:  # short ones, as commits are, cost half as much in one piece as by dulwich
            inflating = zlib.decompressobj()
            content = inflating.decompress(head[at:], length + 1)
            if inflating.eof and len(content) == length:
                return kind, content
        kind, chunks = self._pack.resolve_object(offset, *self._pack.data.get_object_at(offset))
        return kind, b"".join(chunks)  # type: ignore[arg-type]  # of what is no delta any more it is a list of bytes

    def head(self, offset: int, count: int) -> bytes:
        """The `count` bytes of the file from `offset` on, which `offset` gave; fewer at its end. Raises OSError."""
        assert self._descriptor is not None
        return os.pread(self._descriptor, count, offset)

    def close(self) -> None:
        """Close its files."""
        with suppress(BufferError):  # an exception on its way up, say of Ctrl-C, may still hold a part of the mapped file
            self._pack.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Packs:
    """All packs in some `objects` directories."""

    def __init__(self, directories: Sequence[str], object_format: ObjectFormat) -> None:
        self._directories = [f"{directory}/pack" for directory in directories]
        self._object_format = object_format
        self._known: dict[str, OpenPack] = {}
        """By path without suffix; a damaged one stays, so as not to be tried again."""
        self._asked: list[OpenPack] = []
        """Those whose own indexes are looked into, the one that had the last object first."""
        self._joint_indexes = dict(_joint_indexes(self._directories))
        """By directory; the packs they cover are asked only for what the index says is in them."""
        self._last: tuple[RawObjectID, tuple[OpenPack, int]] | None = None
        """What was found last, for the length of an object is asked before it is read."""
        self.damage = ""
        """Why a pack was given up, if one was."""
        self.look_again()

    def find(self, oid: RawObjectID) -> tuple[OpenPack, int] | None:
        """A pack that has the object, and where in it; None if none of those known has it. Raises OSError."""
        if self._last is None or self._last[0] != oid:
            found = self._search(oid)
            self._last = None if found is None else (oid, found)
        return self._last and self._last[1]

    def look_again(self) -> bool:
        """Look for packs that came meanwhile: whether there are any. Raises OSError."""
        found = dict(self._found())
        for path, pack in found.items():
            directory, _, name = path.rpartition("/")
            index = self._joint_indexes.get(directory)
            if index is None or f"{name}.idx" not in index.pack_names:
                self._asked.insert(0, pack)
        self._known |= found
        return bool(found)

    def close(self) -> None:
        """Close all files."""
        for pack in self._known.values():
            pack.close()
        for index in self._joint_indexes.values():
            index.close()

    def _search(self, oid: RawObjectID) -> tuple[OpenPack, int] | None:
        first = self._asked[0] if self._asked else None
        if first is not None and (offset := self._offset(first, oid)) is not None:
            return first, offset
        found = self._search_joint_indexes(oid) if self._joint_indexes else None
        if found is not None:
            return found
        for pack in tuple(self._asked):
            if pack is not first and (offset := self._offset(pack, oid)) is not None:
                self._ask_first(pack)
                return pack, offset
        return None

    def _found(self) -> Iterator[tuple[str, OpenPack]]:
        for directory in self._directories:
            try:
                names = set(os.listdir(directory))  # noqa: PTH208 - names are enough
            except (FileNotFoundError, NotADirectoryError):
                continue
            for name in names:
                stem, _, suffix = name.rpartition(".")
                path = f"{directory}/{stem}"
                if suffix == "pack" and f"{stem}.idx" in names and path not in self._known:
                    yield path, OpenPack(path, self._object_format)

    def _ask_first(self, pack: OpenPack) -> None:
        if pack in self._asked:
            self._asked.remove(pack)
        self._asked.insert(0, pack)

    def _offset(self, pack: OpenPack, oid: RawObjectID) -> int | None:
        try:
            return pack.offset(oid)
        except PackFileDisappeared:
            self._known.pop(pack.path, None)  # should one of that name come again, it is a new one
            pack.close()
        except DAMAGED as error:
            self.damage = told(error)
        if pack in self._asked:
            self._asked.remove(pack)
        return None

    def _search_joint_indexes(self, oid: RawObjectID) -> tuple[OpenPack, int] | None:
        for directory, index in list(self._joint_indexes.items()):
            try:
                named = index.object_offset(oid)
            except DAMAGED:
                self._give_up(directory)
                continue
            if named is None:
                continue
            pack = self._known.get(f"{directory}/{named[0].removesuffix('.idx')}")
            offset = None if pack is None else self._offset(pack, oid)
            if pack is not None and offset is not None:
                self._ask_first(pack)
                return pack, offset
            self._give_up(directory)  # it outlived its packs
        return None

    def _give_up(self, directory: str) -> None:
        self._joint_indexes.pop(directory).close()
        for path, pack in self._known.items():
            if path.startswith(f"{directory}/") and pack not in self._asked:
                self._asked.append(pack)


def _joint_indexes(directories: Iterable[str]) -> Iterator[tuple[str, MultiPackIndex]]:
    """The multi-pack-indexes, by directory; a broken one counts as none, as for git."""
    for directory in directories:
        try:
            yield directory, load_midx(f"{directory}/multi-pack-index")
        except (OSError, *DAMAGED):
            continue


def packed_header(head: bytes) -> tuple[int, int, int]:
    """Of the packed object that begins with `head`: type (or `DELTAS`), length (of a delta: its own), and where the rest begins.

    gitformat-pack(5). Raises IndexError if that is no object.
    """
    byte, at = head[0], 1
    kind, length, shift = byte >> 4 & 7, byte & 15, 4
    while byte & MORE:
        byte = head[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
    return kind, length, at


def told(error: Exception) -> str:
    """What kind of error it is, and its text. (The error itself would keep parts of mapped files, which then cannot be closed.)"""
    return f"{type(error).__name__}: {error}"
