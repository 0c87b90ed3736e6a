"""How a service that uses a broker is written down, in git's configuration and in hgrc, to copy from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from brokers.base import BaseBroker
from brokers.fields import SECRET, Field

_EXAMPLES: Mapping[str, Callable[[Field], str]] = {
    "string": lambda row: f"some {row.key}",
    SECRET: lambda row: f"file:/etc/oberon/{row.key}",
    "boolean": lambda row: "false" if row.default else "true",
    "integer": lambda _: "1",
    "count": lambda _: "1",
    "duration": lambda _: "30s",
    "positive duration": lambda _: "30s",
    "durations": lambda _: "30s, 2m",
    "bytes": lambda _: "64k",
    "list": lambda _: "one, two",
    "url": lambda _: "https://service.example.org/hook",
    "server": lambda _: "https://service.example.org",
    "events": lambda _: "push",
    "hosts": lambda _: "external",
    "mail": lambda _: "dev@example.org",
    "mails": lambda _: "dev@example.org, qa@example.org",
    "path": lambda _: "/var/lib/oberon/file",
    "paths": lambda _: "/var/lib/oberon/one:/var/lib/oberon/two",
    "zone": lambda _: "Europe/Berlin",
    "headers": lambda _: "X-Example: example",
    "push text": lambda _: "${user} pushed to ${branch}",
    "commit text": lambda _: "${commit.node} ${commit.subject}",
    "push url": lambda _: "https://service.example.org/hook",
}
"""Type -> a value that it takes; for a type without one it is what a field may say anyhow."""
_UNITS: Mapping[str, str] = {"duration": "s", "positive duration": "s", "durations": "s"}


def git(broker: type[BaseBroker], broker_path: str = "") -> str:
    """The section of git's configuration; `broker_path`: the directory that the broker comes from, '' if from none."""
    head = ["[oberon]", f"    brokerPath = {_quoted(broker_path)}"] if broker_path else []
    lines = [f"    {comment}{key} = {_quoted(value)}" for comment, key, value in _lines(broker)]
    return "\n".join([*head, f'[service "{broker.name}"]', *lines])


def hg(broker: type[BaseBroker], broker_path: str = "") -> str:
    """The same for hgrc."""
    head = ["[oberon]", f"brokerPath = {broker_path}"] if broker_path else []
    lines = [f"{comment}{broker.name}.{key} = {value}" for comment, key, value in _lines(broker)]
    return "\n".join([*head, "[services]", *lines])


def default_of(row: Field) -> str:
    """A field's default as a configuration would have it; '' where there is none."""
    value: Any = row.default
    unit = _UNITS.get(row.type, "")
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(f"{part:g}{unit}" if unit else str(part) for part in (value if isinstance(value, list) else [value]))


def _lines(broker: type[BaseBroker]) -> list[tuple[str, str, str]]:
    """(`# ` for what may be left out, key, value), what is needed first."""
    needed = [row for row in broker.fields if row.required and row.default is None]
    rest = [row for row in broker.fields if row not in needed]
    lines = [("", "broker", broker.name), *(("", row.setting.lower(), _value(row)) for row in needed)]
    return lines + [("# ", row.setting.lower(), _value(row)) for row in rest]


def _quoted(value: str) -> str:
    """As git wants a value in which it would see a comment or an escape (git-config(1), Syntax)."""
    if not set(value) & set('#;"\\\n') and value == value.strip():
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _value(row: Field) -> str:
    if row.secret:
        return _EXAMPLES[SECRET](row)
    if row.default not in (None, ""):
        return default_of(row)
    if row.choices:
        return row.choices[0]
    return _EXAMPLES.get(row.type, _EXAMPLES["string"])(row)
