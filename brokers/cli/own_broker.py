"""A broker's file that is not installed, as a service that is configured on the command line: `--file FILE --set KEY=VALUE`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from brokers import loader
from brokers.base import BaseBroker
from brokers.cli import output
from brokers.config import Configuration, Entry, ServiceSettings
from brokers.errors import ConfigError

ORIGIN = "--set"


def settings(parser: argparse.ArgumentParser) -> None:
    """`arguments.set`: a list of (key, value)."""
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        type=_pair,
        action="append",
        default=[],
        help="a setting of the service, as its section would have it; may be given again. A secret stays out of the machine's "
        "list of processes as `token=env:NAME` or `token=file:/path`",
    )


def _pair(raw: str) -> tuple[str, str]:
    key, equals, value = raw.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"{raw.partition('=')[0]!r} is not right; write KEY=VALUE, as url=https://example.org/")
    return key.strip(), value


def chosen(path: str, given: Mapping[str, str]) -> tuple[type[BaseBroker], ServiceSettings]:
    """The broker of the file at `path` and the service that `given` makes of it (`broker` names one of several).

    Raises BrokerLoadError, and ConfigError if no broker, or another than there is, is named.
    """
    classes = loader.load_file(str(Path(path).absolute()))
    named = {key.lower(): value for key, value in given.items()}
    name = named.get("broker", "").strip().lower() or (next(iter(classes)) if len(classes) == 1 else "")
    if name not in classes:
        known = ", ".join(sorted(classes))
        problem = f"there is no broker {name!r} in it" if name else "there are several brokers in it"
        raise ConfigError(problem, origin=path, remedy=f"choose one with --set broker=NAME; there are: {known}")
    return classes[name], service_of(classes[name], path, given)


def service_of(broker: type[BaseBroker], path: str, given: Mapping[str, str]) -> ServiceSettings:
    """The service, named as the broker is."""
    entries = [Entry(broker.name, key, value, ORIGIN) for key, value in given.items() if key.lower() != "broker"]
    configuration = Configuration.parse([Entry(broker.name, "broker", broker.name, path), *entries])
    return configuration.services[0]


def warn_of_rights(path: str) -> None:
    """Tell on stderr if `brokerPath` would not take the file as it lies there; here it is run all the same."""
    refused = loader.why_refused(str(Path(path).absolute()))
    if refused is not None:
        output.warn(f"in oberon.brokerPath it would be refused: {refused}")
