"""oberon install: put the hook into a repository."""

from __future__ import annotations

import argparse
import shlex

from brokers.cli import arguments as common
from brokers.cli import output
from brokers.cli.repository import Repository, find
from brokers.errors import BrokerError, ConfigError

_NEXT = {
    "git": (
        "git --git-dir={path} config service.ci.broker post",
        "git --git-dir={path} config service.ci.url https://ci.example.org/hook",
    ),
    "hg": ("[services]", "ci.broker = post", "ci.url = https://ci.example.org/hook"),
}
_WHERE = {"git": "name a service, for example:", "hg": "name a service, for example by these lines in {path}/.hg/hgrc:"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon install`."""
    common.describe(
        parser,
        "Put the hook into a repository. git: hooks/post-receive becomes a link; where a forge keeps its hooks in\n"
        "hooks/post-receive.d, the link goes there. Mercurial: two lines at the end of .hg/hgrc. What is there already stays:\n"
        "another git hook makes it refuse, unless --chain says to run both. It may be called again.",
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
    output.say(f"next, {_WHERE[repository.scm].format(path=repository.path)}")
    for line in _NEXT[repository.scm]:
        output.say("  " + line.format(path=path))
    output.say(f"then see: oberon doctor {path}")
