"""The page of the built-in brokers, made from their docstrings and fields: `make docs` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from brokers import loader
from brokers.base import BaseBroker
from brokers.cli import manual

PAGE = Path(__file__).parents[2] / "brokers/services/README.md"
_BEGIN, _END = "<!-- brokers -->", "<!-- end -->"
_CODE = re.compile(r"(`[^`]*`)")
_INDENT = "    "


def written(page: str) -> str:
    """`page` with all between its two marks as it should be."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, foot = rest.partition(_END)
    assert begin, _BEGIN
    assert end, _END
    brokers = [loader.broker_class(name) for name in built_in()]
    told = "\n\n".join([_contents(brokers), *(_section(broker) for broker in brokers)])
    return f"{head}{begin}\n{told}\n{end}{foot}"


def built_in() -> list[str]:
    """The names of the brokers that come along."""
    return [found.name for found in loader.available() if found.place.startswith("brokers.services.")]


def _contents(brokers: Iterable[type[BaseBroker]]) -> str:
    rows = [
        (
            f"[{broker.name}](#{broker.name})",
            f"[{broker.name}.py]({broker.name}.py)",
            _prose(manual.summary(broker)),
            _code(manual.package(broker)),
        )
        for broker in brokers
    ]
    return _table(("broker", "code", "what it does", "what pip has to install for it"), rows)


def _section(broker: type[BaseBroker]) -> str:
    parts = [f"## {broker.name}", _prose(manual.about(broker))]
    if manual.package(broker):
        parts.append(f"To be installed for it: `pip install '{manual.package(broker)}'`.")
    if broker.fields:
        rows = [
            (_code(name), _prose(kind), default if default == manual.REQUIRED else _code(default), _prose(told))
            for name, kind, default, told in manual.settings(broker)
        ]
        parts.append(_table(("setting", "type", "default", "what it is"), rows))
    for title, example in manual.examples(broker).items():
        parts += [f"As {title} has it:", "\n".join(_INDENT + line for line in example.splitlines())]
    return "\n\n".join(parts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    told = [[cell.replace("|", r"\|") for cell in row] for row in [heads, ["---"] * len(heads), *rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in told)


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


def _prose(told: str) -> str:
    """`told` for Markdown, which would take `<name>` for HTML; code, in backticks or indented, stays as it is."""
    return "\n".join(line if line.startswith(_INDENT) else _escaped(line) for line in told.split("\n"))


def _escaped(line: str) -> str:
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in _CODE.split(line))
