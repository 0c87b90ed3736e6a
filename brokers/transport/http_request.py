"""A request as it will be sent: its address read once, its headers checked, its body measured.

`requests` reads the address (percent-encoding, IDNA); what is one for the parsers but not for us is refused before.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest
from requests.exceptions import RequestException
from requests.utils import check_header_validity
from urllib3.util import parse_url

from brokers.errors import PermanentFailure
from payload import text

USER_AGENT = "Oberon"
# `identity`: what the record keeps shall be readable, and no bomb shall go off in a decoder.
_OURS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
_FRAMING = ("connection", "transfer-encoding", "content-length")  # what http_wire decides
_ADDRESSES_KEPT = 256
PORTS = {"http": 80, "https": 443}
"""Scheme -> port, where an address names none."""
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, from its address."""

    scheme: str
    """`http` or `https`."""
    host: str
    """As it is looked up: lower-case, in ASCII, an IPv6 address without brackets."""
    port: int
    netloc: str
    """For the header `Host`: without a login, with the port if the address names one."""
    path: str
    """With the query, percent-encoded (RFC 9112, 3.2.1)."""
    url: str
    """All of it, without login and fragment: what a proxy is asked for (RFC 9112, 3.2.2)."""
    auth: tuple[str, str] | None
    """User and password, where the address holds them."""

    @property
    def place(self) -> str:
        """`host:port`, for people."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Request:
    """All of a request but the connection."""

    method: str
    target: Target
    headers: tuple[tuple[str, str], ...]
    """(name, value), in order."""
    body: bytes


def prepare(method: str, url: str, body: bytes, headers: Mapping[str, str], auth: tuple[str, str] | None) -> Request:
    """The request; `headers` win over those of `_OURS`, but not over those that say whither and how long it is.

    Raises PermanentFailure for what can never be sent.
    """
    target = _target(url)
    method = method.upper()
    if not _TOKEN.fullmatch(method):
        raise PermanentFailure(f"the request cannot be made: {text.visible(method)} is no method")
    try:
        fields = {name.lower(): (name, value) for name, value in (*_OURS.items(), *headers.items())}
        auth = auth or target.auth
        if auth is not None:
            login = base64.b64encode(":".join(auth).encode()).decode("ascii")
            fields["authorization"] = ("Authorization", f"Basic {login}")
        for name, value in fields.values():
            if not (name + value).isascii() or not (name + value).isprintable():
                # requests lets NUL, ESC and all above latin-1 pass.
                raise PermanentFailure(f"header {text.visible(name)}: {text.visible(value)!r} holds what no header may")
        for field in headers.items():
            check_header_validity(field)
    except (RequestException, ValueError) as error:
        raise _impossible(error) from error
    for name in _FRAMING:
        fields.pop(name, None)
    if body or method not in ("GET", "HEAD"):
        fields["content-length"] = ("Content-Length", str(len(body)))
    fields["host"] = ("Host", target.netloc)
    return Request(method, target, tuple(fields.values()), body)


@lru_cache(_ADDRESSES_KEPT)
def _target(url: str) -> Target:
    if not url.isprintable() or " " in url or "\\" in url:
        # Parsers differ about such an address: some drop the character, some end the host's name there.
        raise PermanentFailure("the address holds a space, a backslash or a control character: write it percent-encoded")
    try:
        parts = urlsplit(url)
        userinfo, _, netloc = parts.netloc.rpartition("@")
        if parts.scheme not in PORTS or not parts.hostname or parts.port == 0:
            raise PermanentFailure(f"{parts.scheme}://{netloc} is not an http or https address")
        prepared = PreparedRequest()
        prepared.prepare_url(parts._replace(netloc=netloc, fragment="").geturl(), None)
        read = parse_url(str(prepared.url))
    except (RequestException, ValueError) as error:
        raise _impossible(error) from error
    scheme = read.scheme or parts.scheme
    user, _, password = userinfo.partition(":")
    return Target(
        scheme=scheme,
        host=(read.host or "").removeprefix("[").removesuffix("]"),
        port=read.port or PORTS[scheme],
        netloc=urlsplit(str(prepared.url)).netloc,
        path=prepared.path_url,
        url=read.url,
        auth=(unquote(user), unquote(password)) if userinfo else None,
    )


def _impossible(error: Exception) -> PermanentFailure:
    return PermanentFailure(f"the request cannot be made: {text.visible(str(error))}")
