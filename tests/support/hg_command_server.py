"""One `hg` process that runs many commands (mercurial/commandserver.py), and what it says of changesets: the oracle."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from payload import text
from payload.push import Commit, FileType
from tests.support.command import environment

FIELDS = ("rev", "node", "p1.node", "p2.node", "manifest", "branch", "user", "date|hgdate", "desc")
LISTS = ("files", "file_adds", "file_mods", "file_dels")
# hg keeps no NUL in any of these, and no line end in a name.
TEMPLATE = (
    "".join(f"{{{field}}}\\0" for field in FIELDS)
    + "".join(f"{{join({field}, '\\n')}}\\0" for field in LISTS)
    + r"{files % '{status} {path}\n'}\0{files('**') % '{size} {path}\n'}\0"
)
NULL = "0" * 40


@dataclass(frozen=True, slots=True)
class Told:
    """A changeset as `hg log` tells it. Texts and names are bytes, as hg has them."""

    rev: int
    node: str
    parents: tuple[str, ...]
    manifest: str
    branch: bytes
    user: bytes
    time_s: int
    west_s: int
    desc: bytes
    files: tuple[bytes, ...]
    added: tuple[bytes, ...]
    modified: tuple[bytes, ...]
    removed: tuple[bytes, ...]
    status: dict[bytes, str]
    """Path of each of `files` -> A, M, R or C (clean), against the first parent, whatever the others are."""
    sizes: dict[bytes, int]
    """Path -> length in bytes of every file there is."""


class CommandServer:
    """A context manager. `encoding` is HGENCODING's value; every command names its repository with -R."""

    def __init__(self, encoding: str = "UTF-8", config: Sequence[str] = ()) -> None:
        options = [word for setting in config for word in ("--config", setting)]
        self._process = subprocess.Popen(
            ["hg", "serve", "--cmdserver", "pipe", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment({"HGENCODING": encoding, "HGPLAIN": "1"}),
            cwd="/",
        )
        self._read_to_result([])  # its greeting

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def run(self, repository: Path, *arguments: str | bytes, check: bool = True) -> tuple[int, bytes]:
        """Exit code and output of `hg -R REPOSITORY --cwd REPOSITORY ARGUMENTS`, errors among it. With `check`, it must be 0."""
        assert self._process.stdin is not None
        words = [b"--cwd", os.fsencode(repository), b"-R", os.fsencode(repository)]
        words += [word if isinstance(word, bytes) else os.fsencode(word) for word in arguments]
        sent = b"\0".join(words)
        self._process.stdin.write(b"runcommand\n" + struct.pack(">I", len(sent)) + sent)
        self._process.stdin.flush()
        parts: list[bytes] = []
        code = self._read_to_result(parts)
        assert code == 0 or not check, (arguments, code, b"".join(parts))
        return code, b"".join(parts)

    def _read_to_result(self, parts: list[bytes]) -> int:
        """Take in what the server says until it ends a command, or has said its greeting."""
        assert self._process.stdout is not None
        greeting = not hasattr(self, "_greeted")
        while True:
            channel, length = struct.unpack(">cI", self._process.stdout.read(5))
            if channel in b"IL":
                raise AssertionError(f"hg asks for input: {b''.join(parts)!r}")
            data = self._process.stdout.read(length)
            if channel == b"r":
                return int(struct.unpack(">i", data)[0])
            if channel in b"oe":
                parts.append(data)
            if greeting:
                self._greeted = True
                return 0

    def log(self, repository: Path, revset: str = "all()", *options: str) -> list[Told]:
        """What `hg log` says of the changesets, oldest first."""
        _, output = self.run(repository, "log", "-r", revset, "-T", TEMPLATE, "--debug", *options)
        values = output.split(b"\0")[:-1]
        width = len(FIELDS) + len(LISTS) + 2
        return [_told(values[start : start + width]) for start in range(0, len(values), width)]

    def files(self, repository: Path, node: str) -> dict[bytes, int]:
        """Path -> length in bytes, as `hg files` lists them."""
        code, output = self.run(repository, "files", "-r", node, "-T", r"{size} {path}\n", check=False)
        assert code in (0, 1), output  # 1: there are none
        return {path: int(size) for size, path in _pairs(output)}

    def status(self, repository: Path, node: str) -> dict[bytes, str]:
        """Path -> A, M or R, as `hg status --change` says."""
        _, output = self.run(repository, "status", "--change", node, "-amr", "-T", r"{status} {path}\n")
        return {path: word.decode() for word, path in _pairs(output)}


def assert_as_told(commit: Commit, told: Told, before: dict[bytes, int]) -> None:
    """Every field of `commit` is as hg tells it; `before` are the sizes of all files in the first parent."""
    assert (commit.node, commit.revision, commit.parents) == (told.node, told.rev, told.parents)
    assert (commit.author.raw, commit.branch) == (told.user.decode(), told.branch.decode())
    assert commit.message.encode().strip() == told.desc  # hg's templates strip what is stored
    assert (commit.author.time, commit.author.offset_s) == (told.time_s, -told.west_s)
    assert (commit.committer, commit.tree) == (None, told.manifest)
    assert [change.path for change in commit.files] == [text.decode_path(path) for path in told.files]
    of_type = {FileType.ADDED: told.added, FileType.MODIFIED: told.modified, FileType.REMOVED: told.removed}
    words = {FileType.ADDED: "A", FileType.MODIFIED: "M", FileType.REMOVED: "R"}
    for path, change in zip(told.files, commit.files, strict=True):
        assert path in of_type[change.type], (path, change)
        # C: recorded as changed and yet clean, as a file over which an equal one was moved; {file_mods} has it, status has not
        assert len(commit.parents) > 1 or told.status[path] in (words[change.type], "C"), (path, change)
        assert (change.old_size, change.new_size, change.size_known) == (before.get(path), told.sizes.get(path), True), path


def _told(values: Sequence[bytes]) -> Told:
    rev, node, first, second, manifest, branch, user, date, desc, *lists, status, sizes = values
    time_s, west_s = map(int, date.split())
    return Told(
        rev=int(rev),
        node=node.decode(),
        parents=tuple(parent.decode() for parent in (first, second) if parent.decode() != NULL),
        manifest=manifest.rpartition(b":")[2].decode(),
        branch=branch,
        user=user,
        time_s=time_s,
        west_s=west_s,
        desc=desc,
        **{
            name: tuple(listed.split(b"\n")) if listed else ()
            for name, listed in zip(("files", "added", "modified", "removed"), lists, strict=True)
        },
        status={path: word.decode() for word, path in _pairs(status)},
        sizes={path: int(size) for size, path in _pairs(sizes)},
    )


def _pairs(output: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in output.split(b"\n")[:-1]:
        word, _, path = line.partition(b" ")
        yield word, path
