"""oberon deliveries: the record, newest first."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from brokers.cli import arguments as common
from brokers.cli import listing, output, state
from brokers.cli.main import DONE, FAILED
from brokers.cli.repository import find
from brokers.cli.state import Trouble
from brokers.delivery import record
from brokers.delivery.outcome import State
from brokers.delivery.rows import Delivery, Spool, UnreadPush

DEFAULT_LIMIT = 50
STATES = tuple(state.value for state in State if state is not State.READ)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon deliveries`."""
    common.describe(
        parser,
        "List deliveries, newest first, and the pushes that were recorded but not read yet.\n"
        "A delivery is waiting (for its time, or for a free thread), leased (a worker is at it), parked (its endpoint fails,\n"
        "and is tried now and then only), disabled (its service is switched off: `oberon enable` lets it go), delivered, dead\n"
        "(given up), or skipped (not wanted: a filter or a push option kept it back).",
        """
        oberon deliveries
        oberon deliveries --failed --since 2h
        oberon deliveries --repo /srv/git/app.git --service ci --limit 10
        oberon deliveries --state parked
        oberon deliveries --dead --json
        """,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--failed", action="store_true", help="only those that failed and are not delivered since, dead ones too")
    which.add_argument("--state", metavar="STATE", choices=STATES, help=f"only those in this state: {', '.join(STATES)}")
    which.add_argument("--dead", dest="state", action="store_const", const=State.DEAD, help="only those that were given up")
    which.add_argument(
        "--skipped", dest="state", action="store_const", const=State.SKIPPED, help="only those kept back, with why"
    )
    filters(parser)
    common.since(parser, "only those recorded within it")
    parser.add_argument(
        "--limit", metavar="N", type=common.count, default=DEFAULT_LIMIT, help=f"at most so many; default: {DEFAULT_LIMIT}"
    )
    common.json(parser)
    common.state_dir(parser)


def filters(parser: argparse.ArgumentParser) -> None:
    """`arguments.repo` and `arguments.service`."""
    parser.add_argument("--repo", metavar="REPO", help="only those of the repository at this path, in its state directory")
    parser.add_argument("--service", metavar="NAME", help="only those for the service of this name")


def places(arguments: argparse.Namespace) -> tuple[str, str | None]:
    """The state directory, and the path in the record of `--repo`: of a repository, or, of one that is gone, the path itself.

    Raises ConfigError, and PlacedError where this user may not see what is recorded.
    """
    path: str | None
    if arguments.repo is not None and Path(arguments.repo).exists():
        repository = find(arguments.repo)
        state_dir, path = state.of_repository(arguments.state_dir, repository), repository.path
    else:
        state_dir = state.of_machine(arguments.state_dir)
        path = None if arguments.repo is None else str(Path(arguments.repo).absolute())
    state.require_sight(state_dir)
    return state_dir, path


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if no push can be recorded."""
    state_dir, repository = places(arguments)
    trouble = state.trouble(state_dir)
    found: list[Delivery] = []
    unread: list[UnreadPush] = []
    spooled = Spool()
    with state.reported(trouble), record.existing_outbox(state_dir) as outbox:
        found = record.deliveries(
            outbox,
            repository=repository,
            service=arguments.service,
            state=arguments.state,
            failed=arguments.failed,
            since=None if arguments.since is None else time.time() - arguments.since,
            most=arguments.limit,
        )
        unread = record.unread(outbox, repository, arguments.limit)
        spooled = record.spooled(state_dir)
    if arguments.state:
        unread = [push for push in unread if push.state == arguments.state]
    if arguments.failed:
        unread = [push for push in unread if push.reason]
    if arguments.json:
        output.as_json(
            {
                "deliveries": [listing.as_record(delivery) for delivery in found],
                "unread": [listing.push_record(push) for push in unread],
                "spool": listing.spool_record(spooled),
                "problems": [] if trouble is None else [str(trouble)],
            }
        )
    else:
        _tell(state_dir, found, unread, spooled, trouble)
    return DONE if trouble is None else FAILED


def _tell(state_dir: str, found: list[Delivery], unread: list[UnreadPush], spooled: Spool, trouble: Trouble | None) -> None:
    if found:
        output.table(listing.HEADS, map(listing.row, found))
    elif trouble is None and not state.is_there(state_dir):
        output.say(f"no deliveries: {state_dir} is {state.NOT_THERE}")
    elif trouble is None:
        output.say(f"no such deliveries in {state_dir}")
    for push in unread:
        why = f": {push.reason}" if push.reason else ""
        output.say(f"push {push.id} of {push.repository}: {'given up' if push.state == State.DEAD else 'not read yet'}{why}")
    if spooled.waiting:
        output.say(f"{listing.number(spooled.waiting, 'push waits', 'pushes wait')} in the spool for a worker")
    if trouble is not None:
        output.say(f"error: {trouble}")
