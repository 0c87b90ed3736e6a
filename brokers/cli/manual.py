"""A broker's manual: what its docstring tells, its settings, and a service that uses it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping

from brokers.base import BaseBroker, Field
from brokers.cli import broker_examples
from brokers.fields import SECRET

HEADS = ("SETTING", "TYPE", "DEFAULT", "MEANING")
"""Of the rows of `settings`."""

REQUIRED = "(required)"
"""In the place of the default of a setting without which the service does not run."""

_EXAMPLES: Mapping[str, Callable[[type[BaseBroker], str], str]] = {"git config": broker_examples.git, "hgrc": broker_examples.hg}
_OWN_EXAMPLE = '[service "'
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


def about(broker: type[BaseBroker]) -> str:
    """The docstring, its lines without their common indent; '' if there is none."""
    return inspect.cleandoc(broker.__doc__ or "")


def summary(broker: type[BaseBroker]) -> str:
    """The first sentence of `about`, in one line."""
    return " ".join(_SENTENCE_END.split(about(broker).partition("\n\n")[0], maxsplit=1)[0].split())


def package(broker: type[BaseBroker]) -> str:
    """What pip has to install for the broker: `oberon-brokers[chat]`; '' if Oberon brings all that it needs."""
    extras = sorted(set(broker.requires.values()))
    return f"oberon-brokers[{','.join(extras)}]" if extras else ""


def settings(broker: type[BaseBroker]) -> list[tuple[str, str, str, str]]:
    """A row for each field, below `HEADS`: name, type or choices, default or `(required)`, help."""
    return [_setting(row) for row in broker.fields]


def examples(broker: type[BaseBroker], broker_path: str = "") -> dict[str, str]:
    """`git config` and `hgrc` -> a service of the broker there; {} where `about` has examples, its author's own.

    `broker_path`: the directory that the broker comes from, '' if from none.
    """
    return {} if _OWN_EXAMPLE in about(broker) else {title: make(broker, broker_path) for title, make in _EXAMPLES.items()}


def _setting(row: Field) -> tuple[str, str, str, str]:
    kind = " or ".join(row.choices) if row.choices else row.type
    default = REQUIRED if row.required and row.default is None else broker_examples.default_of(row)
    return row.name, f"{kind}, secret" if row.secret and row.type != SECRET else kind, default, row.help
