"""Which files changesets changed, and how long those were and are: what Mercurial's own API tells, at a fraction of its cost.

A manifest has a line `PATH NUL NODE FLAGS` for each file, sorted by path (mercurial/manifest.py, `manifestdict`). hg stores
most of them as hunks against another one, mostly the first parent's: so the lines that went and came are had without parsing
either, and the text of the next is made of the one before, as hg makes it (mercurial/mdiff.py, `patches`). Lengths are in the
index of each file's log; logs stay open for a while, because the same files change again and again.

Repositories that keep manifests otherwise (`treemanifest`), or only some files or their recent past (`narrow`,
`remotefilelog`), and whatever is not as expected, are asked through the API, path by path.
"""

from __future__ import annotations

import struct
from binascii import unhexlify
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha1
from itertools import pairwise
from typing import Any, NamedTuple

from payload import text
from payload.push import FileChange, FileType

KNOWN_STORAGE = frozenset(
    b"bookmarksinstore dirstate-v2 dotencode exp-archived-phase exp-sparse fileindex-v1 fncache generaldelta internal-phase"
    b" internal-phase-2 largefiles lfs persistent-nodemap relshared revlogv1 share-safe shared sparserevlog store".split()
)
"""What a repository may require (`.hg/requires`) for `Manifests`, beside any compression: it changes nothing of how they are kept."""

_COMPRESSION = (b"revlog-compression-", b"exp-compression-")

MAX_LOGS = 256
MAX_HELD_BYTES = 64 << 10  # a log holds the last text that it had to read; one that holds more is let go
MAX_TEXTS = 16
MAX_TEXTS_BYTES = 16 << 20  # of manifests; the newest two stay whatever they weigh
MAX_DELTAS = 16  # from a manifest that is kept to the one wanted
MAX_NAMES = 4096  # changesets of which it is remembered which manifest they have

_HUNK = struct.Struct(">lll")  # where it begins and ends in the old text, and the length of what follows (mercurial/mpatch.c)
_NODE_DIGITS = 40
_LINE_END = ord("\n")

Nodes = tuple[bytes | None, bytes | None, bool]
"""Of a file: its node in the first parent and in the changeset (None: not there), and whether any parent has the file."""


class Files:
    """What changesets of one repository did to files. `repo` is unfiltered; for one thread."""

    def __init__(self, repo: Any) -> None:
        from mercurial import mdiff

        self._lengths = Lengths(repo)
        known = all(name in KNOWN_STORAGE or name.startswith(_COMPRESSION) for name in repo.requirements)
        self._manifests = Manifests(repo) if known else None
        self._damage = (struct.error, IndexError, ValueError, mdiff.mpatch.mpatchError)

    def of(self, changeset: Any) -> tuple[FileChange, ...]:
        """Those recorded (`changeset.files()`), in Mercurial's order, which is by the bytes of the path."""
        if self._manifests is not None:
            self._manifests.name(changeset)  # now that it is read; its children ask
        paths = changeset.files()
        if not paths:
            return ()
        changes = []
        for path, (old, new, had) in zip(paths, self._nodes(changeset, paths), strict=True):
            file_type = FileType.REMOVED if new is None else FileType.MODIFIED if had else FileType.ADDED
            changes.append(FileChange(text.decode_path(path), file_type, *self._lengths.of(path, old, new)))
        return tuple(changes)

    def _nodes(self, changeset: Any, paths: list[bytes]) -> list[Nodes]:
        if self._manifests is not None:
            try:
                return self._manifests.nodes(changeset, paths)
            except self._damage:
                pass  # hg reads it in its own way, and says what is wrong with it
        return nodes_by_name(changeset, paths)


def nodes_by_name(changeset: Any, paths: list[bytes]) -> list[Nodes]:
    """Those of `paths`, in their order, as Mercurial's API has them, whatever the storage."""
    here = changeset.manifest()
    first, *others = (parent.manifest() for parent in changeset.parents())
    return [(first.get(path), here.get(path), path in first or any(path in other for other in others)) for path in paths]


def kept_open(log: Any) -> AbstractContextManager[object]:
    """`log`'s file, open as long as the context: hg opens it for each reading otherwise. Nothing where hg has no such thing."""
    revlog = log.get_revlog() if hasattr(log, "get_revlog") else log
    return revlog.reading() if hasattr(revlog, "reading") else nullcontext()


