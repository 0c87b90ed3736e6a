"""Real git repositories: a bare one that is pushed to, and clones that push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tests.support.command import Argument, Finished, run, write_files

AUTHOR = "Ann Example <ann@example.org>"
DATE = "2024-02-03T04:05:06+01:00"
ZERO = "0" * 40


class GitClone:
    """A working clone at `path`; its remote `origin` is the server's path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *arguments: Argument, env: Mapping[str, str | None] | None = None, input: str | bytes | None = None) -> str:  # noqa: A002 - subprocess's name
        """What `git ARGUMENTS` prints, less the line end."""
        return run(["git", *arguments], cwd=self.path, env=env, input=input).stdout.rstrip("\n")

    def commit(
        self,
        files: Mapping[str, str | bytes | None] | None = None,
        *,
        message: str | bytes = "a change",
        author: str = AUTHOR,
        date: str = DATE,
        committer: str | None = None,
        committer_date: str | None = None,
    ) -> str:
        """Write `files` (None deletes one), commit all that changed on the current branch; the node.

        Without `files` the commit is empty. The committer is the author unless given. The message is stored as it is.
        """
        write_files(self.path, files or {})
        self.git("add", "--all")
        who: dict[str, str | None] = {}
        for role, person, when in (("AUTHOR", author, date), ("COMMITTER", committer or author, committer_date or date)):
            name, _, mail = person.rpartition("<")
            who |= {f"GIT_{role}_NAME": name.strip(), f"GIT_{role}_EMAIL": mail.rstrip(">"), f"GIT_{role}_DATE": when}
        self.git(
            "commit", "-q", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "-F", "-", env=who, input=message
        )
        return self.node()

    def node(self, revision: str = "HEAD") -> str:
        """The object that `revision` names."""
        return self.git("rev-parse", "--verify", revision)

    def push(
        self,
        *refspecs: str,
        url: Argument = "origin",
        options: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        check: bool = True,
        timeout_s: float = 60.0,
    ) -> Finished:
        """`git push OPTIONS url REFSPECS`; without refspecs, HEAD to the branch of its name. `+` before a refspec forces."""
        argv = ["git", "push", *options, url, *(refspecs or ("HEAD",))]
        return run(argv, cwd=self.path, env=env, check=check, timeout_s=timeout_s)


class GitServer:
    """A bare repository at `path`, with no hooks but those that a test puts there."""

    def __init__(self, path: Path, *, object_format: Literal["sha1", "sha256"] = "sha1") -> None:
        self.path = path
        self.object_format = object_format
        run(["git", "init", "-q", "--bare", f"--object-format={object_format}", path])

    def git(self, *arguments: Argument, input: str | bytes | None = None) -> str:  # noqa: A002 - subprocess's name
        """What `git ARGUMENTS` prints in the repository, less the line end."""
        return run(["git", f"--git-dir={self.path}", *arguments], input=input).stdout.rstrip("\n")

    def config(self, key: str, *values: str) -> None:
        """Set `key` to `values`; several make a list; none removes it."""
        if len(values) != 1:
            run(["git", f"--git-dir={self.path}", "config", "--unset-all", key], check=not values)
        for value in values:
            self.git("config", *(["--add"] if len(values) > 1 else []), key, value)

    def clone(self, name: str = "clone") -> GitClone:
        """A clone beside the repository, in the folder `name`."""
        path = self.path.parent / name
        # An empty SHA-256 repository tells its clones nothing before git 2.41.
        run(["git", "clone", "-q", self.path, path], env={"GIT_DEFAULT_HASH": self.object_format})
        return GitClone(path)

    def node(self, revision: str) -> str:
        """The object that `revision` names, here."""
        return self.git("rev-parse", "--verify", revision)
