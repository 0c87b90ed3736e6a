"""The types a setting can have: from what a file says to the value meant, or a ValueError that says what would have been right."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from payload import links, placeholders

EVENTS = ("push", "create", "update", "rewind", "delete", "branch", "tag", "bookmark", "note", "other")
"""What a service's `events` may name: commits, what happened to a ref, and its kind."""
MESSAGE_BROKERS = ("amqp", "amqps", "mqtt", "mqtts", "nats", "tls", "redis", "rediss", "kafka", "kafka+ssl")
"""Schemes of addresses of message brokers: of each protocol the plain one, then that with TLS."""
HOST_WORDS = ("external", "private", "loopback")
"""The words of `allowHosts` (brokers.transport.address)."""

# RFC 5321's Mailbox less quoted strings and address literals; the domain may be left to the mail server (`root`).
# ASCII only: an address beyond it would need SMTPUTF8 from every server on the way.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~][A-Za-z0-9!#$%&'*+/=?^_`{|}~-]*"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*(?:@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)?")
_ADDRESS_CHARS = 254  # RFC 5321, 4.5.3.1.3
_HOST_GLOB = re.compile(r"[a-z0-9*?\[\]_.:-]+")

_MARK = re.compile(r"\[[^\[\]\n]*[^\[\]\s][^\[\]\n]*\]")

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_OWN_HEADERS = ("host", "content-length", "transfer-encoding", "connection", "accept-encoding")

_FEW = 5
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


def _positive_duration(raw: str) -> float:
    value = _duration(raw)
    if not value:
        raise ValueError("write a time that is more than none, as 30s")
    return value


def _bytes(raw: str) -> int:
    return int(_with_unit(raw, _BYTES_OF, "512, 64k or 1m"))


def _list(raw: str) -> tuple[str, ...]:
    return tuple(raw.replace(",", " ").split())


def _marks(raw: str) -> tuple[str, ...]:
    marks = tuple(_MARK.findall(raw))
    if _MARK.sub("", raw).replace(",", "").strip():
        raise ValueError("write each in brackets, as [skip oberon] [skip ci]")
    return marks


def _durations(raw: str) -> tuple[float, ...]:
    delays = tuple(_duration(part) for part in _list(raw))
    if not delays:
        raise ValueError(f"write the delays one after another, as {RETRY_EXAMPLE}")
    return delays


def _url(raw: str) -> str:
    return _address(raw, ("http", "https"))


def _address(raw: str, schemes: Sequence[str]) -> str:
    from urllib.parse import urlsplit

    url = raw.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    # urlsplit leaves line breaks out without a word; a request line must not have them, nor a space.
    if parts.scheme not in schemes or not parts.hostname or " " in url or not url.isprintable():
        begins = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"write an address without spaces that begins with {begins}")
    try:
        if parts.port != 0:
            return url
    except ValueError:
        pass  # not a number, or too large a one
    raise ValueError("write a port from 1 to 65535")


