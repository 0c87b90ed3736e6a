"""Settings for a broker that is tried out: those given, and for the rest what leads to servers of this process alone.

An address among them keeps its path and loses its host; a secret that is not given is made up, so that it can be found again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from brokers.base import BaseBroker, Field
from brokers.config import Configuration, Entry
from brokers.secrets import SECRET_WORDS, login_of, resolver
from brokers.values import ADDRESSES

ORIGIN = "--set"
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)

EXAMPLES: Mapping[str, str] = {
    "string": "example",
    "secret": "example",
    "boolean": "true",
    "integer": "1",
    "count": "1",
    "duration": "1s",
    "positive duration": "1s",
    "durations": "1s",
    "bytes": "1k",
    "list": "example",
    "server": "https://git.example.org",
    "events": "push",
    "hosts": "loopback",
    "mail": "a@example.org",
    "mails": "a@example.org",
    "path": os.devnull,
    "paths": os.devnull,
    "zone": "UTC",
    "marks": "[example]",
    "headers": "X-Example: example",
    "message broker url": "nats://127.0.0.1:9",  # nothing here speaks such a protocol, so nobody listens
    "push text": "${user} pushed to ${branch}",
    "commit text": "${commit.node} ${commit.subject}",
    "repository template": "https://git.example.org/{path}",
    "commit template": "https://git.example.org/{path}/commit/{node}",
    "compare template": "https://git.example.org/{path}/compare/{old}..{new}",
}
"""Type of a field that has to be set -> what it is set to; addresses and choices have their own rules."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `payload['service']` holds in a trial."""

    values: dict[str, Any]
    secrets: dict[str, str]
    """Key -> the secret in its value."""
    in_address: frozenset[str]
    """Keys of the secrets that are part of an address which the broker is to call."""


def settings(broker: type[BaseBroker], given: Mapping[str, str], url: str, tag: str) -> Settings:
    """For one thread of a trial: addresses lead to `url` (which ends in `/`), secrets that are made up hold `tag`.

    Raises ConfigError for a value that its field does not take.
    """
    raw = dict(_raw(broker, given, url, tag))
    entries = [Entry(broker.name, "broker", broker.name, ""), *(Entry(broker.name, key, raw[key], ORIGIN) for key in raw)]
    service = Configuration.parse(entries).services[0]
    values, problems = broker.settings_of(service, resolver(os.environ))
    for problem in (*service.problems, *problems):
        raise problem
    rows = {row.key: row for row in broker.fields}
    secrets = {key: value for key, value in values.items() if isinstance(value, str) and _is_secret(key, rows)}
    logins = {key: login[-1] for key, value in values.items() if isinstance(value, str) and (login := login_of(value))}
    in_address = {key for key in secrets if key not in logins and _ADDRESS.match(values[key])}
    for key in in_address:
        secrets[key] = urlsplit(values[key]).path.strip("/").rpartition("/")[2]
    return Settings(values, {key: secret for key, secret in (secrets | logins).items() if secret}, frozenset(in_address))


def _raw(broker: type[BaseBroker], given: Mapping[str, str], url: str, tag: str) -> Iterator[tuple[str, str]]:
    rows = {row.key: row for row in broker.fields}
    for key, value in given.items():
        if key.lower() != "broker":
            yield key.lower(), _led_to(value, url)
    keys = {_bare(key) for key in given}
    if not rows and "url" not in keys:
        yield "url", f"{url}hook"
    for row in broker.fields:
        if _bare(row.key) not in keys and (text := _made_up(row, url, tag)) is not None:
            yield row.key, text


def _bare(key: str) -> str:
    """A configuration may write `-` for a field's `_`."""
    return key.lower().replace("-", "_")


def _led_to(value: str, url: str) -> str:
    """`value`; an address with the host of `url`, and its own login, path and query."""
    if not _ADDRESS.match(value):
        return value
    there, here = urlsplit(value), urlsplit(url)
    login, at, _ = there.netloc.rpartition("@")
    return urlunsplit((here.scheme, login + at + here.netloc, there.path or "/", there.query, ""))


def _made_up(row: Field, url: str, tag: str) -> str | None:
    """None: left out, as most who use the broker will."""
    secret = f"{row.key}-{tag}"
    if row.type in ADDRESSES and row.type not in EXAMPLES:
        return f"{url}{secret if row.secret else 'hook'}"
    if row.secret:
        return secret if row.type in ("string", "secret") else EXAMPLES[row.type]
    if not row.required:
        return None
    return row.choices[0] if row.choices else EXAMPLES[row.type]


def _is_secret(key: str, rows: Mapping[str, Field]) -> bool:
    return rows[key].secret if key in rows else not rows and any(word in key for word in SECRET_WORDS)
