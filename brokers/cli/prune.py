"""oberon prune: forget what is done, and what is dead and has been seen to."""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import dataclass, field

from brokers.cli import arguments as common
from brokers.cli import listing, output, state
from brokers.cli.deliveries import filters, places
from brokers.delivery import disk, record, retention
from brokers.delivery.database import FullDiskError
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import State
from brokers.errors import ConfigError

_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_ENDED = (State.DELIVERED, State.SKIPPED, State.DEAD)
DAY_S = 86_400.0


@dataclass(slots=True)
class _Forgotten:
    done: int = 0
    """Pushes of which all was delivered or skipped."""
    deliveries: list[int] = field(default_factory=list)
    pushes: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """ID as given -> why."""
    dead: int = 0
    """Deliveries and pushes that stay."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon prune`."""
    common.describe(
        parser,
        "Forget pushes of which all was delivered or skipped more than oberon.keepDays ago, as the worker does by itself. What\n"
        "is dead stays until you have seen to it: --dead forgets it, and so does its number. A push that could not be read is\n"
        "named by its event, 32 digits. What still waits is never forgotten. It works on a full disk too.",
        """
        oberon prune
        oberon prune --older-than 7d --dry-run
        oberon prune --dead --service ci
        oberon prune 17 18
        """,
    )
    parser.add_argument("ids", metavar="ID", nargs="*", help="number of a delivery that has ended, or a push's event")
    parser.add_argument("--dead", action="store_true", help="all that were given up")
    common.older_than(parser, "only what ended longer ago than that; default: oberon.keepDays, with --dead: no limit")
    parser.add_argument("--dry-run", action="store_true", help="say what would be forgotten, and forget nothing")
    filters(parser)
    common.json(parser)
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if one of those named cannot be forgotten."""
    if arguments.ids and (arguments.dead or arguments.older_than is not None):
        raise ConfigError("numbers, or --dead or --older-than: one or the other", remedy="leave either out")
    if (arguments.repo or arguments.service) and not arguments.dead:
        raise ConfigError("--repo and --service choose among --dead", remedy="say --dead, or leave them out")
    state_dir, repository = places(arguments)
    keep_s = state.machine_settings().keep_days * DAY_S if arguments.older_than is None else arguments.older_than
    try:
        forgotten = _in_outbox(arguments, state_dir, repository, keep_s)
    except FullDiskError:
        if not disk.release_ballast(state_dir):
            raise
        forgotten = _in_outbox(arguments, state_dir, repository, keep_s)
    if arguments.json:
        output.as_json(
            {
                "done": forgotten.done,
                "deliveries": forgotten.deliveries,
                "pushes": forgotten.pushes,
                "refused": forgotten.refused,
                "dead": forgotten.dead,
                "dry_run": arguments.dry_run,
            }
        )
    else:
        _tell(forgotten, dry_run=arguments.dry_run)
    return 1 if forgotten.refused else 0


def _in_outbox(arguments: argparse.Namespace, state_dir: str, repository: str | None, keep_s: float) -> _Forgotten:
    with record.existing_outbox(state_dir) as outbox:
        if outbox is None:
            raise ConfigError("there are no deliveries yet", origin=state_dir, remedy="is it the right --state-dir?")
        if arguments.ids:
            chosen = _named(outbox, arguments.ids)
        elif arguments.dead:
            chosen = _dead(outbox, arguments, repository)
        else:
            chosen = _Forgotten(done=retention.prunable(outbox, keep_s))
        if not arguments.dry_run:
            chosen.deliveries = retention.forget_deliveries(outbox, chosen.deliveries)
            chosen.pushes = retention.forget_pushes(outbox, chosen.pushes)
            if chosen.done:
                chosen.done, _ = retention.prune(outbox, keep_s)
            retention.compact(outbox)
        chosen.dead = sum(record.counts(outbox, question).get(State.DEAD, 0) for question in ("count_deliveries", "count_events"))
        return chosen


def _named(outbox: Outbox, ids: list[str]) -> _Forgotten:
    chosen = _Forgotten()
    for given in dict.fromkeys(ids):
        if _EVENT_ID.fullmatch(given):
            found = _push(outbox, given)
            if found is None:
                chosen.pushes.append(given)
            else:
                chosen.refused[given] = found
        elif not (given.isascii() and given.isdigit()):
            raise ConfigError(
                f"{given!r} is neither a delivery's number nor an event of 32 digits", remedy="see `oberon deliveries`"
            )
        else:
            known = record.delivery(outbox, int(given))
            if known is None:
                chosen.refused[given] = "there is no such delivery"
            elif known[0].state in _ENDED:
                chosen.deliveries.append(int(given))
            else:
                chosen.refused[given] = "it is not delivered yet, and not given up"
    return chosen


def _push(outbox: Outbox, event: str) -> str | None:
    """Why a push cannot be forgotten; None if it can."""
    rows = outbox.ask("show_event", id=event)
    if not rows:
        return "there is no such push"
    if rows[0]["state"] not in (State.READ, State.DEAD):
        return "it is not read yet"
    waiting = [str(row["id"]) for row in outbox.ask("deliveries_of", id=event) if row["state"] not in _ENDED]
    return f"of its deliveries, {', '.join(waiting)} are not delivered yet, and not given up" if waiting else None


def _dead(outbox: Outbox, arguments: argparse.Namespace, repository: str | None) -> _Forgotten:
    before = time.time() - (arguments.older_than or 0.0)
    deliveries = record.deliveries(outbox, repository=repository, service=arguments.service, state=State.DEAD)
    # A push that was not read has no deliveries yet, so it is not one service's.
    unread = [] if arguments.service else record.unread(outbox, repository)
    return _Forgotten(
        deliveries=sorted(each.id for each in deliveries if (each.finished_at or each.created_at) <= before),
        pushes=[push.id for push in unread if push.state == State.DEAD and push.created_at <= before],
    )


def _tell(forgotten: _Forgotten, *, dry_run: bool) -> None:
    parts = [
        told
        for count, told in (
            (forgotten.done, listing.number(forgotten.done, "push that is done", "pushes that are done")),
            (len(forgotten.deliveries), listing.number(len(forgotten.deliveries), "delivery", "deliveries")),
            (len(forgotten.pushes), listing.number(len(forgotten.pushes), "push", "pushes")),
        )
        if count
    ]
    verb = "would forget" if dry_run else "forgot"
    output.say(f"{verb} {', '.join(parts) or 'nothing'}")
    for given, why in forgotten.refused.items():
        output.say(f"{given}: {why}")
    if forgotten.dead and not (forgotten.deliveries or forgotten.pushes):
        output.say(f"{forgotten.dead} dead stay: see `oberon deliveries --dead`; `oberon prune --dead` forgets them")
