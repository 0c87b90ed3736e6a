"""oberon enable: switch a service on again."""

from __future__ import annotations

import argparse
import os

from brokers.cli import arguments as common
from brokers.cli import listing, output, switching
from brokers.cli.deliveries import places
from brokers.cli.main import DONE, FAILED
from brokers.delivery import control, record, wake


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon enable`."""
    common.describe(
        parser,
        "Switch a service on again that `oberon disable` has switched off, or Oberon itself, which does so when the service\n"
        "answers 410 (gone) or has failed for 120 hours. What was kept for it is due at once, oldest first. Without --repo it\n"
        "is switched on wherever it was off.\n"
        f"{switching.DIFFERENCE}",
        """
        oberon enable ci
        oberon enable ci --repo /srv/git/app.git
        oberon enable ci --json
        """,
    )
    switching.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if it is still off for all repositories. Raises ConfigError if there is no such service."""
    state_dir, repository = places(arguments)
    with record.existing_outbox(state_dir) as outbox:
        found, place = switching.known(outbox, arguments, state_dir, repository)
        off = [each for each in control.disabled(found) if each.name == arguments.service]
        mine = [each for each in off if place in (None, each.repository)]
        released = control.enable(found, arguments.service, place)
        still = [each for each in control.disabled(found) if each in off and each.repository in ("", place)]
    worker = wake.wake(state_dir, os.environ) if released else None
    if arguments.json:
        output.as_json(
            {
                "service": arguments.service,
                "repository": place,
                "switched_on": [listing.off_record(each) for each in mine],
                "still_off": [listing.off_record(each) for each in still],
                "released": released,
                "worker": worker,
            }
        )
        return FAILED if still else DONE
    for each in mine:
        output.say(f"{each.name} is on again for {listing.where(each.repository)}")
    if worker is not None:
        output.say(f"{listing.number(released, 'delivery is', 'deliveries are')} let go; {listing.WAKED[worker]}")
    for each in still:
        output.say(f"error: {listing.off(each)}; `{listing.enabling(each)}`")
    if not mine and not still:
        output.say(f"{arguments.service} is on already for {listing.where(place)}")
    return FAILED if still else DONE
