"""Put the hooks into a repository's hgrc, and take them out again; and ask whether the server's hg could run them.

In `.hg/hgrc`, at its end, between two comments:

    # oberon: begin ...
    [hooks]
    changegroup.oberon = python:hghooks.changegroup.hook
    txnclose-bookmark.oberon = python:hghooks.bookmarks.hook
    # oberon: end

A hook that stands in lines of the admin's own, or comes with the extension, is left to those; where another one has the name
of ours, `install` refuses. Every other byte of the file stays as it is, and `uninstall` gives the bytes back that were there before.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brokers.errors import ConfigError
from hghooks import HOOKS, in_force

BEGIN = b"# oberon: begin"
END = b"# oberon: end"
_JOINED = b" (there was no line end before this)"
_HINT = b"; `oberon uninstall` takes these lines out again"
SECTION = b"[hooks]"
_LINE_OF = {name: b"%s = %s" % (name, value) for name, value in HOOKS.items()}
LINES = tuple(_LINE_OF.values())
ASK_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a repository's hgrc."""

    hgrc: Path
    changed: bool
    """False: it was already as wanted."""
    told: str
    """The same for people, in one line."""


def install(repo_path: str | os.PathLike[str]) -> Change:
    """Make pushes to the repository at `repo_path` call the hook, unless its configuration has hg do so already.

    Raises ConfigError if there is no repository, or if another hook has the name of ours, which is kept; OSError.
    """
    hgrc = _hgrc(repo_path)
    before = _content(hgrc)
    found = in_force.look(hgrc, _with_block_blank(before))
    if found.foreign:
        raise found.foreign[0]
    missing = [] if found.extension else [line for name, line in _LINE_OF.items() if name not in found.lines]
    if not missing:
        return Change(hgrc, changed=False, told=f"the hook is in place already, {found.told}")
    rest = _without_block(before)
    after = rest + _block(rest, missing)
    if after == before:
        return Change(hgrc, changed=False, told=f"{hgrc} has the hook already")
    _replace(hgrc, after)
    return Change(hgrc, changed=True, told=f"put the hook into {hgrc}")


def uninstall(repo_path: str | os.PathLike[str]) -> Change:
    """Take out what `install` put in; an hgrc that held nothing else goes with it. Raises ConfigError, OSError.

    Whatever else has hg call the hook stays, and is told with the way out.
    """
    hgrc = _hgrc(repo_path)
    before = _content(hgrc)
    after = _without_block(before)
    changed = after != before
    if changed and after:
        _replace(hgrc, after)
    elif changed:
        hgrc.unlink()
    left = in_force.look(hgrc, after)
    if left:
        done = f"took our lines out of {hgrc}" if changed else f"{hgrc} has no lines that `oberon install` wrote"
        return Change(hgrc, changed, told=f"{done}, but the hook still is in place, {left.told}: {left.way_out(hgrc)}")
    return Change(hgrc, changed, told=f"took the hook out of {hgrc}" if changed else f"{hgrc} has no hook of ours")


def _hgrc(repo_path: str | os.PathLike[str]) -> Path:
    root = Path(repo_path)
    folder = root if root.name == ".hg" else root / ".hg"
    if not folder.is_dir():
        raise ConfigError("there is no Mercurial repository here", origin=str(root), remedy="name the folder that holds .hg")
    # Through a symbolic link, so that what it points to is replaced and not the link.
    return (folder / "hgrc").resolve()


def _content(hgrc: Path) -> bytes:
    try:
        return hgrc.read_bytes()
    except FileNotFoundError:
        return b""


def _block(rest: bytes, lines: Sequence[bytes]) -> bytes:
    joined = bool(rest) and not rest.endswith(b"\n")
    begin = (b"\n" if joined else b"") + BEGIN + (_JOINED if joined else b"") + _HINT
    return b"\n".join((begin, SECTION, *lines, END, b""))


