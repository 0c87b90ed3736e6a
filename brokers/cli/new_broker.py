"""oberon new-broker: a broker's file to begin with, and its test."""

from __future__ import annotations

import argparse
import keyword
import os
import re
import sys
from importlib import resources
from pathlib import Path

from brokers import loader
from brokers.cli import arguments as common
from brokers.cli import output
from brokers.cli.main import DONE
from brokers.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TAKEN = ("BaseBroker", "Field")  # by what the file itself imports
_MODULES = ("brokers", "githooks", "hghooks", "payload", "pytest", "requests", "tests")
"""Which its file must not be taken for, beside those of the standard library."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon new-broker`."""
    common.describe(
        parser,
        "Write a broker's file and its test. Both run as they are: the broker posts a line about each push to an address, and\n"
        "`pytest` in the directory tests it. Nothing that is there is overwritten.",
        """
        oberon new-broker chat
        oberon new-broker chat --directory /etc/oberon/brokers
        """,
    )
    parser.add_argument("name", metavar="NAME", help="the broker's name, as a service's section will say it")
    parser.add_argument(
        "--directory",
        metavar="DIR",
        default=".",
        help="where to write NAME.py and tests/test_NAME.py; made if need be; default: here",
    )


def run(arguments: argparse.Namespace) -> int:
    """0. Raises ConfigError for what can be no name or is there already, and OSError."""
    name = arguments.name.lower()
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{arguments.name!r} cannot be a broker's name", remedy="begin with a-z, and go on with these, 0-9, - and _"
        )
    folder = Path(arguments.directory)
    broker = folder / file_of(name)
    test = folder / "tests" / f"test_{broker.name}"
    for path in (broker, test):
        if os.path.lexists(path):
            raise ConfigError("is there already", origin=str(path), remedy="take another NAME or --directory")
    words = {"@NAME@": name, "@CLASS@": class_of(name), "@FILE@": broker.name, "@NAMED@": _named(name)}
    for path in (broker, test):
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(path, filled("broker.py.txt" if path is broker else "test_broker.py.txt", words))
        output.say(f"wrote {path}")
    if any(found.name == name for found in loader.available()):
        output.say(f"a service that names {name} uses this instead of the broker of that name that comes with Oberon")
    output.say(f"try it: oberon test --file {broker} --set url=http://127.0.0.1:8010/ --dry-run")
    return DONE


def file_of(name: str) -> str:
    """The broker's file: none that Python could take for a module that others import."""
    module = name.replace("-", "_")
    taken = module in sys.stdlib_module_names or module in _MODULES
    return f"{module}broker.py" if taken else f"{module}.py"


def class_of(name: str) -> str:
    """The broker's class."""
    words = "".join(word.capitalize() for word in re.split("[-_]", name))
    return f"{words}Broker" if keyword.iskeyword(words) or words in _TAKEN else words


def _named(name: str) -> str:
    """The line that names it, where its class does not."""
    derived = class_of(name).lower()
    return "" if (derived.removesuffix("broker") or derived) == name else f'\n    name = "{name}"'


def filled(resource: str, words: dict[str, str]) -> str:
    """The text of brokers/resources with these words in it."""
    text = resources.files("brokers").joinpath("resources", resource).read_text("utf-8")
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text


def _write(path: Path, text: str) -> None:
    """A new file that only its owner may write, whatever the umask: others' files are refused in `brokerPath`."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is open already
        file.write(text)
