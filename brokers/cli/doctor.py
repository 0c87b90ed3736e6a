"""oberon doctor: what was looked at, how it is, and the command that mends it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from brokers.cli import arguments as common
from brokers.cli import output, state
from brokers.cli.checks import Check, Level, hooks, machine, rights, settings
from brokers.cli.main import DONE, FAILED, USAGE
from brokers.cli.repository import Repository, find
from brokers.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon doctor`."""
    common.describe(
        parser,
        "Look at all that a push needs on its way, on this machine and, with REPO, in that repository. Each line says ok, warning\n"
        "or error, what was looked at, and how it is mended. Nothing is changed. Run it as the user the hooks run as.\n"
        "Exit code 2 if a setting is wrong, 1 for other errors, 0 otherwise.",
        """
        oberon doctor
        oberon doctor /srv/git/app.git
        oberon doctor /srv/hg/app --json
        """,
    )
    common.repo(parser, optional=True)
    common.json(parser)
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 if nothing is in error, 2 if a setting is wrong, else 1."""
    repository = None if arguments.repo is None else find(arguments.repo)
    checks = []
    for check in _machine(arguments.state_dir) if repository is None else _repository(repository, arguments.state_dir):
        checks.append(check)
        if not arguments.json:
            _tell(check)
    if arguments.json:
        output.as_json({"checks": [_record(check) for check in checks]})
    errors = [check for check in checks if check.level is Level.ERROR]
    return USAGE if any(check.is_setting for check in errors) else FAILED if errors else DONE


def _machine(given: str | None) -> Iterator[Check]:
    yield from machine.python()
    yield from machine.git(needed=True)
    yield from machine.hg(needed=False)
    yield from machine.state(state.of_machine(given))
    yield from settings.settings(state.machine_configuration())


def _repository(repository: Repository, given: str | None) -> Iterator[Check]:
    yield from machine.python()
    yield from machine.git(needed=repository.scm == "git")
    yield from machine.hg(needed=repository.scm == "hg")
    yield from hooks.hook(repository)
    try:
        configuration = repository.configuration()
    except ConfigError as problem:
        yield settings.of_problem(problem)
        return
    state_dir = given or repository.state_dir(configuration)
    yield from machine.state(state_dir)
    yield from rights.of_repository(repository, state_dir)
    yield from settings.settings(configuration)
    yield from settings.links(configuration, repository)
    yield from settings.services(configuration, repository)


def _tell(check: Check) -> None:
    remedy = f"; {check.remedy}" if check.remedy else ""
    output.say(f"{check.level:<8} {check.looked_at}: {check.told}{remedy}")


def _record(check: Check) -> dict[str, object]:
    return {
        "level": check.level,
        "looked_at": check.looked_at,
        "told": check.told,
        "remedy": check.remedy or None,
        "is_setting": check.is_setting,
    }
