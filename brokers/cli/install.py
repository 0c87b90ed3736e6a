"""oberon install: put the hook into a repository."""

from __future__ import annotations

import argparse
import shlex

from brokers.cli import arguments as common
from brokers.cli import first_service, output
from brokers.cli.repository import Repository, find
from brokers.errors import BrokerError, ConfigError

_GIT, _HG = Repository("git", "/srv/git/app.git"), Repository("hg", "/srv/hg/app")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon install`."""
    common.describe(
        parser,
        "Put the hook into a repository. git: hooks/post-receive becomes a link; where a forge keeps its hooks in\n"
        "hooks/post-receive.d, the link goes there. Mercurial: two lines at the end of .hg/hgrc. What is there already stays:\n"
        "another git hook makes it refuse, unless --chain says to run both. It may be called again.\n\n" + _naming(),
        """
        oberon install /srv/git/app.git
        oberon install --chain /srv/git/app.git
        oberon install /srv/hg/app
        """,
    )
    common.repo(parser)
    parser.add_argument(
        "--chain",
        action="store_true",
        help="git: keep a hook that is there as hooks/post-receive.d/00-post-receive, and run it and then ours",
    )


def _naming() -> str:
    """For --help: how to go on, for either."""
    told = []
    for scm, each in (("git", _GIT), ("Mercurial", _HG)):
        told += [f"{scm}: {first_service.where(each)}", *("  " + line for line in first_service.lines(each))]
    return "\n".join(told)


def run(arguments: argparse.Namespace) -> int:
    """0. Raises ConfigError if another hook is in the way."""
    repository = find(arguments.repo)
    if repository.scm == "git":
        from githooks import install as git_hook

        told = git_hook.install(repository.path, chain=arguments.chain).told
    else:
        if arguments.chain:
            raise ConfigError("--chain is for git: Mercurial runs any number of hooks", remedy="leave it out")
        from hghooks import install as hg_hook

        told = hg_hook.install(repository.path).told
    output.say(told)
    _tell_next(repository)
    return 0


def _tell_next(repository: Repository) -> None:
    try:
        services = [service.service for service in repository.configuration().services]
    except BrokerError as error:
        output.say(f"warning: {error}")
        services = []
    path = shlex.quote(repository.path)
    if services:
        output.say(f"services: {', '.join(services)}; next: oberon test {path} {shlex.quote(services[0])} --dry-run")
        return
    output.say(f"next, {first_service.where(repository)}")
    for line in first_service.lines(repository):
        output.say("  " + line)
    output.say(f"then see: oberon doctor {path}")
