"""A repository by its path: which kind it is, and the path that its events bear."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from brokers.config import Configuration
from brokers.delivery import statedir
from brokers.errors import ConfigError


class Repository(NamedTuple):
    """What `find` found."""

    scm: str
    """`git` or `hg`."""
    path: str
    """Absolute, links followed: git's common directory, or the folder that holds `.hg`."""

    @property
    def beside(self) -> str:
        """The folder inside the repository that takes the state where there is no other place."""
        return self.path if self.scm == "git" else str(Path(self.path) / ".hg")

    def configuration(self) -> Configuration:
        """What its configuration says. Raises ConfigError if it cannot be read."""
        from brokers.cli.sources import by_scm

        return by_scm()[self.scm].configuration(self.path)

    def state_dir(self, configuration: Configuration) -> str:
        """Where its hook puts its events. Call it as the user the hook runs as."""
        return statedir.choose(configuration.settings.state_dir, os.environ, self.beside)


def find(path: str) -> Repository:
    """The repository at `path`: a bare git directory, a work tree with `.git` (a folder or a file), or a folder with `.hg`.

    Its path is as the hooks tell it, which run in the directory itself and so see no symbolic link. Raises ConfigError.
    """
    place = Path(os.path.realpath(path))
    if not place.is_dir():
        beside = place.with_name(place.name + ".git")
        remedy = f"did you mean {beside}?" if beside.is_dir() else "name a repository by its path"
        raise ConfigError("there is no such folder", origin=path, remedy=remedy)
    if place.name == ".hg":
        place = place.parent
        return Repository("hg", str(place))
    git_dir = _git_dir(place)
    has_hg = (place / ".hg").is_dir()
    if git_dir is not None and has_hg:
        raise ConfigError(
            "here are a git and a Mercurial repository in one folder", origin=path, remedy=f"name {git_dir} or {place / '.hg'}"
        )
    if git_dir is not None:
        from githooks.post_receive import common_dir

        return Repository("git", os.path.realpath(common_dir(str(git_dir))))
    if has_hg:
        return Repository("hg", str(place))
    raise ConfigError(
        "this is neither a git nor a Mercurial repository",
        origin=path,
        remedy="name a bare git directory, a work tree, or a folder that holds .hg",
    )


def _git_dir(place: Path) -> Path | None:
    """`place` itself, what its `.git` is, or what its `.git` file names (gitrepository-layout(5)); None."""
    for candidate in (place, place / ".git", _named_by(place / ".git")):
        if candidate is not None and _is_git_dir(candidate):
            return candidate
    return None


def _named_by(file: Path) -> Path | None:
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        first = os.fsdecode(opened.readline(65536)).rstrip("\n")
    return Path(os.path.realpath(file.parent / first.removeprefix("gitdir: "))) if first.startswith("gitdir: ") else None


def _is_git_dir(place: Path) -> bool:
    """As git's own test (setup.c, is_git_directory): HEAD, and refs and objects, here or in the common directory."""
    has_store = (place / "commondir").is_file() or ((place / "objects").is_dir() and (place / "refs").is_dir())
    head = place / "HEAD"
    return has_store and (head.is_file() or head.is_symlink())
