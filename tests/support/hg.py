"""Real Mercurial repositories: one that is pushed to, and clones that push."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.command import UNMEASURED, Argument, Finished, run, write_files

AUTHOR = "Ann Example <ann@example.org>"
DATE = "2024-02-03 04:05:06 +0100"


class HgClone:
    """A working clone at `path`; its path `default` is the server's."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def hg(self, *arguments: Argument, env: Mapping[str, str | None] | None = None, input: str | bytes | None = None) -> str:  # noqa: A002 - subprocess's name
        """What `hg ARGUMENTS` prints, less the line end; what it runs of ours is not measured."""
        return run(["hg", *arguments], cwd=self.path, env={**UNMEASURED, **(env or {})}, input=input).stdout.rstrip("\n")

    def commit(
        self,
        files: Mapping[str, str | bytes | None],
        *,
        message: str | bytes = "a change",
        author: str = AUTHOR,
        date: str = DATE,
        branch: str | None = None,
    ) -> str:
        """Write `files` (None deletes one), commit all that changed, on `branch` if given; the node, 40 digits.

        hg commits only what changes something, and strips white space from a message's end.
        """
        write_files(self.path, files)
        if branch is not None:
            self.hg("branch", "-q", branch)
        said = self.hg("commit", "--debug", "-A", "-l", "-", "-u", author, "-d", date, input=message)
        [node] = re.findall(r"^committed changeset \d+:([0-9a-f]{40})$", said, re.MULTILINE)
        return str(node)

    def node(self, revision: str = ".") -> str:
        """The changeset that `revision` names, 40 digits."""
        return self.hg("log", "-r", revision, "-T", "{node}")

    def push(
        self,
        dest: Argument = "default",
        *,
        options: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        check: bool = True,
        timeout_s: float = 60.0,
    ) -> Finished:
        """`hg push OPTIONS dest`. Its exit code is 1 when there is nothing to push."""
        return run(["hg", "push", *options, dest], cwd=self.path, env=env, check=check, timeout_s=timeout_s)


class HgServer:
    """A repository at `path`, without a working copy's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _init(path)

    def hg(self, *arguments: Argument) -> str:
        """What `hg ARGUMENTS` prints in the repository, less the line end."""
        return run(["hg", "-R", self.path, *arguments], env=UNMEASURED).stdout.rstrip("\n")

    def hgrc(self, text: str) -> None:
        """Add `text` to the repository's hgrc."""
        with (self.path / ".hg" / "hgrc").open("a", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + "\n")

    def clone(self, name: str = "clone") -> HgClone:
        """A clone beside the repository, in the folder `name`."""
        path = self.path.parent / name
        if (self.path / ".hg/store/00changelog.i").exists():
            run(["hg", "clone", "-q", self.path, path], env=UNMEASURED)
        else:
            _init(path)
            (path / ".hg/hgrc").write_text(f"[paths]\ndefault = {self.path}\n")
        return HgClone(path)

    def node(self, revision: str = "tip") -> str:
        """The changeset that `revision` names, 40 digits."""
        return self.hg("log", "-r", revision, "-T", "{node}")


_initial: dict[Path, bytes | None] = {}
"""What `hg init` makes, below the repository: content of a file, None for a folder. Some hundred tests need one, and hg takes
150 ms to start.
"""


def _init(path: Path) -> None:
    if not _initial:
        run(["hg", "init", path], env=UNMEASURED)
        for made in sorted(path.rglob("*")):
            _initial[made.relative_to(path)] = made.read_bytes() if made.is_file() else None
        return
    path.mkdir(parents=True, exist_ok=True)
    for name, content in _initial.items():
        if content is None:
            (path / name).mkdir()
        else:
            (path / name).write_bytes(content)
