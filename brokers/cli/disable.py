"""oberon disable: switch a service off."""

from __future__ import annotations

import argparse

from brokers.cli import arguments as common
from brokers.cli import listing, output, switching
from brokers.cli.deliveries import places
from brokers.delivery import control, record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon disable`."""
    common.describe(
        parser,
        "Switch a service off: nothing is sent to it until `oberon enable`. What waits and each new push is kept for it; an\n"
        "attempt that runs may end.\n"
        f"{switching.DIFFERENCE}",
        """
        oberon disable ci
        oberon disable ci --repo /srv/git/app.git --why "moves to another host"
        oberon disable ci --json
        """,
    )
    switching.add_arguments(parser)
    parser.add_argument("--why", metavar="TEXT", default="", help="told by `oberon status`, `show` and `redeliver`")


def run(arguments: argparse.Namespace) -> int:
    """0. Raises ConfigError if there is no such service."""
    state_dir, repository = places(arguments)
    with record.existing_outbox(state_dir) as outbox:
        found, place = switching.known(outbox, arguments, state_dir, repository)
        held = control.disable(found, arguments.service, place, arguments.why)
    if arguments.json:
        output.as_json({"service": arguments.service, "repository": place, "why": arguments.why, "held": held})
        return 0
    kept = listing.number(held, "delivery is held back", "deliveries are held back")
    output.say(f"{arguments.service} is switched off for {listing.where(place)}: {kept}, and so is each new one")
    output.say(f"`{listing.switch('enable', arguments.service, place)}` lets them go")
    return 0