def _without_block(content: bytes) -> bytes:
    """`content` without our lines, and without the line end that `install` had to add before them."""
    start, stop = _place_of_block(content)
    if start < 0 or stop < 0 or (start > 0 and content[start - 1 : start] != b"\n"):
        return content
    tail = content[stop + len(END) :].removeprefix(b"\r").removeprefix(b"\n")
    head = content[:start]
    if content[start:].startswith(BEGIN + _JOINED) and not tail:
        head = head.removesuffix(b"\n")
    return head + tail


def _with_block_blank(content: bytes) -> bytes:
    """`content` with empty lines for ours, so that each of the others keeps its number."""
    start, stop = _place_of_block(content)
    return content[:start] + b"\n" * content.count(b"\n", start, stop) + content[stop + len(END) :] if start >= 0 else content


def _place_of_block(content: bytes) -> tuple[int, int]:
    """Where our lines begin, and where the last of them does; -1 each if there are none.

    As they were written, if they still are: a marker may stand elsewhere too. Else what is between the markers.
    """
    for lines in (LINES, LINES[:1], LINES[1:]):
        for joined in (_JOINED, b""):
            start = content.rfind(b"\n".join((BEGIN + joined + _HINT, SECTION, *lines, END)))
            if start >= 0:
                return start, content.index(END, start)
    stop = content.find(END)
    return (content.rfind(BEGIN, 0, stop), stop) if stop >= 0 else (-1, -1)


def _replace(hgrc: Path, content: bytes) -> None:
    """Write beside and move over, keeping mode and owner: hg reads an hgrc only if it trusts its owner."""
    like = hgrc if hgrc.exists() else hgrc.parent
    wanted = like.stat()
    draft = hgrc.with_name(f"hgrc.oberon.{os.getpid()}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if like == hgrc:
                os.fchmod(file.fileno(), stat.S_IMODE(wanted.st_mode))
            mine = os.fstat(file.fileno())
            if (mine.st_uid, mine.st_gid) != (wanted.st_uid, wanted.st_gid):
                _give(file.fileno(), wanted)
        draft.replace(hgrc)
    finally:
        draft.unlink(missing_ok=True)


def _give(descriptor: int, wanted: os.stat_result) -> None:
    try:
        os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
    except PermissionError:
        # Only root gives files away. With another owner hg might not trust it: then nothing may be changed here.
        if os.fstat(descriptor).st_uid != wanted.st_uid:
            raise


# ------------------------------------------------------------------------------------------------------ the server's own hg


def hg_python(hg: str = "hg") -> str | None:
    """The Python that runs `hg` (a name on PATH, or a path); None if there is no such command or it does not say.

    Read from its first lines, which is quick; a wrapper in another language is asked (`hg debuginstall`).
    """
    found = shutil.which(hg)
    if found is None:
        return None
    with Path(found).open("rb") as script:
        first, second = script.readline(4096), script.readline(4096)
    command = _shebang(first, second)
    if command:
        return shutil.which(command)
    try:
        asked = subprocess.run(
            [found, "debuginstall", "-T", "{pythonexe}"],
            capture_output=True,
            text=True,
            timeout=ASK_TIMEOUT_S,
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    told = asked.stdout.strip()
    return told if told.startswith("/") and os.access(told, os.X_OK) else None


def _shebang(first: bytes, second: bytes) -> str | None:
    """The Python that a script names: `#!/usr/bin/env python3 -I`, `#!/usr/bin/python3`, or pip's `'''exec' "/long path"`."""
    if not first.startswith(b"#!"):
        return None
    line = first[2:].decode("utf-8", "surrogateescape")
    if "python" not in line and second.startswith(b"'''exec'"):
        line = second.removeprefix(b"'''exec'").decode("utf-8", "surrogateescape")
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    words = [word for word in words if not word.startswith("-") and Path(word).name != "env"]
    return words[0] if words and "python" in Path(words[0]).name else None


def imports_in(python: str) -> str | None:
    """Why the Python at `python` cannot run the hook; None if it can."""
    command = [python, "-c", "import hghooks.changegroup, hghooks.bookmarks, hghooks.changes, brokers.delivery.wake, requests"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, cwd="/", check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines()
    return said[-1] if said else f"it ends with exit code {tried.returncode}"
