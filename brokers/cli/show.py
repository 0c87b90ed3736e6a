"""oberon show: one delivery, with every attempt."""

from __future__ import annotations

import argparse
import json
from typing import Any

from brokers.cli import arguments as common
from brokers.cli import listing, output, state
from brokers.delivery import control, record
from brokers.delivery.control import Breaker, DisabledService
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import State
from brokers.delivery.rows import Attempt, Delivery
from brokers.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon show`."""
    common.describe(
        parser,
        "Show one delivery: what was pushed, what keeps it back, whether it was sent again by hand, and of each attempt the\n"
        "request, the answer, what the broker printed and where it failed. Secrets are masked; of long requests and answers the\n"
        "first 8 KiB are kept.",
        """
        oberon show 17
        oberon show 17 --payload
        oberon show 17 --json
        """,
    )
    parser.add_argument("id", metavar="ID", type=common.count, help="the delivery's number, as `oberon deliveries` lists it")
    parser.add_argument("--payload", action="store_true", help="with the payload, less the service's own settings")
    common.json(parser)
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0. Raises ConfigError if there is no such delivery."""
    state_dir = state.of_machine(arguments.state_dir)
    state.require_sight(state_dir)
    with record.existing_outbox(state_dir) as outbox:
        found = record.delivery(outbox, arguments.id)
        if found is None or outbox is None:
            raise ConfigError(f"there is no delivery {arguments.id}", origin=state_dir, remedy="see `oberon deliveries`")
        attempts = record.attempts(outbox, arguments.id)
        off, breaker = _held(outbox, found[0])
    delivery, push, payload = found
    if arguments.json:
        shown: dict[str, Any] = {
            **listing.as_record(delivery),
            "parked": None if breaker is None else listing.breaker_record(breaker),
            "disabled": None if off is None else listing.off_record(off),
            "push": push,
            "tries": [_attempt_record(attempt) for attempt in attempts],
        }
        output.as_json({**shown, "payload": payload} if arguments.payload else shown)
        return 0
    _show_delivery(delivery, push, off, breaker)
    for attempt in attempts:
        _show_attempt(attempt)
    if arguments.payload:
        output.say()
        output.say("payload:")
        output.block(json.dumps(payload, indent=2))
    return 0


def _attempt_record(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": output.iso(attempt.started_at),
        "duration_s": round(attempt.duration_s, 3),
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "exchanges": attempt.details.get("exchanges", []),
        "traceback": attempt.details.get("traceback"),
        "printed": attempt.details.get("printed"),
    }


def _held(outbox: Outbox, delivery: Delivery) -> tuple[DisabledService | None, Breaker | None]:
    """What keeps a delivery back: its service is switched off, or its endpoint fails."""
    off = breaker = None
    if delivery.state == State.DISABLED:
        places = ("", delivery.repository)
        off = next(
            (each for each in control.disabled(outbox) if each.name == delivery.service and each.repository in places), None
        )
    if delivery.state == State.PARKED:
        breaker = next((each for each in control.breakers(outbox) if each.endpoint == delivery.endpoint), None)
    return off, breaker


def _show_delivery(delivery: Delivery, push: dict[str, Any], off: DisabledService | None, breaker: Breaker | None) -> None:
    output.say(f"delivery {delivery.id} to {delivery.service} ({delivery.broker})")
    at = output.local(push.get("time"))
    what = f"#{delivery.sequence} of {delivery.repository}, by {push.get('login', '?')} over {push.get('source', '?')} at {at}"
    rows = [
        ("state", delivery.state),
        ("told", listing.told(delivery)),
        ("disabled", "" if off is None else f"{listing.off(off)}; `{listing.enabling(off)}` lets it go"),
        ("parked", "" if breaker is None else listing.failing(breaker)),
        ("given up", _expiry(delivery)),
        ("repeated", _repeats(delivery)),
        ("push", what if delivery.sequence else f"none: an alert of Oberon's own about {delivery.repository}, at {at}"),
        ("alert", str((push.get("alert") or {}).get("text", "")).partition("\n")[0]),
        ("event", delivery.event),
        ("endpoint", delivery.endpoint),
    ]
    rows += [("ref", f"{ref} {old[:12]} -> {new[:12]}") for old, new, ref in push.get("refs", ())]
    if push.get("first"):
        rows.append(("changesets", f"{str(push['first'])[:12]} to {str(push.get('last') or push['first'])[:12]}"))
    output.table(("", ""), [row for row in rows if row[1]], indent="  ")


def _expiry(delivery: Delivery) -> str:
    if delivery.expires_at is None or delivery.state not in record.UNFINISHED:
        return ""
    return f"at {output.local(delivery.expires_at)}, if it is not delivered by then (maxAge)"


def _repeats(delivery: Delivery) -> str:
    if not delivery.repeats:
        return ""
    times = listing.number(delivery.repeats, "time", "times")
    return f"{times} by hand, the last after {listing.number(delivery.schedule_from, 'attempt', 'attempts')}"


def _show_attempt(attempt: Attempt) -> None:
    output.say()
    why = f": {attempt.reason}" if attempt.reason else ""
    output.say(
        f"attempt {attempt.number} at {output.local(attempt.started_at)}, {attempt.duration_s:.2f} s: {attempt.outcome}{why}"
    )
    show_details(attempt.details)


def show_details(details: Any, *, answers: bool = True) -> None:
    """Print `exchanges`, `printed` and `traceback` of an attempt, as far as there are any; `answers`: with what came back."""
    for exchange in details.get("exchanges", ()):
        output.say(f"  request ({exchange['transport']}):")
        output.block(exchange["request"])
        if not answers:
            continue
        status = "none" if exchange["status"] is None else exchange["status"]
        output.say(f"  answer (status {status}, {exchange['duration_s']:.2f} s){':' if exchange['response'] else ''}")
        if exchange["response"]:
            output.block(exchange["response"])
    for name in ("printed", "traceback"):
        if details.get(name):
            output.say(f"  {name}:")
            output.block(details[name])
