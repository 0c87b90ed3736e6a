"""The lane over the git binary: everything is streamed from a few children that run as long as the reading.

- `git diff-tree --stdin -r -c --root -z --no-renames` tells what commits changed, in the order in which they are named to it;
- `git cat-file --batch` gives the commits themselves, raw;
- `git cat-file --batch-check` gives lengths, from the headers of objects;
- `git rev-list --format='%ct %H %P'` lists commits with their links, `git for-each-ref` the refs of a reftable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from githooks.reading import diff_tree, layout, refs
from githooks.reading.child import Child
from githooks.reading.diff_tree import CHUNK, Asker, Told
from githooks.reading.errors import ObjectMissing
from githooks.reading.git_binary import Git
from githooks.reading.lane import Contents, Tally
from githooks.reading.objects import BLOB, COMMIT, TAG, TREE, Links, is_oid
from githooks.reading.refs import Refs, Value
from payload.push import Event

_ROWS_AT_ONCE = 4096
_REMEMBERED_LENGTHS = 20_000
_LATEST_S = 1 << 33  # dates beyond that, and 0, may be read otherwise by git than by `objects.links`

# Not --timestamp, for which git before 2.41 looks behind the first `>` of a line, which may be in a name.
_LINKS = ("rev-list", "--format=%ct %H %P", "--ignore-missing")

_KINDS = {b"commit": COMMIT, b"tree": TREE, b"blob": BLOB, b"tag": TAG}
_REF_LINE = re.compile(rb"(\S+) (\S*) (\S+) (\S*)\Z")


class _Batch(NamedTuple):
    """Commits whose changes git has told, and whose lengths it was asked for."""

    commits: list[Told]
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
        return _links(self._git.lines(*_LINKS, "--no-walk=unsorted", "--stdin", asked=asked)) if asked else None

    def newest_first(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, Links | None]] | None:
        """As of `lane.Lane`. Of a commit with an odd date, the name only."""
        return _links(self._git.lines(*_LINKS, "--stdin", asked=b"".join(oid + b"\n" for oid in oids)))

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

    def contents(self, commits: Sequence[tuple[bytes, Links]], max_files: int) -> Iterator[Contents]:
        """As of `lane.Lane`."""
        tally = Tally(max_files)
        before: _Batch | None = None
        for told in self._batches(self._changes([oid for oid, _ in commits], tally)):
            batch = _Batch(told, self._lengths.unknown(oid for one in told for row in one.rows for oid in row[1:3]))
            self._sizes.send(b"".join(oid + b"\n" for oid in batch.asked))
            if before is not None:
                yield from self._made(before, tally)
            before = batch
        if before is not None:
            yield from self._made(before, tally)

    @staticmethod
    def _batches(told: Iterator[Told]) -> Iterator[list[Told]]:
        """As many commits at once as have about so many files."""
        batch: list[Told] = []
        rows = 0
        for one in told:
            batch.append(one)
            rows += len(one.rows)
            if len(batch) >= CHUNK or rows >= _ROWS_AT_ONCE:
                yield batch
                batch, rows = [], 0
        if batch:
            yield batch

    def _changes(self, oids: Sequence[bytes], tally: Tally) -> Iterator[Told]:
        """What each of `oids` changed, in their order, as far as it counts. Their contents are asked for on the way."""
        asker = Asker(oids, self._objects)
        at = 0
        while at < len(oids):
            differ = self._git.start(*diff_tree.COMMAND, max_memory_bytes=diff_tree.MAX_BYTES)
            asker.begin(differ, at)
            began_at = at
            for one in diff_tree.told(differ, asker, tally):
                if one.oid != oids[at]:
                    break  # git passes over what it does not have
                yield one
                at += 1
            differ.close()
            if at == began_at:
                raise ObjectMissing(self.repository, oids[at].decode(), f"object {oids[at].decode()} is missing")

    def _made(self, batch: _Batch, tally: Tally) -> Iterator[Contents]:
        self._lengths.learn(batch.asked, self._sizes.some_lines(len(batch.asked)))
        length = self._lengths.of
        for oid, rows, complete in batch.commits:
            found = self._answered_object(oid)
            if found is None:
                raise ObjectMissing(self.repository, oid.decode(), f"object {oid.decode()} is missing")
            for path, old, new, added in rows[: tally.most]:
                tally.add(path, old, new, (length(old), length(new)), added=added)
            yield tally.ended(oid, found[1], complete=complete and len(rows) <= tally.most)


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


def _links(lines: Iterator[bytes]) -> Iterator[tuple[bytes, Links | None]]:
    """Of `TIME OID PARENT...`; the dates that git may read otherwise than `objects.links` does are left to that."""
    for line in lines:
        stamp, oid, *parents = line.rstrip().split(b" ")
        if stamp != b"commit":  # the line that rev-list puts before each format; 2.33 can leave it out
            time = int(stamp) if stamp.isdigit() else 0
            yield oid, Links(tuple(parents), time) if 0 < time < _LATEST_S else None
