"""A repository's objects, opened tolerantly: whatever git itself opens with the refs in files.

In: the path that an event has. Out: `Objects`, which must be closed (it is a context manager). Nothing here or above uses
dulwich's `Repo`: it refuses `extensions.preciousObjects` (Gitaly sets it), `partialClone`, `noop` and `refStorage=files`,
and its alternates of a SHA-256 repository are opened as SHA-1. Its object store is what is used of it, one directory at a
time and for packs only; so no commit-graph file is ever loaded (2 s and 140 MB for 200,000 commits). Loose objects are read
here: dulwich parses them as it reads, and refuses what git took.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dulwich.config import ConfigFile
from dulwich.errors import ChecksumMismatch, FileFormatException, ObjectFormatException
from dulwich.object_format import ObjectFormat, get_object_format
from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID
from dulwich.pack import PackFileDisappeared

from brokers.errors import RepositoryGone, RepositoryUnreadable
from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.objects import is_oid

if TYPE_CHECKING:
    from dulwich.midx import MultiPackIndex
    from dulwich.object_store import BaseObjectStore

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4  # gitformat-pack(5), "Object types"

_KINDS = {b"commit": COMMIT, b"tree": TREE, b"blob": BLOB, b"tag": TAG}
_LARGEST = 512 * 1024 * 1024  # bytes that are inflated at most; commits and trees are far from it

_DAMAGED = (zlib.error, ObjectFormatException, FileFormatException, ChecksumMismatch, AssertionError, ValueError, IndexError)


class ObjectDirectory(DiskObjectStore):
    """One `objects` directory, without the ones it borrows from."""

    _index_was_sought = False

    @property
    def alternates(self) -> list[BaseObjectStore]:
        """None: `Objects` holds them all, in one flat list."""
        return []

    def loose(self, oid: bytes) -> tuple[int, bytes] | None:
        """Type and content of an object in a file of its own; None if it has none, or a damaged one. Raises OSError."""
        name = oid.decode("ascii")
        try:
            with open(os.path.join(self.path, name[:2], name[2:]), "rb") as file:  # noqa: PTH118,PTH123 - of each object
                compressed = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        inflating = zlib.decompressobj()
        try:
            header, _, content = inflating.decompress(compressed, _LARGEST).partition(b"\0")
        except zlib.error:
            return None
        word, _, length = header.partition(b" ")
        whole = inflating.eof and length == str(len(content)).encode()
        return (_KINDS[word], content) if whole and word in _KINDS else None

    def get_midx(self) -> MultiPackIndex | None:
        """The multi-pack-index; sought once, and a broken one counts as none, as for git."""
        if not self._index_was_sought:
            self._index_was_sought = True
            try:
                return super().get_midx()
            except (ValueError, OSError):
                self._use_midx = False
        return self._midx


class Objects:
    """All objects of a repository, those it borrows included."""

    def __init__(self, repository: str, git_dir: str, common_dir: str, directories: Sequence[ObjectDirectory]) -> None:
        self.repository = repository
        """Path as the event has it, for messages."""
        self.git_dir = git_dir
        self.common_dir = common_dir
        """Of a linked worktree: where refs and objects are; else `git_dir`."""
        self.directories = directories

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file that is open."""
        for directory in self.directories:
            directory.close()

    @property
    def oid_bytes(self) -> int:
        """Length of a binary object name: 20, or 32 in a SHA-256 repository."""
        length: int = self.directories[0].object_format.oid_length
        return length

    def raw(self, oid: bytes) -> tuple[int, bytes]:
        """Type (`COMMIT`, ...) and content of the object. Raises ObjectMissing or ObjectBroken; never ask it for a blob."""
        if len(oid) != 2 * self.oid_bytes or not is_oid(oid):
            raise ObjectMissing(self.repository, oid.decode("ascii", "replace"), f"no object is named {oid!r}")
        for directory in self.directories:
            try:
                return directory.loose(oid) or directory.get_raw(ObjectID(oid))
            except (KeyError, PackFileDisappeared):
                continue
            except _DAMAGED as error:
                broken = f"object {oid.decode()} cannot be read: {type(error).__name__}: {error}"
                raise ObjectBroken(self.repository, oid.decode(), broken) from error
            except OSError as error:
                raise RepositoryUnreadable(self.repository, f"object {oid.decode()} cannot be read: {error}") from error
        raise ObjectMissing(self.repository, oid.decode(), f"object {oid.decode()} is missing")


def open_objects(path: str, environment: Mapping[str, str]) -> Objects:
    """The objects of the repository at `path`, git's own directory.

    `environment` is the event's: its GIT_OBJECT_DIRECTORY and GIT_ALTERNATE_OBJECT_DIRECTORIES are read besides what
    the repository has, for Gitaly sets them. Raises RepositoryGone or RepositoryUnreadable.
    """
    git_dir = Path(path)
    try:
        common_dir = _common_dir(git_dir)
        if not (common_dir / "objects").is_dir():
            raise RepositoryGone(path, "is no git repository (any more): there is no directory `objects` in it")
        object_format = _object_format(path, common_dir)
        given = [environment.get("GIT_OBJECT_DIRECTORY", "")]
        given += environment.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "").split(os.pathsep)
        roots = [common_dir / "objects", *(git_dir / name for name in given if name)]
        directories = [ObjectDirectory(str(place), object_format=object_format) for place in _with_alternates(roots)]
    except OSError as error:
        raise RepositoryUnreadable(path, f"cannot be opened: {error}") from error
    return Objects(path, str(git_dir), str(common_dir), directories)


def cut_history(common_dir: str) -> dict[bytes, tuple[bytes, ...]]:
    """Commits whose parents are not the ones they name: the edge of a shallow clone (none), and grafts. Raises OSError."""
    cut: dict[bytes, tuple[bytes, ...]] = {}
    for name in ("info/grafts", "shallow"):
        try:
            lines = (Path(common_dir) / name).read_bytes().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            commit, *parents = line.split() or [b""]
            if is_oid(commit) and all(map(is_oid, parents)):
                cut[commit] = tuple(parents)
    return cut


def _common_dir(git_dir: Path) -> Path:
    """gitrepository-layout(5), "commondir": where a linked worktree's repository is."""
    try:
        named = (git_dir / "commondir").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return git_dir
    return git_dir / os.fsdecode(named.rstrip(b"\r\n"))


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
        raise RepositoryUnreadable(path, f"its refs are stored as {stored}, which this version does not read")
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
            lines = (place / "info" / "alternates").read_bytes().splitlines()
        except FileNotFoundError:
            continue
        waiting += [place / os.fsdecode(line) for line in reversed(lines) if line and not line.startswith(b"#")]
