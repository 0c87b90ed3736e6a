"""The lane over the git binary: everything is streamed from a few children that run as long as the reading.

- `git diff-tree --stdin -r -c --root -z --no-renames` tells what commits changed, in the order in which they are named to it;
- `git cat-file --batch` gives the commits themselves, raw;
- `git cat-file --batch-check` gives lengths, from the headers of objects;
- `git rev-list --parents --timestamp` gives the new part of the graph at once, `git for-each-ref` the refs of a reftable.

Commits are asked for in chunks, one ahead: while a chunk is made into objects here, git works on the next. The end of a chunk
is a line that is no object's name, which diff-tree repeats as it is; it is random, so that nothing pushed can hold it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from types import TracebackType
from typing import NamedTuple, Self

from githooks.reading import layout, refs
from githooks.reading.errors import ObjectMissing
from githooks.reading.git_binary import Child, Git
from githooks.reading.lane import Contents, file_change
from githooks.reading.objects import BLOB, COMMIT, TAG, TREE, Links, is_oid
from githooks.reading.refs import Refs, Value
from payload.push import Event, FileChange

CHUNK = 256  # commits
_REMEMBERED_LENGTHS = 20_000
_LATEST_S = 1 << 33  # dates beyond that, and 0, may be read otherwise by git than by `objects.links`

_LINKS = ("rev-list", "--parents", "--timestamp", "--ignore-missing")
_path = itemgetter(0)

_KINDS = {b"commit": COMMIT, b"tree": TREE, b"blob": BLOB, b"tag": TAG}
_REF_LINE = re.compile(rb"(\S+) (\S*) (\S+) (\S*)\Z")
_NO_MODE = b"000000"
_SUBMODULE_MODE = b"160000"
_SUBMODULE = b""


_Row = tuple[bytes, bytes | None, bytes | None, bool]
"""Of `git diff-tree --raw`: path, blob in the first parent, blob in the commit (None: not there, `_SUBMODULE`: no blob of this
repository), and whether no parent has the path."""


class _Chunk(NamedTuple):
    """Commits whose changes git has told, and whose lengths it was asked for."""

    oids: Sequence[bytes]
    rows: dict[bytes, list[_Row]]
    """By commit; one that changed nothing is not in it."""
    asked: list[bytes]
    """The objects whose lengths are being told, in that order."""


class GitLane:
    """A `lane.Lane`; a context manager, for its children. Raises ReadingError if the repository is not there."""

    eager = 64

    def __init__(self, event: Event) -> None:
        self.repository = event.path
        self.git_dir = event.path
        self.common_dir = layout.common_dir(event.path)
        self._oid_digits = max((len(update.new) for update in event.refs), default=40)
        self._git = Git(event.path, event.path, event.environment)
        self._objects_child: Child | None = None
        self._lengths_child: Child | None = None
        self._lengths = _Lengths()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._git.close()

    # ------------------------------------------------------------------------------------------------------------- objects

    def raw(self, oid: bytes) -> tuple[int, bytes]:
        """As of `lane.Lane`."""
        self._check_name(oid)
        self._objects.send(oid + b"\n")
        found = self._answered_object(oid)
        if found is None:
            raise ObjectMissing(self.repository, oid.decode(), f"object {oid.decode()} is missing")
        return found

    def length(self, oid: bytes) -> int | None:
        """As of `lane.Lane`."""
        if not is_oid(oid):
            return None
        self._sizes.send(oid + b"\n")
        return _length(self._sizes.some_lines(1)[0])

    def links_of(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """As of `lane.Lane`. Of a commit with an odd date, the name only."""
        asked = b"".join(oid + b"\n" for oid in oids if is_oid(oid))
        return map(_links, self._git.lines(*_LINKS, "--no-walk=unsorted", "--stdin", asked=asked)) if asked else None

    def newest_first(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """As of `lane.Lane`. Of a commit with an odd date, the name only."""
        return map(_links, self._git.lines(*_LINKS, "--stdin", asked=b"".join(oid + b"\n" for oid in oids)))

    @property
    def _objects(self) -> Child:
        if self._objects_child is None:
            self._objects_child = self._on_objects("--batch")
        return self._objects_child

    @property
    def _sizes(self) -> Child:
        if self._lengths_child is None:
            self._lengths_child = self._on_objects("--batch-check=%(objecttype) %(objectsize)")
        return self._lengths_child

    def _on_objects(self, form: str) -> Child:
        return self._git.start_on_objects(f"{self.common_dir}/objects", self._oid_digits, "cat-file", form)

    def _check_name(self, oid: bytes) -> None:
        if len(oid) != self._oid_digits or not is_oid(oid):
            raise ObjectMissing(self.repository, oid.decode("ascii", "replace"), f"no object is named {oid!r}")

    def _answered_object(self, oid: bytes) -> tuple[int, bytes] | None:
        """The next answer of `cat-file --batch`: `OID TYPE SIZE`, and the content and a newline; `OID missing`: None."""
        header = self._objects.until(b"\n").split(b" ")
        if len(header) != 3 or header[0] != oid:  # noqa: PLR2004 - the three of the docstring
            return None
        content = self._objects.exactly(int(header[2]) + 1)
        return _KINDS[header[1]], content[:-1]

    # ---------------------------------------------------------------------------------------------------------------- refs

    def refs(self, prefixes: Sequence[bytes]) -> Refs:
        """As of `lane.Lane`; those of a reftable have no times."""
        if not layout.has_reftable(self.common_dir):
            return refs.current_or_unreadable(self.repository, self.common_dir, prefixes)
        found = Refs()
        form = "%(objectname) %(*objectname) %(refname) %(symref)"
        for line in self._git.lines("for-each-ref", f"--format={form}"):
            told = _REF_LINE.match(line)
            if told is None or not told[3].startswith(tuple(prefixes)):
                continue
            if told[4]:
                found.symbolic[told[3]] = told[4]
            else:
                found.values[told[3]] = Value(told[1], peeled=told[2] or None)
        return found

    def head_branch(self) -> bytes | None:
        """As of `lane.Lane`."""
        if not layout.has_reftable(self.common_dir):
            return refs.head_branch(self.git_dir)
        return next(self._git.lines("rev-parse", "--symbolic-full-name", "HEAD"), None)

    # ------------------------------------------------------------------------------------------------------------ contents

    def contents(self, commits: Sequence[tuple[bytes, Links]]) -> Iterator[Contents]:
        """As of `lane.Lane`."""
        if not commits:
            return
        differ = self._git.start("diff-tree", "--stdin", "-r", "-c", "--root", "-z", "--no-renames", "--raw")
        end = secrets.token_hex(16).encode() + b"\n"
        names = iter([oid for oid, _ in commits])
        following = self._asked(differ, names, end)
        before: _Chunk | None = None
        while following:
            present, following = following, self._asked(differ, names, end)
            chunk = self._told(differ.until(end), present)
            if before is not None:
                yield from self._made(before)
            before = chunk
        if before is not None:
            yield from self._made(before)

    def _asked(self, differ: Child, names: Iterator[bytes], end: bytes) -> list[bytes]:
        """Ask for the next chunk; [] if there is none."""
        oids = list(islice(names, CHUNK))
        if oids:
            lines = b"".join(oid + b"\n" for oid in oids)
            differ.send(lines + end)
            self._objects.send(lines)
        return oids

    def _told(self, answer: bytes, oids: Sequence[bytes]) -> _Chunk:
        rows = _rows(answer)
        asked = self._lengths.unknown(oid for listed in rows.values() for row in listed for oid in row[1:3])
        self._sizes.send(b"".join(oid + b"\n" for oid in asked))
        return _Chunk(oids, rows, asked)

    def _made(self, chunk: _Chunk) -> Iterator[Contents]:
        self._lengths.learn(chunk.asked, self._sizes.some_lines(len(chunk.asked)))
        for oid in chunk.oids:
            found = self._answered_object(oid)
            if found is None:
                raise ObjectMissing(self.repository, oid.decode(), f"object {oid.decode()} is missing")
            yield Contents(oid, found[1], tuple(self._file(*row) for row in sorted(chunk.rows.get(oid, ()), key=_path)))

    def _file(self, path: bytes, old: bytes | None, new: bytes | None, added: bool) -> FileChange:  # noqa: FBT001 - a row's field
        return file_change(path, old, new, (self._lengths.of(old), self._lengths.of(new)), added=added)


class _Lengths:
    """Lengths of blobs that were told lately: a file's new content is the old one of the commit that changes it next."""

    def __init__(self) -> None:
        self._young: dict[bytes | None, int | None] = {}
        self._old: dict[bytes | None, int | None] = {}

    def unknown(self, oids: Iterable[bytes | None]) -> list[bytes]:
        """Which of `oids` are to be asked for, each once. They must be learned before this is called again twice."""
        if len(self._young) > _REMEMBERED_LENGTHS:
            self._old, self._young = self._young, {}
        young, old = self._young, self._old
        asked = []
        for oid in oids:
            if oid and oid not in young:
                if oid in old:
                    young[oid] = old[oid]
                else:
                    young[oid] = None
                    asked.append(oid)
        return asked

    def learn(self, oids: Sequence[bytes], told: Sequence[bytes]) -> None:
        """What `cat-file --batch-check` told of `oids`."""
        young = self._young
        for oid, line in zip(oids, told, strict=True):
            young[oid] = _length(line)

    def of(self, oid: bytes | None) -> int | None:
        """Bytes; None if it is not there; 0 for a submodule."""
        if not oid:
            return None if oid is None else 0
        return self._young[oid] if oid in self._young else self._old[oid]


