"""oberon brokers: the brokers there are."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from brokers import loader
from brokers.base import Field
from brokers.cli import arguments as common
from brokers.cli import broker_examples, listing, manual, output, state
from brokers.cli.main import DONE, FAILED
from brokers.delivery import loaded
from brokers.delivery.loaded import Loaded
from brokers.errors import UnknownBrokerError
from brokers.in_service import Version


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon brokers`."""
    common.describe(
        parser,
        "List the brokers that a service can name, and the files that cannot be used; or tell one broker's settings, with an\n"
        "example to copy. Those of --path come before those of oberon.brokerPath in git's global configuration, and these before\n"
        "the built-in ones. Where a worker runs, what it has loaded is told too: the versions in service, and those that were\n"
        "replaced, with how many deliveries still run with them.",
        """
        oberon brokers
        oberon brokers post
        oberon brokers --path /etc/oberon/brokers
        """,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="tell about this one")
    parser.add_argument(
        "--path", metavar="DIR", action="append", default=[], help="look for broker files here too; may be given again"
    )
    common.json(parser)
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if a broker's file cannot be used, here or by the worker."""
    path = (*(str(Path(folder).absolute()) for folder in arguments.path), *state.machine_settings().broker_path)
    if arguments.name is not None:
        return _tell_one(arguments.name.lower(), path, as_json=arguments.json)
    found = loader.available(path)
    state_dir = state.of_machine(arguments.state_dir)
    worker = loaded.read(state_dir)
    if arguments.json:
        output.as_json(
            {
                "brokers": [_found_record(broker) for broker in found],
                "worker": None if worker is None else _loaded_record(worker),
            }
        )
    else:
        usable = [broker for broker in found if not broker.problem]
        output.table(("NAME", "VERSION", "FROM"), [(broker.name, broker.version, broker.place) for broker in usable])
        for broker in found:
            if broker.problem:
                output.say(f"error: {broker.place}: {broker.problem}")
        if worker is not None:
            _tell_loaded(worker, state_dir)
    return FAILED if any(broker.problem for broker in found) or (worker is not None and worker.problems) else DONE


def _tell_loaded(worker: Loaded, state_dir: str) -> None:
    if worker.versions:
        output.say()
        output.say(f"the worker of {state_dir} has loaded:")
        rows = [(version.name, version.version, version.place, _standing(version)) for version in worker.versions]
        output.table(("NAME", "VERSION", "FROM", "STATE"), rows)
    for place, problem in worker.problems:
        output.say(f"error: for the worker: {place}: {problem}")


def _standing(version: Version) -> str:
    if version.replaced_at is None:
        return f"in service since {output.local(version.since)}"
    running = f"; {listing.number(version.running, 'delivery runs', 'deliveries run')} with it" if version.running else ""
    return f"out of service since {output.local(version.replaced_at)}{running}"


def _loaded_record(worker: Loaded) -> dict[str, Any]:
    return {
        "versions": [
            {
                "name": version.name,
                "version": version.version,
                "place": version.place,
                "since": output.iso(version.since),
                "replaced_at": output.iso(version.replaced_at),
                "running": version.running if version.replaced_at is not None else None,
            }
            for version in worker.versions
        ],
        "problems": [{"place": place, "problem": problem} for place, problem in worker.problems],
    }


def _found_record(broker: loader.Found) -> dict[str, Any]:
    return {"name": broker.name, "version": broker.version, "place": broker.place, "problem": broker.problem or None}


def _tell_one(name: str, path: tuple[str, ...], *, as_json: bool) -> int:
    try:
        broker = loader.broker_class(name, path)
    except UnknownBrokerError as error:
        remedy = f"{error.remedy}; for one of a repository's oberon.brokerPath, give that folder with --path DIR"
        raise UnknownBrokerError(error.problem, remedy=remedy) from error
    about = manual.about(broker)
    place = next((found.place for found in loader.available(path) if found.name == name), "")
    folder = str(Path(place).parent) if place.startswith("/") else ""
    if as_json:
        output.as_json(
            {
                "name": broker.name,
                "version": broker.version,
                "place": place,
                "about": about,
                "requires": dict(broker.requires),
                "fields": [_field_record(row) for row in broker.fields],
                "examples": {"git": broker_examples.git(broker, folder), "hg": broker_examples.hg(broker, folder)},
            }
        )
        return DONE
    output.say(f"{broker.name} (version {broker.version}, {place})")
    if about:
        output.say()
        output.block(about, "  ")
    if package := manual.package(broker):
        output.say()
        output.say(f"to be installed for it: {sys.executable} -m pip install '{package}'")
    output.say()
    if broker.fields:
        output.table(manual.HEADS, manual.settings(broker))
    else:
        output.say("it takes whatever its service's section says")
    for title, example in manual.examples(broker, folder).items():
        output.say()
        output.say(f"as {title} has it:")
        output.say()
        output.block(example)
    return DONE


def _field_record(row: Field) -> dict[str, Any]:
    return {
        "name": row.name,
        "type": row.type,
        "required": row.required,
        "default": row.default,
        "secret": row.secret,
        "choices": list(row.choices),
        "help": row.help,
    }
