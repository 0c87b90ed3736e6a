"""References to secrets, for values that are not to stand in a configuration file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

REFERENCES = ("file", "env", "credential")

Resolver = Callable[[str], str]
"""From what a file says to the value meant; raises ValueError whose text is the way out."""


SECRET_WORDS = ("pass", "secret", "token", "key")
"""In a setting's name, where no field says what it is."""
SHORTEST_MASKED = 4  # masking every "a" of a one-letter password would tell more than it hides

_LEFT_AS_THEY_ARE = ("", "/", "!#$%&'()*+,/:;=?@[]~")
"""Characters that are not percent-encoded: in a part of a path or query, in a path, in an address that `requests` mends."""
_LOGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s:@]*:([^/?#\s@]+)@", re.IGNORECASE)


def is_reference(raw: str | None) -> bool:
    """Whether a value only says where the secret is."""
    scheme, colon, _ = (raw or "").partition(":")
    return bool(colon) and scheme in REFERENCES


def login_of(value: str) -> list[str]:
    """The password of `scheme://user:password@`, as written and as it is meant; [] if there is none."""
    written = _LOGIN.findall(value)
    return list(dict.fromkeys([*written, *map(unquote, written)]))


def spellings(secrets: Iterable[str]) -> list[str]:
    """Each secret as it is, and as addresses, forms and JSON write it; the longest first, so that none hides a longer one's end."""
    found = {
        written
        for secret in secrets
        for written in (
            secret,
            *(quote(secret, safe=left) for left in _LEFT_AS_THEY_ARE),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
        )
    }
    return sorted(found, key=lambda written: (-len(written), written))


def resolver(environ: Mapping[str, str]) -> Resolver:
    """Follows `file:/path`, `env:NAME` and `credential:NAME` (systemd.exec(5), CREDENTIALS); other values stay as they are.

    One newline at the end of a file is not part of the secret.
    """

    def resolve(raw: str) -> str:
        if not is_reference(raw):
            return raw
        scheme, _, rest = raw.partition(":")
        if scheme == "env":
            if rest not in environ:
                raise ValueError(f"the variable {rest} is not set where the deliveries run")
            return environ[rest]
        folder = environ.get("CREDENTIALS_DIRECTORY", "") if scheme == "credential" else ""
        if scheme == "credential" and not folder:
            raise ValueError("there is no CREDENTIALS_DIRECTORY: add LoadCredential= to the worker's systemd unit")
        try:
            return (Path(folder) / rest if folder else Path(rest)).read_text("utf-8").removesuffix("\n")
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot be read: {error}") from error

    return resolve
