"""The git binary: with which environment it is run, and on what.

Only plumbing is run, so that nobody's `[log]`, `[diff]` or `[color]` settings change what it prints.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from githooks.reading.child import Child

OBJECT_DIRECTORIES = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")

SHA256_DIGITS = 64


def is_there() -> bool:
    """Whether a `git` is on PATH."""
    return shutil.which("git") is not None


def environment(git_dir: str, recorded: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a git child gets: the process's own, less git's variables, which would lead it to another repository.

    `recorded` is the event's: of it the object directories count, besides the repository's own. Replacements are ignored, as a
    push is what was pushed; objects that a partial clone lacks are not fetched (git >= 2.39.4; before that no transport is
    allowed). The owner of a repository named by GIT_DIR is not asked for (`safe.directory` in git-config(1) concerns what is
    discovered).
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        **_alternates(recorded or {}),
        "GIT_DIR": git_dir,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_FLUSH": "0",  # not after every commit
        "LC_ALL": "C",
    }


def _alternates(recorded: Mapping[str, str]) -> dict[str, str]:
    """The object directories that the hook was told of, as further ones: what waited in them may have moved into the repository."""
    own, others = (recorded.get(name, "") for name in OBJECT_DIRECTORIES)
    quoted = '"' + own.replace("\\", "\\\\").replace('"', '\\"') + '"' if own else ""
    named = os.pathsep.join(filter(None, (quoted, others)))
    return {OBJECT_DIRECTORIES[1]: named} if named else {}


class Git:
    """A repository for git children; a context manager that ends those still running."""

    def __init__(self, repository: str, git_dir: str, recorded: Mapping[str, str]) -> None:
        self.repository = repository
        """Path as the event has it, for messages."""
        self._environment = environment(git_dir, recorded)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children."""
        self._open.close()

    def start(self, *arguments: str, max_memory_bytes: int | None = None) -> Child:
        """`git ARGUMENTS`, running, and failing where it needs more memory. Raises RepositoryUnreadable if there is no git."""
        child = self._started(arguments, self._environment)
        if max_memory_bytes is not None:
            limit_memory(child.pid, max_memory_bytes)
        return child

    def start_on_objects(self, objects_dir: str, oid_digits: int, *arguments: str) -> Child:
        """`git ARGUMENTS` on the objects alone: an empty repository that borrows them, with nothing of this one's configuration.

        In a partial clone git would ask its origin for an object that is not there, and die when it may not (2.39.5); here
        it says that it is missing. Raises RepositoryUnreadable if there is no git.
        """
        try:
            place = self._open.enter_context(tempfile.TemporaryDirectory(prefix="oberon-"))
            write_empty_repository(place, oid_digits)
        except OSError:  # no room for it: then as it is, which does for all but a partial clone
            return self._started(arguments, self._environment)
        return self._started(arguments, {**self._environment, "GIT_DIR": place, OBJECT_DIRECTORIES[0]: objects_dir})

    def _started(self, arguments: Sequence[str], environ: Mapping[str, str]) -> Child:
        child = Child(self.repository, arguments, environ)
        self._open.callback(child.close)
        return child

    def lines(self, *arguments: str, asked: bytes = b"", time_limit_s: float | None = None) -> Iterator[bytes]:
        """What `git ARGUMENTS` prints when it is given `asked`, line by line without its end; who stops listening ends it.

        Raises ReadingError if it fails, or is not done within `time_limit_s`.
        """
        child = self.start(*arguments)
        if time_limit_s is not None:
            child.deadline = time.monotonic() + time_limit_s
        try:
            child.send(asked)
            child.end_input()
            yield from child.lines()
            child.close(check=True)
        finally:
            child.close()


def limit_memory(pid: int, max_bytes: int) -> None:
    """Let the process `pid` have no more memory of its own, where the system can do that (Linux: prlimit(2), RLIMIT_DATA)."""
    if hasattr(resource, "prlimit"):
        with suppress(OSError, ValueError):  # it has ended, or a lower limit holds already
            resource.prlimit(pid, resource.RLIMIT_DATA, (max_bytes, max_bytes))


def write_empty_repository(place: str, oid_digits: int) -> None:
    """Make the directory `place` a repository (gitrepository-layout(5)) of objects with such names. Raises OSError."""
    content = {"HEAD": "ref: refs/heads/none\n", "config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"}
    if oid_digits == SHA256_DIGITS:  # a format that git before 2.29 does not know
        content["config"] = content["config"].replace("= 0", "= 1") + "[extensions]\n\tobjectFormat = sha256\n"
    Path(place, "refs").mkdir()
    for name, text in content.items():
        Path(place, name).write_text(text, encoding="ascii")
