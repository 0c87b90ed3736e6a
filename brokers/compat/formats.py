"""JSON, base64 and HTML as modules of 2008 wrote them: what goes in may be text or bytes, what comes out is text."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from typing import Any


def dump(value: Any, file: Any, *, encoding: str = "utf-8", **options: Any) -> None:
    """As `dumps`, into `file`."""
    file.write(dumps(value, encoding=encoding, **options))


def dumps(value: Any, *, encoding: str = "utf-8", **options: Any) -> str:
    """`value` as JSON; bytes in it are text in `encoding`, as in Python 2."""
    options.setdefault("default", lambda other: _text(other, encoding))
    return json.dumps(value, **options)


def load(file: Any, *, encoding: str = "utf-8", **options: Any) -> Any:
    """As `loads`, of all that `file` has."""
    return loads(file.read(), encoding=encoding, **options)


def loads(source: str | bytes, *, encoding: str = "utf-8", **options: Any) -> Any:
    """What the JSON in `source` says; bytes are in `encoding`. Raises ValueError."""
    return json.loads(source.decode(encoding) if isinstance(source, bytes) else source, **options)


def b64encode(source: str | bytes, altchars: bytes | None = None) -> str:
    """`source`, text as UTF-8, in base64 on one line."""
    return base64.b64encode(_bytes(source), altchars).decode("ascii")


def encodestring(source: str | bytes) -> str:
    """Likewise, in lines of 76 characters, each with its newline (Python 2.5's base64)."""
    return base64.encodebytes(_bytes(source)).decode("ascii")


def escape(source: str, quote: object = None) -> str:
    """`source` with `&`, `<`, `>`, and with `quote` `"`, as HTML writes them (Python 2.5's cgi, which left `'` alone)."""
    escaped = html.escape(source, quote=False)
    return escaped.replace('"', "&quot;") if quote else escaped


NAMES: Mapping[str, Mapping[str, object]] = {
    "base64": {"b64encode": b64encode, "encodestring": encodestring},
    "cgi": {"escape": escape},
    "simplejson": {"dump": dump, "dumps": dumps, "load": load, "loads": loads},
}
"""Module -> what it has of ours."""


def _bytes(source: str | bytes) -> bytes:
    return source.encode() if isinstance(source, str) else source


def _text(value: object, encoding: str) -> str:
    if isinstance(value, bytes):
        return value.decode(encoding)
    raise TypeError(f"{value!r} is not JSON serializable")
