"""oberon uninstall: take the hook out of a repository."""

from __future__ import annotations

import argparse

from brokers.cli import arguments as common
from brokers.cli import output
from brokers.cli.repository import find


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon uninstall`."""
    common.describe(
        parser,
        "Take the hook out of a repository: what `oberon install` put there, and nothing else. A git hook that --chain kept is\n"
        "put back. Services and their settings stay, and so does what is recorded already: it is still delivered.",
        """
        oberon uninstall /srv/git/app.git
        oberon uninstall /srv/hg/app
        """,
    )
    common.repo(parser)


def run(arguments: argparse.Namespace) -> int:
    """0, also where there was nothing of ours."""
    repository = find(arguments.repo)
    if repository.scm == "git":
        from githooks import install as git_hook

        output.say(git_hook.uninstall(repository.path).told)
    else:
        from hghooks import install as hg_hook

        output.say(hg_hook.uninstall(repository.path).told)
    return 0
