"""What may be on a disk after the power was cut, from the system calls that a process made until then (strace(1)).

Kept is what was synced, and no more: of a file, what had been written at its last fsync or fdatasync; of a directory, the
entries at its last fsync. Of the rest any part may be there: each change of a directory or not, in any combination; of a file's
writes none, all, all but the first, all but the last, the last cut in half. A renaming is two changes here, which is worse than
what file systems do. (After ALICE: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path

from tests.support.command import Argument

CALLS = ("close", "fdatasync", "fsync", "ftruncate", "mkdir", "openat", "pwrite64", "rename", "unlink", "write")
SYNCS = ("fdatasync", "fsync")
_CALL = re.compile(r"(\w+)\((.*)\)\s*= (\d+)")  # one that did not fail
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')

Tree = dict[str, bytes | None]
"""Path -> content; None for a directory."""


def command(log: Path, argv: Sequence[Argument]) -> list[str]:
    """`argv` under strace; of the process, not its children, `log` has what `Disk.after` needs."""
    return ["strace", "-qq", "-xx", "-s", "16777216", "-o", str(log), "-e", f"trace={','.join(CALLS)}", *map(os.fspath, argv)]


def escaped(text: str) -> str:
    """As it stands in a log."""
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(text))


def tree(root: Path) -> Tree:
    """What is in `root` now."""
    return {
        str(path): None if path.is_dir() else path.read_bytes() for path in root.rglob("*") if path.is_dir() or path.is_file()
    }


@dataclass(eq=False)
class _File:
    synced: bytes = b""
    writes: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, data) since it was synced, in order; data None: cut there."""

    def contents(self) -> set[bytes]:
        """All that may be in it after a cut."""
        some = [[], self.writes, self.writes[1:], self.writes[:-1]]
        some += [[*self.writes[:-1], (offset, data[: len(data) // 2])] for offset, data in self.writes[-1:] if data]
        return {_written(self.synced, writes) for writes in some}

    def sync(self) -> None:
        self.synced = _written(self.synced, self.writes)
        self.writes.clear()


def _written(before: bytes, writes: Sequence[tuple[int, bytes | None]]) -> bytes:
    content = bytearray(before)
    for offset, data in writes:
        content += bytes(max(0, offset - len(content)))
        if data is None:
            del content[offset:]
        else:
            content[offset : offset + len(data)] = data
    return bytes(content)


class Disk:
    """One that began with `before` on it, synced, in the directory `root`. Files called as in `ignored` are as if not there."""

    def __init__(self, root: Path, before: Mapping[str, bytes | None], ignored: Collection[str] = ()) -> None:
        self._root = str(root)
        self._ignored = ignored
        self._synced: dict[str, _File | None] = {self._root: None}
        self._synced |= {path: None if content is None else _File(content) for path, content in before.items()}
        self._names = dict(self._synced)
        self._changes: list[tuple[str, _File | None, bool]] = []
        """(path, what it names, whether it does from then on or no longer), not synced yet."""
        self._open: dict[int, tuple[str, int]] = {}
        """Descriptor -> path when it was opened, and how far it has been written."""
        self._files: dict[int, _File] = {}

    def after(self, log: Path, without: int | None = None) -> Iterator[str]:
        """Do what `log` has, call by call; each call's line when it is done. The sync number `without` (from 0) is left out."""
        syncs = 0
        for line in log.read_text("ascii").splitlines():
            match = _CALL.match(line)
            if match is None:
                continue  # it failed, or is no call
            if match[1] in SYNCS:
                syncs += 1
                if syncs - 1 == without:
                    continue
            texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(match[2])]
            self._do(match[1], match[2], texts, int(match[3]))
            yield line

    def cuts(self) -> Iterator[Tree]:
        """What may be on it if the power is cut now, each once."""
        seen = set()
        for number in range(len(self._changes) + 1):
            for chosen in combinations(self._changes, number):
                names = dict(self._synced)
                for path, node, there in chosen:
                    if there:
                        names[path] = node
                    else:
                        names.pop(path, None)
                lost = {path for path in names if not all(str(parent) in names for parent in self._parents(path))}
                left = {path: node for path, node in names.items() if path not in lost}
                files = list({node for node in left.values() if node is not None})
                for contents in product(*(file.contents() for file in files)):
                    content = dict(zip(files, contents, strict=True))
                    state = {path: None if node is None else content[node] for path, node in left.items()}
                    key = frozenset(state.items())
                    if key not in seen:
                        seen.add(key)
                        yield state

    def _parents(self, path: str) -> Iterator[Path]:
        return (parent for parent in Path(path).parents if str(parent).startswith(self._root))

    def _do(self, name: str, arguments: str, texts: list[bytes], result: int) -> None:
        descriptor = int(arguments.split(",", maxsplit=1)[0]) if arguments[:1].isdigit() else -1
        paths = [os.fsdecode(text) for text in texts]
        match name:
            case "openat":
                if "O_CREAT" in arguments and str(Path(paths[0]).parent) in self._names and paths[0] not in self._names:
                    self._change(paths[0], _File(), there=True)
                self._open[result] = paths[0], 0
                self._files.pop(result, None)
                node = self._names.get(paths[0])
                if node is not None:
                    self._files[result] = node
                    if "O_TRUNC" in arguments:
                        node.writes.append((0, None))
            case "close":
                self._open.pop(descriptor, None)
                self._files.pop(descriptor, None)
            case "mkdir":
                self._change(paths[0], None, there=True)
            case "rename":
                node = self._names.get(paths[0])
                self._change(paths[1], node, there=True)
                self._change(paths[0], node, there=False)
            case "unlink":
                self._change(paths[0], self._names.get(paths[0]), there=False)
            case "write" if descriptor in self._files:
                path, offset = self._open[descriptor]
                self._files[descriptor].writes.append((offset, texts[0][:result]))
                self._open[descriptor] = path, offset + result
            case "pwrite64" if descriptor in self._files:
                self._files[descriptor].writes.append((int(arguments.rsplit(",", 1)[1]), texts[0][:result]))
            case "ftruncate" if descriptor in self._files:
                self._files[descriptor].writes.append((int(arguments.rsplit(",", 1)[1]), None))
            case "fsync" | "fdatasync" if descriptor in self._files:
                self._files[descriptor].sync()
            case "fsync" | "fdatasync" if descriptor in self._open:  # of a directory Linux syncs the entries either way
                self._sync_directory(self._open[descriptor][0])

    def _change(self, path: str, node: _File | None, *, there: bool) -> None:
        if str(Path(path).parent) not in self._names or Path(path).name in self._ignored:
            return
        if there:
            self._names[path] = node
        else:
            del self._names[path]
        self._changes.append((path, node, there))

    def _sync_directory(self, directory: str) -> None:
        for path, node, there in self._changes:
            if str(Path(path).parent) == directory:
                if there:
                    self._synced[path] = node
                else:
                    self._synced.pop(path, None)
        self._changes = [change for change in self._changes if str(Path(change[0]).parent) != directory]
