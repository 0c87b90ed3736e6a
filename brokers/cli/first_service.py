"""How a first service is named in a repository's configuration: what `install`, `services` and `doctor` tell of it."""

from __future__ import annotations

import shlex

from brokers.cli.repository import Repository

_LINES = {
    "git": (
        "git --git-dir={quoted} config service.ci.broker post",
        "git --git-dir={quoted} config service.ci.url https://ci.example.org/hook",
    ),
    "hg": ("[services]", "ci.broker = post", "ci.url = https://ci.example.org/hook"),
}
_WHERE = {"git": "name a service, for example:", "hg": "name a service, for example by these lines in {path}/.hg/hgrc:"}


def where(repository: Repository) -> str:
    """What comes before the lines."""
    return _WHERE[repository.scm].format(path=repository.path)


def lines(repository: Repository) -> list[str]:
    """The commands for git, the lines of an hgrc for Mercurial."""
    return [line.format(quoted=shlex.quote(repository.path)) for line in _LINES[repository.scm]]


def in_one_line(repository: Repository) -> str:
    """All of it, as a remedy."""
    told = lines(repository)
    return f"{where(repository)} {' && '.join(told) if repository.scm == 'git' else ' / '.join(told)}"
