"""The patches of commits, for brokers that ask for them (`needs = {'diff'}`), as `git show --format= COMMIT` prints them,
but for names beyond ASCII, which stand as they are (`core.quotePath = false`): people read them.

One `git diff-tree --stdin -p --cc -M --root` tells them all, one commit at a time. It runs in an empty repository of its own
that borrows the objects, and with a home of its own: so neither configuration nor attributes, the repository's, the user's or
the machine's, change the text or have anything run (`diff.external`, `textconv`, `core.abbrev`, `*.x diff=y`), and the text
is the same on each server. Where history is cut short (`shallow`, `info/grafts`) is the repository's to tell.

Where a patch ends: git repeats a line that does not begin with an object's name, once it is done with the lines before. Ours
begins with `=`. Each line of a patch begins with a letter, with one of `@ + -`, a space or a backslash, whatever is in the
files: their lines stand behind a mark, their names are quoted if they have a line end. And ours is random.

A patch is read to the limit; what follows is thrown away as it comes, and git is ended if much does. It is ended too if all
together take too long, and it cannot take more memory than `_MEMORY_BYTES`: a file of short lines takes a hundred times
what was pushed.
"""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from githooks.reading import layout
from githooks.reading.git_binary import OBJECT_DIRECTORIES, environment, limit_memory, write_empty_repository
from githooks.reading.objects import is_oid
from payload import text

TIME_LIMIT_S = 120.0

_DIFF_TREE = (
    *("git", "-c", "core.quotePath=false", "diff-tree", "--stdin", "--always", "-p", "--cc", "-M", "--root"),
    *("--no-ext-diff", "--no-textconv", "--no-color"),
)
_READ_BYTES = 1 << 16
_OVERRUN_BYTES = 1 << 20  # thrown away at most before git is ended instead; starting it again takes some milliseconds
_MEMORY_BYTES = 1 << 30


class Patches:
    """The patches of a repository's commits; a context manager, for its child and its folder."""

    def __init__(self, git_dir: str, recorded: Mapping[str, str], max_bytes: int, *, time_limit_s: float = TIME_LIMIT_S) -> None:
        """`git_dir` and `recorded` are the event's path and environment; `max_bytes` is the limit of one patch.

        `time_limit_s` is for all together: after that, none are had. Nothing is run before the first is asked for.
        """
        self._git_dir = git_dir
        self._recorded = recorded
        self._kept_bytes = max_bytes + 4  # four bytes more than the limit are at least one character more
        self._left_s = time_limit_s
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._oid_digits = 0
        self._end = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End git and remove its folder."""
        self._end_child()

    def of(self, oid: bytes) -> str | None:
        """The patch of the commit `oid` (full hex): against its parent, of a merge against all of them, of a root whole.

        Read a little further than the limit if it is longer: whoever cuts it sees that there was more. '' if nothing
        changed. None if it cannot be had: no git, an object missing or damaged, not enough time or memory.
        Raises RepositoryGone or RepositoryUnreadable.
        """
        if not is_oid(oid) or self._left_s <= 0:
            return None
        started = time.monotonic()
        try:
            found = self._told(oid, started + self._left_s)
        except OSError:
            found = None
        if found is None:
            self._end_child()
        self._left_s -= time.monotonic() - started
        return found

    def _told(self, oid: bytes, deadline: float) -> str | None:
        if len(oid) != self._oid_digits:
            self._end_child()
        if self._child is None:
            self._child = self._started(len(oid))
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(oid + b"\n" + self._end[1:])
        header = oid + b"\n"  # git names each commit that it could read
        kept = bytearray()
        kept_bytes = len(header) + self._kept_bytes
        length = 0
        latest = b"\n"
        ready = select.poll()
        ready.register(self._child.stdout)
        while not latest.endswith(self._end):
            if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            piece = os.read(self._child.stdout.fileno(), _READ_BYTES)
            if not piece:
                return None
            length += len(piece)
            kept += piece[: kept_bytes - len(kept)]
            latest = (latest + piece)[-len(self._end) :]
            if length > kept_bytes + _OVERRUN_BYTES:
                self._end_child()
                break
        else:
            del kept[length - len(self._end) + 1 :]
        return text.decode(bytes(memoryview(kept)[len(header) :])) if kept.startswith(header) else None

    def _started(self, oid_digits: int) -> subprocess.Popen[bytes]:
        """A git that waits for commits. Raises OSError, RepositoryGone or RepositoryUnreadable."""
        directory = layout.common_dir(self._git_dir)
        self._home = tempfile.TemporaryDirectory(prefix="oberon-")
        home = self._home.name
        environ = environment(self._git_dir, self._recorded)
        environ |= {
            "GIT_DIR": f"{home}/repo.git",
            OBJECT_DIRECTORIES[0]: f"{directory}/objects",
            "GIT_GRAFT_FILE": f"{directory}/info/grafts",
            "GIT_SHALLOW_FILE": f"{directory}/shallow",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "HOME": home,
            "XDG_CONFIG_HOME": home,
        }
        Path(home, "repo.git").mkdir()
        write_empty_repository(f"{home}/repo.git", oid_digits)
        # What the event recorded may be relative to where the hook ran.
        child = subprocess.Popen(
            _DIFF_TREE,
            env=environ,
            cwd=self._git_dir,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        limit_memory(child.pid, _MEMORY_BYTES)
        self._oid_digits = oid_digits
        self._end = b"\n=%s\n" % secrets.token_hex(16).encode()
        return child

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with child:
                pass
        home, self._home = self._home, None
        if home is not None:
            home.cleanup()