def _server(raw: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(_url(raw))
    if "@" in parts.netloc:
        raise ValueError("write it without a login: every service is told it, and everybody who follows a link")
    if parts.query or parts.fragment or raw.strip().endswith(("?", "#")):
        raise ValueError("write an address that a path can follow, as https://git.example.org")
    return raw.strip()


def is_mail_address(address: str) -> bool:
    """Whether `address` is a bare mail address (`a@example.org`, `root`) that no command could be hidden in."""
    return len(address) <= _ADDRESS_CHARS and _ADDRESS.fullmatch(address) is not None


def _mail(raw: str) -> str:
    name, bracket, rest = raw.strip().partition("<")
    address = rest.removesuffix(">") if bracket else name
    if (bracket and not rest.endswith(">")) or not is_mail_address(address.strip()) or not raw.strip().isprintable():
        raise ValueError("write an address as a@example.org, or with a name as `Ann <a@example.org>`")
    return raw.strip()


def _mails(raw: str) -> tuple[str, ...]:
    addresses = _list(raw)
    if not addresses or not all(map(is_mail_address, addresses)):
        raise ValueError("write addresses one after another, as a@example.org, b@example.org")
    return addresses


def _events(raw: str) -> tuple[str, ...]:
    words = _list(raw)
    for word in words:
        if word.removeprefix("!") not in EVENTS and not set(word) & set("*?["):
            raise ValueError(f"write some of {', '.join(EVENTS)}")
    return words


def _hosts(raw: str) -> tuple[str, ...]:
    words = _list(raw)
    for word in words:
        plain = word.lower()
        if plain in HOST_WORDS or _is_network(plain):
            continue
        # A host of one label that is nearly a word of the policy is a slip, and would open nothing.
        if not _HOST_GLOB.fullmatch(plain) or (
            "." not in plain and difflib.get_close_matches(plain, HOST_WORDS, n=1, cutoff=0.7)
        ):
            raise ValueError(f"write some of {', '.join(HOST_WORDS)}, networks as 10.1.0.0/16, or hosts as *.corp.example")
    return words


def _is_network(word: str) -> bool:
    try:
        ipaddress.ip_network(word, strict=False)
    except ValueError:
        return False
    return True


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


def _template(kind: str) -> Callable[[str], str]:
    return lambda raw: links.check(raw.strip(), kind)


def _headers(raw: str) -> tuple[str, ...]:
    """Each as `Name: value`, one a line."""
    found = []
    for line in filter(None, map(str.strip, raw.split("\n"))):
        name, colon, value = line.partition(":")
        value = value.strip()
        if not colon or not _TOKEN.fullmatch(name) or not value.isascii() or not value.isprintable():
            raise ValueError("write one header a line, as `X-Token: abc`, in ASCII")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"leave {name} out: the request has its own")
        found.append(f"{name}: {value}")
    return tuple(found)


def _push_text(raw: str) -> str:
    return placeholders.check(raw, placeholders.PUSH)


def _commit_text(raw: str) -> str:
    return placeholders.check(raw, placeholders.COMMIT)


def _push_url(raw: str) -> str:
    return placeholders.check_address(_url(raw), placeholders.PUSH)


def _message_broker_url(raw: str) -> str:
    return _address(raw, MESSAGE_BROKERS)


def _repository_url(raw: str) -> str:
    where = raw.strip()
    if where.startswith("/") and where.isprintable():
        return placeholders.check(where, placeholders.PUSH)
    try:
        return placeholders.check_address(_address(where, ("https", "http", "ssh")), placeholders.PUSH)
    except ValueError as error:
        raise ValueError(f"{error}, or an absolute path; for user@host:path write ssh://user@host/path") from None


TYPES: Mapping[str, Callable[[str], Any]] = {
    "string": _string,
    "secret": _string,
    "boolean": _boolean,
    "integer": _integer,
    "count": _count,
    "duration": _duration,
    "bytes": _bytes,
    "list": _list,
    "marks": _marks,
    "url": _url,
    "server": _server,
    "choice": _string,
    "positive duration": _positive_duration,
    "durations": _durations,
    "events": _events,
    "hosts": _hosts,
    "mail": _mail,
    "mails": _mails,
    "path": _path,
    "paths": _paths,
    "zone": _zone,
    "headers": _headers,
    "push text": _push_text,
    "commit text": _commit_text,
    "push url": _push_url,
    "repository url": _repository_url,
    "message broker url": _message_broker_url,
    **{f"{kind} template": _template(kind) for kind in links.PLACEHOLDERS},
}
"""Type's name -> from what the file says to the value. A ValueError's text is what would have been right."""

ADDRESSES = frozenset({"url", "push url", "repository url", "message broker url"})
"""Types of addresses that may hold a login, so that none is shown as it is written."""


def convert(raw: str, type_name: str, choices: Sequence[str] = ()) -> Any:
    """`raw` as a value of the type (key of `TYPES`); one of `choices` in any case, if there are some. Raises ValueError whose text is what would have been right."""
    value = TYPES[type_name](raw)
    if choices:
        chosen = next((choice for choice in choices if choice.lower() == str(value).strip().lower()), None)
        if chosen is None:
            told = " or ".join(choices) if len(choices) <= _FEW else f"one of {', '.join(choices)}"
            raise ValueError(f"write {told}")
        return chosen
    return value
