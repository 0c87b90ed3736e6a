"""What `oberon enable` and `oberon disable` have in common: which service is meant, and whether there is one."""

from __future__ import annotations

import argparse

from brokers.cli import arguments as common
from brokers.cli import state
from brokers.cli.repository import find
from brokers.delivery import record
from brokers.delivery.outbox import Outbox
from brokers.errors import BrokerError, ConfigError

DIFFERENCE = (
    "`enabled = false` in a service's settings is another thing: pushes are then skipped for it, and never sent. What is\n"
    "held back here is kept, and goes out after `oberon enable`, unless it is older than the service's maxAge by then: that\n"
    "is given up, and `oberon deliveries --dead` lists it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`arguments.service` and `arguments.repo`."""
    parser.add_argument("service", metavar="SERVICE", help="the service's name, as `oberon services` lists it")
    parser.add_argument("--repo", metavar="REPO", help="only that of the repository at this path; default: of all repositories")
    common.json(parser)
    common.state_dir(parser)


def known(
    outbox: Outbox | None, arguments: argparse.Namespace, state_dir: str, repository: str | None
) -> tuple[Outbox, str | None]:
    """The outbox, and the repository as it has it. Raises ConfigError for a service that nothing was ever heard of."""
    if outbox is None:
        raise ConfigError("there are no deliveries yet", origin=state_dir, remedy="is it the right --state-dir?")
    place = record.in_outbox(repository)
    names = record.service_names(outbox, repository)
    if arguments.service not in names and arguments.service not in _configured(arguments.repo):
        told = f"{arguments.repo} has no service {arguments.service!r}" if place else f"there is no service {arguments.service!r}"
        remedy = f"those that had a push are {', '.join(names)}" if names else "no service had a push yet"
        raise ConfigError(told, origin=state_dir, remedy=remedy)
    return outbox, place


def _configured(path: str | None) -> list[str]:
    """The names of a repository's services, or (None) of those configured for all; none where they cannot be read."""
    try:
        configuration = state.machine_configuration() if path is None else find(path).configuration()
    except BrokerError:
        return []
    return [service.service for service in configuration.services]
