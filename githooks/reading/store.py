"""A repository's objects, opened tolerantly: whatever git itself opens with the refs in files.

In: the path that an event has. Out: `Objects`, which must be closed (it is a context manager). Nothing here or above uses
dulwich's `Repo`: it refuses `extensions.preciousObjects` (Gitaly sets it), `partialClone`, `noop` and `refStorage=files`,
and its alternates of a SHA-256 repository are opened as SHA-1. Of its object store only packs are used (`packs`); so no
commit-graph file is ever loaded (2 s and 140 MB for 200,000 commits). Loose objects are read here: dulwich parses them as it
reads, and refuses what git took.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from dulwich.config import ConfigFile
from dulwich.errors import FileFormatException
from dulwich.object_format import ObjectFormat, get_object_format
from dulwich.objects import RawObjectID

from brokers.errors import RepositoryUnreadable
from githooks.reading import layout
from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.objects import BLOB, COMMIT, TAG, TREE, is_oid
from githooks.reading.packs import DAMAGED, Packs, told
from githooks.reading.recent import Recent

_KINDS = {b"commit": COMMIT, b"tree": TREE, b"blob": BLOB, b"tag": TAG}
_LARGEST = 512 * 1024 * 1024  # bytes that are inflated at most; commits and trees are far from it
_COMMITS_BYTES = 4 << 20  # kept, for each is read by the walk, for itself and as a parent


class Objects:
    """All objects of a repository, those it borrows included."""

    def __init__(self, repository: str, common_dir: str, directories: Sequence[str], object_format: ObjectFormat) -> None:
        self.repository = repository
        """Path as the event has it, for messages; git's own directory."""
        self.git_dir = repository
        self.common_dir = common_dir
        """Of a linked worktree: where refs and objects are; else `git_dir`."""
        self.oid_bytes: int = object_format.oid_length
        """Length of a binary object name: 20, or 32 in a SHA-256 repository."""
        self.packs = Packs(directories, object_format)
        self._directories = directories
        self._commits: Recent[bytes] = Recent(_COMMITS_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file that is open."""
        self.packs.close()

    def raw(self, oid: bytes) -> tuple[int, bytes]:
        """Type (`COMMIT`, ...) and content of the object. Raises ReadingError: ObjectMissing, ObjectBroken or, if files cannot
        be read, RepositoryUnreadable. Never ask it for a blob.
        """
        commit = self._commits.get(oid)
        if commit is not None:
            return COMMIT, commit
        if len(oid) != 2 * self.oid_bytes or not is_oid(oid):
            raise ObjectMissing(self.repository, oid.decode("ascii", "replace"), f"no object is named {oid!r}")
        try:
            found, damage = self._read(oid)
        except OSError as error:
            raise RepositoryUnreadable(self.repository, f"object {oid.decode()} cannot be read: {error}") from error
        if found is None and damage:
            raise ObjectBroken(self.repository, oid.decode(), f"object {oid.decode()} cannot be read: {damage}")
        if found is None:
            raise ObjectMissing(self.repository, oid.decode(), f"object {oid.decode()} is missing")
        if found[0] == COMMIT:
            self._commits.put(oid, found[1], len(found[1]))
        return found

    def loose(self, oid: bytes, max_bytes: int = -1) -> Iterator[bytes]:
        """What the object's own files hold, as it is there, or the first `max_bytes`. Raises OSError."""
        name = oid.decode("ascii")
        for directory in self._directories:
            try:
                with open(f"{directory}/{name[:2]}/{name[2:]}", "rb", buffering=0) as file:  # noqa: PTH123 - of each object
                    content = file.read(max_bytes)
            except (FileNotFoundError, NotADirectoryError):
                continue
            yield content

    def _read(self, oid: bytes) -> tuple[tuple[int, bytes] | None, str]:
        """Type and content, else what was damaged, if anything was.

        Looks into packs, then for a file of its own, then for packs that came meanwhile, as `git gc` moves objects.
        """
        damage = ""
        name = RawObjectID(bytes.fromhex(oid.decode("ascii")))
        while True:
            try:
                packed = self.packs.find(name)
                if packed is not None:
                    pack, offset = packed
                    return pack.read(offset), ""
            except DAMAGED as error:
                damage = told(error)
            for compressed in self.loose(oid):
                try:
                    return _inflated(compressed), ""
                except DAMAGED as error:
                    damage = told(error)
            if not self.packs.look_again():
                return None, damage or self.packs.damage


def _inflated(compressed: bytes) -> tuple[int, bytes]:
    """Type and content of an object in a file of its own: gitformat-loose(5). Raises zlib.error or ValueError."""
    inflating = zlib.decompressobj()
    header, _, content = inflating.decompress(compressed, _LARGEST).partition(b"\0")
    word, _, length = header.partition(b" ")
    if not inflating.eof or length != str(len(content)).encode() or word not in _KINDS:
        raise ValueError("its file holds no object, or not all of it")
    return _KINDS[word], content


def open_objects(path: str, environment: Mapping[str, str]) -> Objects:
    """The objects of the repository at `path`, git's own directory.

    `environment` is the event's: its GIT_OBJECT_DIRECTORY and GIT_ALTERNATE_OBJECT_DIRECTORIES are read besides what
    the repository has, for Gitaly sets them. Raises RepositoryGone or RepositoryUnreadable.
    """
    common_dir = Path(layout.common_dir(path))
    object_format = _object_format(path, common_dir)
    given = [environment.get("GIT_OBJECT_DIRECTORY", "")]
    others = environment.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "").encode("utf-8", "surrogateescape")
    given += layout.borrowed(others, os.pathsep.encode())
    roots = [common_dir / "objects", *(Path(path) / name for name in given if name)]
    try:
        directories = [str(place) for place in _with_alternates(roots)]
        return Objects(path, str(common_dir), directories, object_format)
    except OSError as error:
        raise RepositoryUnreadable(path, f"cannot be opened: {error}") from error


def _object_format(path: str, common_dir: Path) -> ObjectFormat:
    try:
        config = ConfigFile.from_path(str(common_dir / "config"))
    except FileNotFoundError:
        return get_object_format("sha1")
    except (ValueError, LookupError, FileFormatException) as error:
        raise RepositoryUnreadable(path, f"its config cannot be read: {error}") from error
    try:
        extensions = {key.lower(): value for key, value in config.items((b"extensions",))}
    except KeyError:
        extensions = {}
    if extensions.get(b"refstorage", b"files").lower() != b"files":
        # dulwich reads the first block only of a reftable, and says nothing.
        stored = extensions[b"refstorage"].decode("utf-8", "replace")
        raise RepositoryUnreadable(
            path, f"its refs are stored as {stored}, which only git reads: set oberon.gitReader to auto or git"
        )
    name = extensions.get(b"objectformat", b"sha1").decode("ascii", "replace").lower()
    try:
        return get_object_format(name)
    except ValueError as error:
        raise RepositoryUnreadable(path, f"its object format {name} is unknown") from error


def _with_alternates(roots: Sequence[Path]) -> Iterator[Path]:
    """`roots` and what they borrow from (gitrepository-layout(5), "objects/info/alternates"), each once."""
    seen = set()
    waiting = list(reversed(roots))
    while waiting:
        place = waiting.pop()
        real = place.resolve()
        if real in seen or not place.is_dir():
            continue
        seen.add(real)
        yield place
        try:
            listed = (place / "info" / "alternates").read_bytes()
        except FileNotFoundError:
            continue
        waiting += [place / name for name in reversed(layout.borrowed(listed, b"\n"))]
