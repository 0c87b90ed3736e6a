"""The types a setting can have: from what a file says to the value meant, or a ValueError that says what would have been right."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

RETRY_EXAMPLE = "5s, 30s, 2m"

_SECONDS_OF = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_BYTES_OF = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1", "always"), True),
    **dict.fromkeys(("false", "no", "off", "0", "never", ""), False),
}


def _string(raw: str) -> str:
    return raw


def _boolean(raw: str) -> bool:
    try:
        return _BOOLEANS[raw.strip().lower()]
    except KeyError:
        raise ValueError("write true or false") from None


def _integer(raw: str) -> int:
    number = _whole(raw)
    if number < 0:
        raise ValueError("write a whole number that is not negative")
    return number


def _count(raw: str) -> int:
    number = _whole(raw)
    if number < 1:
        raise ValueError("write a whole number from 1 upward")
    return number


def _whole(raw: str) -> int:
    try:
        return int(raw.strip(), 10)
    except ValueError:
        raise ValueError("write a whole number") from None


def _with_unit(raw: str, units: Mapping[str, int], example: str) -> float:
    text = raw.strip().lower()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :]
    try:
        value = float(number) * units[unit]
    except (KeyError, ValueError):
        raise ValueError(f"write a number with a unit, as {example}") from None
    if not 0 <= value < float("inf"):
        raise ValueError(f"write a number with a unit, as {example}")
    return value


def _duration(raw: str) -> float:
    return _with_unit(raw, _SECONDS_OF, "30s, 10m, 2h or 3d")


def _bytes(raw: str) -> int:
    return int(_with_unit(raw, _BYTES_OF, "512, 64k or 1m"))


def _list(raw: str) -> tuple[str, ...]:
    return tuple(raw.replace(",", " ").split())


def _durations(raw: str) -> tuple[float, ...]:
    delays = tuple(_duration(part) for part in _list(raw))
    if not delays:
        raise ValueError(f"write the delays one after another, as {RETRY_EXAMPLE}")
    return delays


def _url(raw: str) -> str:
    from urllib.parse import urlsplit

    url = raw.strip()
    try:
        parts = urlsplit(url)
        ok = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        ok = False
    # urlsplit leaves line breaks out without a word; a request line must not have them, nor a space.
    if not ok or " " in url or not url.isprintable():
        raise ValueError("write an address without spaces that begins with http:// or https://")
    return url


def _path(raw: str) -> str:
    path = os.path.expanduser(raw.strip())  # noqa: PTH111 - `~name` of a user who is not there stays as it is
    if not path.startswith("/"):
        raise ValueError("write an absolute path")
    return path


def _paths(raw: str) -> tuple[str, ...]:
    return tuple(_path(part) for part in raw.replace(",", ":").split(":") if part.strip())


def _zone(raw: str) -> ZoneInfo:
    try:
        return ZoneInfo(raw.strip())
    except (ValueError, OSError, LookupError):
        raise ValueError("write the name of a time zone, as Europe/Berlin or UTC") from None


TYPES: Mapping[str, Callable[[str], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "integer": _integer,
    "count": _count,
    "duration": _duration,
    "bytes": _bytes,
    "list": _list,
    "url": _url,
    "choice": _string,
    "durations": _durations,
    "path": _path,
    "paths": _paths,
    "zone": _zone,
}
"""Type's name -> from what the file says to the value. A ValueError's text is what would have been right."""


def convert(raw: str, type_name: str, choices: Sequence[str] = ()) -> Any:
    """`raw` as a value of the type (key of `TYPES`). Raises ValueError whose text is what would have been right."""
    value = TYPES[type_name](raw)
    if choices:
        lowered = str(value).strip().lower()
        if lowered not in choices:
            raise ValueError(f"write {' or '.join(choices)}")
        return lowered
    return value