class Manifests:
    """Flat manifests, read by the hunks between them."""

    def __init__(self, repo: Any) -> None:
        from mercurial import mdiff

        self._storage = repo.manifestlog.getstorage(b"")
        self._none = repo.nodeconstants.nullid
        self._patches = mdiff.patches
        self._textdiff = mdiff.textdiff
        self._texts: OrderedDict[bytes, bytes] = OrderedDict()
        self._texts_bytes = 0
        self._names: OrderedDict[int, bytes] = OrderedDict()

    def nodes(self, changeset: Any, paths: list[bytes]) -> list[Nodes]:
        """As `nodes_by_name`. Raises what hg raises, and of damage mpatchError, struct.error, IndexError or ValueError."""
        first, *others = map(self.name, changeset.parents())
        went, came = self._difference(first, self.name(changeset))
        found: list[Nodes] = []
        for path in paths:
            old, new = went.get(path), came.get(path)
            if old is None and new is None:  # recorded as changed, and is not
                old = new = _found(self._text(first), path)
            had = old is not None or any(_found(self._text(other), path) is not None for other in others)
            found.append((_node(old), _node(new), had))
        return found

    def name(self, changeset: Any) -> bytes:
        """The node of the changeset's manifest. It is remembered, for to ask a parent is to read it again."""
        revision = changeset.rev()
        name = self._names.get(revision)
        if name is None:
            name = self._names[revision] = changeset.manifestnode()
            if len(self._names) > MAX_NAMES:
                self._names.popitem(last=False)
        return name

    def _difference(self, first: bytes, here: bytes) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        """Path -> node and flags: of the lines of `first` that are not in `here`, and the other way round.

        A line of both may be in both. So a path that is in neither has the same line in both manifests, or none.
        """
        old = self._text(first)
        if self._none in (first, here):
            return _entries(old), _entries(self._text(here))
        storage = self._storage
        first_revision, revision = storage.rev(first), storage.rev(here)
        if storage.deltaparent(revision) == first_revision:
            delta = storage.revdiff(first_revision, revision)
            new = self._texts.get(here) or self._made(here, old, [delta])
        else:
            new = self._text(here)
            delta = self._textdiff(old, new)
        changed = _changed(old, delta)
        went, came = changed if changed is not None else (old, new)
        return _entries(went), _entries(came)

    def _text(self, node: bytes) -> bytes:
        """The manifest, from those kept, or made of one of those, or read."""
        if node == self._none:
            return b""
        known = self._texts.get(node)
        if known is not None:
            self._texts.move_to_end(node)
            return known
        storage = self._storage
        chain = [storage.rev(node)]
        while len(chain) <= MAX_DELTAS and (base := storage.deltaparent(chain[0])) >= 0:
            old = self._texts.get(storage.node(base))
            if old is not None:
                return self._made(node, old, [storage.revdiff(*pair) for pair in pairwise([base, *chain])])
            chain.insert(0, base)
        return self._keep(node, storage.revision(node))

    def _made(self, node: bytes, old: bytes, deltas: list[bytes]) -> bytes:
        """The manifest that `deltas` make of `old`. Raises ValueError unless it is what it is named for, as hg checks too."""
        new: bytes = self._patches(old, deltas)
        digest = sha1(b"".join(sorted(self._storage.parents(node))), usedforsecurity=False)  # mercurial/utils/storageutil.py
        digest.update(new)
        if digest.digest() != node:
            raise ValueError(f"manifest {node.hex()} is damaged")
        return self._keep(node, new)

    def _keep(self, node: bytes, whole: bytes) -> bytes:
        texts = self._texts
        texts[node] = whole
        self._texts_bytes += len(whole)
        while len(texts) > MAX_TEXTS or (self._texts_bytes > MAX_TEXTS_BYTES and len(texts) > 2):  # noqa: PLR2004 - old and new
            self._texts_bytes -= len(texts.popitem(last=False)[1])
        return whole


def _changed(old: bytes, delta: bytes) -> tuple[bytes, bytes] | None:
    """The lines of the manifest `old` that `delta` takes out, and those that it brings. None: it splits lines."""
    went, came = [], []
    at = 0
    while at < len(delta):
        start, end, length = _HUNK.unpack_from(delta, at)
        at += _HUNK.size
        brought = delta[at : at + length]
        at += length
        splits = (start and old[start - 1] != _LINE_END) or (end and old[end - 1] != _LINE_END)
        if splits or (brought and brought[-1] != _LINE_END):
            return None
        went.append(old[start:end])
        came.append(brought)
    return b"".join(went), b"".join(came)


def _entries(lines: bytes) -> dict[bytes, bytes]:
    """Path -> node in hex digits, and flags. Raises ValueError."""
    return dict(line.split(b"\0", 1) for line in lines.split(b"\n")[:-1])  # two parts each, or ValueError


def _found(manifest: bytes, path: bytes) -> bytes | None:
    """What `_entries(manifest).get(path)` gives, faster."""
    begin = path + b"\0"
    at = 0 if manifest.startswith(begin) else manifest.find(b"\n" + begin) + 1
    if at == 0 and not manifest.startswith(begin):
        return None
    at += len(begin)
    return manifest[at : manifest.index(b"\n", at)]


def _node(entry: bytes | None) -> bytes | None:
    return None if entry is None else unhexlify(entry[:_NODE_DIGITS])


class _Log(NamedTuple):
    """A file's log that is kept, and lengths of some of its nodes."""

    log: Any
    known: dict[bytes | None, int | None]


class Lengths:
    """How long files are, from their logs' indexes."""

    def __init__(self, repo: Any) -> None:
        from mercurial import error, mdiff

        self._open = repo.file
        self._none = repo.nodeconstants.nullid
        self._logs: OrderedDict[bytes, _Log] = OrderedDict()
        self._unknown = (error.Error, error.RepoError, LookupError, OSError, ValueError, mdiff.mpatch.mpatchError)

    def of(self, path: bytes, old: bytes | None, new: bytes | None) -> tuple[int | None, int | None, bool]:
        """Lengths in bytes of two revisions of a file (None: not there), and whether they could be had.

        A revision that records a copy is read whole, and so is a first one, to see that. A repository that holds only some
        files or their recent past may have neither.
        """
        try:
            log, known = self._logs.pop(path) if path in self._logs else _Log(self._open(path), {None: None})
            holds_much = False
            for node in (old, new):
                if node not in known:
                    size = known[node] = int(log.size(log.rev(node)))
                    holds_much = holds_much or (size > MAX_HELD_BYTES and log.parents(node)[0] == self._none)
        except self._unknown:
            return None, None, False
        if not holds_much:
            self._logs[path] = _Log(log, {None: None, new: known[new]})
            if len(self._logs) > MAX_LOGS:
                self._logs.popitem(last=False)
        return known[old], known[new], True