def _length(line: bytes) -> int | None:
    """Of `TYPE SIZE`; `OID missing` has none."""
    size = line.rpartition(b" ")[2]
    return int(size) if size.isdigit() else None


def _links(line: bytes) -> tuple[bytes, Links | None]:
    """Of `TIME OID PARENT...`; the dates that git may read otherwise than `objects.links` does are left to that."""
    stamp, oid, *parents = line.split(b" ")
    time = int(stamp)
    return oid, Links(tuple(parents), time) if 0 < time < _LATEST_S else None


def _rows(answer: bytes) -> dict[bytes, list[_Row]]:
    """git-diff-tree(1), "Raw output format" and "diff format for merges", with -z: commits, each with what it changed."""
    found: dict[bytes, list[_Row]] = {}
    rows: list[_Row] = []
    fields = iter(answer.split(b"\0"))
    for field in fields:
        if field.startswith(b"::"):
            rows.append(_merged(field, next(fields)))
        elif field.startswith(b":"):
            old_mode, new_mode, old, new, _ = field[1:].split(b" ")
            rows.append((next(fields), _blob(old_mode, old), _blob(new_mode, new), old_mode == _NO_MODE))
        elif field:
            rows = found[field] = []
    return found


def _merged(field: bytes, path: bytes) -> _Row:
    told = field.lstrip(b":").split(b" ")
    parents = len(field) - len(field.lstrip(b":"))
    modes, oids = told[: parents + 1], told[parents + 1 :]
    added = all(mode == _NO_MODE for mode in modes[:parents])
    return path, _blob(modes[0], oids[0]), _blob(modes[parents], oids[parents]), added


def _blob(mode: bytes, oid: bytes) -> bytes | None:
    return None if mode == _NO_MODE else _SUBMODULE if mode == _SUBMODULE_MODE else oid
