"""oberon redeliver: send deliveries again."""

from __future__ import annotations

import argparse
import os
import re
import time
from dataclasses import dataclass, field

from brokers.cli import arguments as common
from brokers.cli import listing, output
from brokers.cli.deliveries import filters, places
from brokers.delivery import record, wake
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import State
from brokers.errors import ConfigError

_EVENT_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class _Done:
    deliveries: list[int] = field(default_factory=list)
    pushes: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """ID as given -> why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon redeliver`."""
    common.describe(
        parser,
        "Make deliveries due at once, whatever their state, with their schedule begun anew; and see to a worker. The service's\n"
        "settings of today hold. A push that could not be read is named by its event, 32 digits, and is read again.",
        """
        oberon redeliver 17 18
        oberon redeliver --dead
        oberon redeliver --dead --service ci --since 2d
        oberon redeliver --since 2h
        """,
    )
    parser.add_argument("ids", metavar="ID", nargs="*", help="number of a delivery, or a push's event")
    parser.add_argument("--dead", action="store_true", help="all that were given up")
    common.since(parser, "all recorded within it that are not delivered (with --dead: of those)")
    filters(parser)
    common.json(parser)
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if one of those named cannot be sent again."""
    by_filter = arguments.dead or arguments.since is not None
    if arguments.ids and by_filter:
        raise ConfigError("numbers, or --dead or --since: one or the other", remedy="leave either out")
    if not arguments.ids and not by_filter:
        raise ConfigError("no delivery is named", remedy="name their numbers, or say --dead or --since DURATION")
    if arguments.ids and (arguments.repo or arguments.service):
        raise ConfigError("--repo and --service choose among --dead or --since", remedy="leave them out beside numbers")
    state_dir, repository = places(arguments)
    with record.existing_outbox(state_dir) as outbox:
        if outbox is None:
            raise ConfigError("there are no deliveries yet", origin=state_dir, remedy="is it the right --state-dir?")
        done = _named(outbox, arguments.ids) if arguments.ids else _chosen(outbox, arguments, repository)
    worker = _wake(state_dir) if done.deliveries or done.pushes else None
    if arguments.json:
        output.as_json({"deliveries": done.deliveries, "pushes": done.pushes, "refused": done.refused, "worker": worker})
    else:
        _tell(done, worker)
    return 1 if done.refused else 0


def _named(outbox: Outbox, ids: list[str]) -> _Done:
    done = _Done()
    for given in dict.fromkeys(ids):
        if _EVENT_ID.fullmatch(given):
            numbers = record.deliveries_of(outbox, given)
            if outbox.reread(given):
                done.pushes.append(given)
            elif numbers:
                done.refused[given] = f"it was read: name its deliveries, {', '.join(map(str, numbers))}"
            else:
                done.refused[given] = "there is no such push, or it is being read now"
        elif not (given.isascii() and given.isdigit()):
            raise ConfigError(
                f"{given!r} is neither a delivery's number nor an event of 32 digits", remedy="see `oberon deliveries`"
            )
        elif outbox.redeliver(int(given)):
            done.deliveries.append(int(given))
        else:
            known = record.delivery(outbox, int(given)) is not None
            done.refused[given] = "a worker is delivering it now" if known else "there is no such delivery"
    return done


def _chosen(outbox: Outbox, arguments: argparse.Namespace, repository: str | None) -> _Done:
    done = _Done()
    since = None if arguments.since is None else time.time() - arguments.since
    states = (State.DEAD,) if arguments.dead else (State.DEAD, State.WAITING)
    chosen = record.deliveries(outbox, repository=repository, service=arguments.service, since=since)
    done.deliveries = sorted(each.id for each in chosen if each.state in states and outbox.redeliver(each.id))
    # A push that was not read has no deliveries yet, so it is not one service's.
    for push in [] if arguments.service else record.unread(outbox, repository):
        if push.state in states and (since is None or push.created_at >= since) and outbox.reread(push.id):
            done.pushes.append(push.id)
    return done


def _wake(state_dir: str) -> str:
    return wake.wake(state_dir, os.environ)


_WORKER = {"woken": "the worker was told", "started": "a worker was started", "left": "a worker runs, and looks every 5 s"}


def _tell(done: _Done, worker: str | None) -> None:
    parts = []
    if done.deliveries:
        parts.append(listing.number(len(done.deliveries), "delivery", "deliveries"))
    if done.pushes:
        parts.append(listing.number(len(done.pushes), "push to be read", "pushes to be read"))
    if worker is None:
        output.say("nothing to send again")
    else:
        output.say(f"due now: {' and '.join(parts)}; {_WORKER[worker]}")
    for given, why in done.refused.items():
        output.say(f"{given}: {why}")
