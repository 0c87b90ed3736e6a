"""git's objects made byte for byte: commits and tags that no git command would write, but that any server lets in.

The layouts are those of gitformat-pack(5) and of "Git Objects" in the Pro Git book.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

_PACKED = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_FOLDER = "40000"

Files = Mapping[bytes, tuple[str, bytes]]
"""Path -> mode, and content; of a submodule (mode 160000) the commit's hex."""


class Objects:
    """Objects waiting to be written into a repository. A name is full hex, as str."""

    def __init__(self, object_format: Literal["sha1", "sha256"] = "sha1") -> None:
        self._hash = getattr(hashlib, object_format)
        self._content: dict[str, tuple[str, bytes]] = {}

    def add(self, kind: Literal["commit", "tree", "blob", "tag"], content: bytes) -> str:
        """An object of any content; its name."""
        name = str(self._hash(b"%s %d\0%s" % (kind.encode(), len(content), content)).hexdigest())
        self._content[name] = (kind, content)
        return name

    def tree(self, files: Files) -> str:
        """A tree with its sub-trees and blobs. No path may be a folder of another."""
        root: dict[bytes, Any] = {}
        for path, entry in files.items():
            *folders, name = path.split(b"/")
            at = root
            for folder in folders:
                at = at.setdefault(folder, {})
            at[name] = entry
        return self._tree(root)

    def _tree(self, names: Mapping[bytes, Any]) -> str:
        entries = []
        for name, entry in names.items():
            if isinstance(entry, dict):
                mode, oid = _FOLDER, self._tree(entry)
            else:
                mode, content = entry
                oid = content.decode() if mode == "160000" else self.add("blob", content)
            # git sorts a folder as if its name ended with a slash.
            entries.append((name + b"/" * (mode == _FOLDER), b"%s %s\0" % (mode.encode(), name) + bytes.fromhex(oid)))
        return self.add("tree", b"".join(entry for _, entry in sorted(entries)))

    def write(self, git_dir: Path, *, packed: bool) -> None:
        """Put them into the repository, as one pack or as loose files."""
        parts = [b"PACK" + struct.pack(">II", 2, len(self._content))]
        for kind, content in self._content.values():
            parts += [_header(_PACKED[kind], len(content)), zlib.compress(content, 1)]
        pack = b"".join(parts)
        command = ["index-pack", "--stdin"] if packed else ["unpack-objects", "-q"]
        argv = ["git", f"--git-dir={git_dir}", *command]
        subprocess.run(argv, input=pack + self._hash(pack).digest(), check=True, capture_output=True)


def commit(tree: str, parents: Iterable[str], author: bytes, committer: bytes, message: bytes, headers: bytes = b"") -> bytes:
    """A commit's content: `author` and `committer` with their dates, `headers` whole lines."""
    lines = [b"tree %s\n" % tree.encode(), *(b"parent %s\n" % parent.encode() for parent in parents)]
    return b"".join(lines) + b"author %s\ncommitter %s\n%s\n%s" % (author, committer, headers, message)


def tag(target: str, kind: str, name: bytes, tagger: bytes | None, message: bytes) -> bytes:
    """An annotated tag's content; without `tagger`, as git wrote them until 2005."""
    lines = b"object %s\ntype %s\ntag %s\n" % (target.encode(), kind.encode(), name)
    return lines + (b"tagger %s\n" % tagger if tagger is not None else b"") + b"\n" + message


def _header(kind: int, length: int) -> bytes:
    """Kind and length before an object of a pack: 4 bits of the length, then 7 at a time, the least first."""
    low, length = length & 15, length >> 4
    found = bytearray([kind << 4 | low])
    while length:
        found[-1] |= 0x80
        found.append(length & 0x7F)
        length >>= 7
    return bytes(found)
