"""Where the parts of a repository are on the disk: gitrepository-layout(5)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from brokers.errors import RepositoryGone, RepositoryUnreadable
from githooks.reading.objects import is_oid

_ESCAPED = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_CONTROLS = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


def borrowed(listed: bytes, separator: bytes) -> list[str]:
    """The directories of objects in `objects/info/alternates` (a line each), or in GIT_ALTERNATE_OBJECT_DIRECTORIES (`:`).

    One that has the separator in it stands in quotes as C has them (git(1), "GIT_ALTERNATE_OBJECT_DIRECTORIES").
    """
    found = re.findall(rb'"((?:[^"\\]|\\.)*)"|([^%b]+)' % separator, listed, re.DOTALL)
    return [os.fsdecode(_ESCAPED.sub(_unescaped, quoted) or plain) for quoted, plain in found if not plain.startswith(b"#")]


def _unescaped(found: re.Match[bytes]) -> bytes:
    said = found[1]
    return bytes([int(said, 8) & 255]) if said.isdigit() and len(said) > 1 else bytes([_CONTROLS.get(said[0], said[0])])


def common_dir(path: str) -> str:
    """Where refs and objects are of the repository at `path`, git's own directory: of a linked worktree, elsewhere.

    Raises RepositoryGone if there are none, RepositoryUnreadable if that cannot be told.
    """
    git_dir = Path(path)
    try:
        try:
            named = (git_dir / "commondir").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            found = git_dir
        else:
            found = git_dir / os.fsdecode(named.rstrip(b"\r\n"))
        if not (found / "objects").is_dir():
            raise RepositoryGone(path, "is no git repository (any more): there is no directory `objects` in it")
    except OSError as error:
        raise RepositoryUnreadable(path, f"cannot be opened: {error}") from error
    return str(found)


def has_reftable(directory: str) -> bool:
    """Whether the refs of the repository with this common directory are in a reftable, which files do not tell."""
    return Path(directory, "reftable").is_dir()


def cut_history(directory: str) -> dict[bytes, tuple[bytes, ...]]:
    """Commits whose parents are not the ones they name: the edge of a shallow clone (none), and grafts. Raises OSError."""
    cut: dict[bytes, tuple[bytes, ...]] = {}
    for name in ("info/grafts", "shallow"):
        try:
            lines = Path(directory, name).read_bytes().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            commit, *parents = line.split() or [b""]
            if is_oid(commit) and all(map(is_oid, parents)):
                cut[commit] = tuple(parents)
    return cut
