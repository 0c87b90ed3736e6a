"""oberon brokers: the brokers there are."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path
from typing import Any

from brokers import loader
from brokers.base import Field
from brokers.cli import arguments as common
from brokers.cli import output, state
from brokers.cli.main import DONE, FAILED
from brokers.errors import UnknownBrokerError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon brokers`."""
    common.describe(
        parser,
        "List the brokers that a service can name, and the files that cannot be used; or tell one broker's settings. Those of\n"
        "--path come before those of oberon.brokerPath in git's global configuration, and these before the built-in ones.",
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


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if a broker's file cannot be used."""
    path = (*(str(Path(folder).absolute()) for folder in arguments.path), *state.machine_settings().broker_path)
    if arguments.name is not None:
        return _tell_one(arguments.name.lower(), path, as_json=arguments.json)
    found = loader.available(path)
    if arguments.json:
        output.as_json({"brokers": [_found_record(broker) for broker in found]})
    else:
        usable = [broker for broker in found if not broker.problem]
        output.table(("NAME", "VERSION", "FROM"), [(broker.name, broker.version, broker.place) for broker in usable])
        for broker in found:
            if broker.problem:
                output.say(f"error: {broker.place}: {broker.problem}")
    return FAILED if any(broker.problem for broker in found) else DONE


def _found_record(broker: loader.Found) -> dict[str, Any]:
    return {"name": broker.name, "version": broker.version, "place": broker.place, "problem": broker.problem or None}


def _tell_one(name: str, path: tuple[str, ...], *, as_json: bool) -> int:
    try:
        broker = loader.broker_class(name, path)
    except UnknownBrokerError as error:
        remedy = f"{error.remedy}; for one of a repository's oberon.brokerPath, give that folder with --path DIR"
        raise UnknownBrokerError(error.problem, remedy=remedy) from error
    about = inspect.cleandoc(broker.__doc__ or "")
    place = next((found.place for found in loader.available(path) if found.name == name), "")
    if as_json:
        output.as_json(
            {
                "name": broker.name,
                "version": broker.version,
                "place": place,
                "about": about,
                "fields": [_field_record(row) for row in broker.fields],
            }
        )
        return DONE
    output.say(f"{broker.name} (version {broker.version}, {place})")
    if about:
        output.say()
        output.block(about, "  ")
    output.say()
    if broker.fields:
        output.table(("SETTING", "TYPE", "DEFAULT", "MEANING"), map(_field_row, broker.fields))
    else:
        output.say("it takes whatever its service's section says")
    return DONE


def _field_row(row: Field) -> tuple[str, ...]:
    kind = " or ".join(row.choices) if row.choices else row.type
    default = "(required)" if row.required else "" if row.default is None else str(row.default)
    return row.name, f"{kind}, secret" if row.secret else kind, default, row.help


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
