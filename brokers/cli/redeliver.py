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
from brokers.delivery import control, record, wake
from brokers.delivery.control import Breaker, DisabledService
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import State
from brokers.delivery.rows import Delivery
from brokers.errors import ConfigError

_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_UNDELIVERED = (State.DEAD, State.WAITING, State.PARKED, State.DISABLED)


@dataclass(slots=True)
class _Done:
    deliveries: list[int] = field(default_factory=list)
    pushes: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """ID as given -> why."""
    parked: dict[str, int] = field(default_factory=dict)
    """Endpoint whose breaker is open -> how many of `deliveries` wait for it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon redeliver`."""
    common.describe(
        parser,
        "Make deliveries due at once, whatever their state, with their schedule begun anew; and see to a worker. A retry that\n"
        "waits is replaced, and an endpoint that fails is tried at once, by one of them. The push keeps its event, by which a\n"
        "receiver can tell a repeat; the record counts them. The service's settings of today hold. One that is switched off is\n"
        "refused: `oberon enable` it. A push that could not be read is named by its event, 32 digits, and is read again.\n"
        "Without numbers: those that --dead, --since, --service and --repo leave of what is not delivered and not skipped.",
        """
        oberon redeliver 17 18
        oberon redeliver --dead
        oberon redeliver --dead --service ci --since 2d
        oberon redeliver --service ci
        oberon redeliver --since 2h --json
        """,
    )
    parser.add_argument("ids", metavar="ID", nargs="*", help="number of a delivery, or a push's event")
    parser.add_argument("--dead", action="store_true", help="only those that were given up")
    common.since(parser, "only those recorded within it")
    filters(parser)
    common.json(parser)
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if one of those named, or chosen, cannot be sent again."""
    chosen = arguments.dead or arguments.since is not None or arguments.repo or arguments.service
    if arguments.ids and chosen:
        raise ConfigError("numbers, or --dead, --since, --service, --repo: one or the other", remedy="leave either out")
    if not arguments.ids and not chosen:
        raise ConfigError("no delivery is named", remedy="name their numbers, or say --dead, --since, --service or --repo")
    for given in arguments.ids:
        if not _EVENT_ID.fullmatch(given) and not (given.isascii() and given.isdigit()):
            problem = f"{given!r} is neither a delivery's number nor an event of 32 digits"
            raise ConfigError(problem, remedy="see `oberon deliveries`")
    state_dir, repository = places(arguments)
    with record.existing_outbox(state_dir) as outbox:
        if outbox is None:
            raise ConfigError("there are no deliveries yet", origin=state_dir, remedy="is it the right --state-dir?")
        again = _Again(outbox)
        if arguments.ids:
            again.named(arguments.ids)
        else:
            again.chosen(arguments, repository)
    done = again.done
    worker = wake.wake(state_dir, os.environ) if done.deliveries or done.pushes else None
    if arguments.json:
        output.as_json(
            {
                "deliveries": done.deliveries,
                "pushes": done.pushes,
                "refused": done.refused,
                "parked": done.parked,
                "worker": worker,
            }
        )
    else:
        _tell(done, again.breakers, worker)
    return 1 if done.refused else 0


class _Again:
    """What is sent again of an outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self.done = _Done()
        self.breakers: dict[str, Breaker] = {
            each.endpoint: each for each in control.breakers(outbox) if each.open_until is not None
        }
        self._outbox = outbox
        self._off: dict[tuple[str, str], DisabledService] = {
            (each.repository, each.name): each for each in control.disabled(outbox)
        }

    def named(self, ids: list[str]) -> None:
        """Deliveries by number, pushes by event."""
        for given in dict.fromkeys(ids):
            if _EVENT_ID.fullmatch(given):
                self._push(given)
            elif (found := record.delivery(self._outbox, int(given))) is None:
                self.done.refused[given] = "there is no such delivery"
            else:
                self._delivery(found[0])

    def chosen(self, arguments: argparse.Namespace, repository: str | None) -> None:
        """All that the options leave."""
        since = None if arguments.since is None else time.time() - arguments.since
        states = (State.DEAD,) if arguments.dead else _UNDELIVERED
        found = record.deliveries(self._outbox, repository=repository, service=arguments.service, since=since)
        for delivery in reversed(found):
            if delivery.state in states:
                self._delivery(delivery)
        # A push that was not read has no deliveries yet, so it is not one service's.
        for push in [] if arguments.service else record.unread(self._outbox, repository):
            if push.state in states and (since is None or push.created_at >= since) and self._outbox.reread(push.id):
                self.done.pushes.append(push.id)

    def _delivery(self, delivery: Delivery) -> None:
        off = self._off.get(("", delivery.service)) or self._off.get((delivery.repository, delivery.service))
        if off is not None:
            self.done.refused[str(delivery.id)] = f"{listing.off(off)}; `{listing.enabling(off)}`"
        elif not self._outbox.redeliver(delivery.id):
            self.done.refused[str(delivery.id)] = "a worker is delivering it now"
        else:
            self.done.deliveries.append(delivery.id)
            if delivery.endpoint in self.breakers:
                self.done.parked[delivery.endpoint] = self.done.parked.get(delivery.endpoint, 0) + 1

    def _push(self, event: str) -> None:
        numbers = record.deliveries_of(self._outbox, event)
        if self._outbox.reread(event):
            self.done.pushes.append(event)
        elif numbers:
            self.done.refused[event] = f"it was read: name its deliveries, {', '.join(map(str, numbers))}"
        else:
            self.done.refused[event] = "there is no such push, or it is being read now"


def _tell(done: _Done, breakers: dict[str, Breaker], worker: str | None) -> None:
    parts = []
    if done.deliveries:
        parts.append(listing.number(len(done.deliveries), "delivery", "deliveries"))
    if done.pushes:
        parts.append(listing.number(len(done.pushes), "push to be read", "pushes to be read"))
    if worker is None:
        output.say("nothing to send again")
    else:
        output.say(f"due now: {' and '.join(parts)}; {listing.WAKED[worker]}")
    for endpoint, count in done.parked.items():
        told = f"{count} of them for an endpoint that fails: one is sent now, what else waits for it when it answers"
        output.say(f"{told}; {listing.fails(breakers[endpoint])}")
    together: dict[str, list[str]] = {}
    for given, why in done.refused.items():
        together.setdefault(why, []).append(given)
    for why, ids in together.items():
        output.say(f"{', '.join(ids)}: {why}")
