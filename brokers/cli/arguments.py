"""Arguments that several sub-commands have, with one wording and one meaning each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from brokers.values import convert

STATE_VARIABLE = "OBERON_STATE_DIR"


def describe(parser: argparse.ArgumentParser, description: str, examples: str) -> None:
    """Set what --help says before the options, and the examples after them."""
    parser.description = description
    lines = "\n".join("  " + line.strip() for line in examples.strip().splitlines())
    parser.epilog = f"examples:\n{lines}"


def repo(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """`arguments.repo`: a repository's path, or None if `optional`."""
    parser.add_argument(
        "repo",
        metavar="REPO",
        nargs="?" if optional else None,
        help="path of the repository: a bare git directory, a work tree, or a folder that holds .hg",
    )


def json(parser: argparse.ArgumentParser) -> None:
    """`arguments.json`."""
    parser.add_argument("--json", action="store_true", help="print JSON; brokers/cli/README.md lists its keys")


def state_dir(parser: argparse.ArgumentParser, *, of_repository: bool = False) -> None:
    """`arguments.state_dir`: None if it is not given."""
    default = "that of the repository" if of_repository else "oberon.stateDir of git's global configuration, else the usual one"
    variable = "" if of_repository else f" (env: {STATE_VARIABLE})"
    parser.add_argument(
        "--state-dir", metavar="DIR", type=_typed("path"), help=f"where spool and outbox are{variable}; default: {default}"
    )


def since(parser: argparse.ArgumentParser, told: str) -> None:
    """`arguments.since`: seconds, or None."""
    parser.add_argument("--since", metavar="DURATION", type=_typed("duration"), help=f"{told}: 30m, 2h, 3d")


def older_than(parser: argparse.ArgumentParser, told: str) -> None:
    """`arguments.older_than`: seconds, or None."""
    parser.add_argument("--older-than", metavar="DURATION", type=_typed("duration"), help=f"{told}: 12h, 30d")


def wait(parser: argparse.ArgumentParser, default_s: float, told: str) -> None:
    """`arguments.wait`: seconds."""
    parser.add_argument("--wait", metavar="DURATION", type=_typed("duration"), default=default_s, help=told)


def _typed(type_name: str) -> Callable[[str], Any]:
    """A type of `brokers.config` as argparse wants it: its way out becomes the usage error."""

    def from_text(raw: str) -> Any:
        if type_name == "path":
            from pathlib import Path

            raw = str(Path(raw).expanduser().absolute())
        try:
            return convert(raw, type_name)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{raw!r} is not right; {error}") from error

    return from_text


def count(raw: str) -> int:
    """A number from 1, as argparse wants it."""
    if not raw.isascii() or not raw.isdigit() or int(raw) < 1:
        raise argparse.ArgumentTypeError(f"{raw!r} is not right; write a whole number from 1")
    return int(raw)
