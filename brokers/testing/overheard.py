"""What a broker's code says to the network beside Oberon's transport, heard where Python's own libraries say it.

    with overhearing() as said:
        requests.post(url, data=...)
    said[0].request         # POST /hook HTTP/1.1 ...

HTTP (urllib, requests, httplib2: all that goes through http.client) and SMTP in their own words, without logins; of any other
connection that it was made. Each is an `Exchange` without an answer. What libraries in C say is not heard. The whole process
is listened to, so let nothing else talk meanwhile.

Not by an audit hook, which stays for the process's life, and while it runs for a thread that sets its trace function (coverage
does) lets no other thread set one (CPython 3.11: RuntimeError).
"""

from __future__ import annotations

import ipaddress
import re
import smtplib
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from http.client import HTTPConnection
from types import FrameType
from typing import Any

from brokers.transport import http
from brokers.transport.call import KEPT_BYTES, Exchange
from payload import text

_OURS = "brokers.transport"
_HEARD_OTHERWISE = ("http.client", "smtplib", "urllib3", _OURS)
"""Modules whose connections are told by events of their own, or in the call's record."""
_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r\n")
_MAIL_COMMANDS = re.compile(r"(?:ehlo|helo|mail|rcpt|data|rset|noop|quit|starttls)\b", re.IGNORECASE)
_MASK = "***"


class OutsideError(PermissionError):
    """Code that is only tried out went for an address that is not on this machine."""


@contextmanager
def overhearing(*, loopback_only: bool = False) -> Iterator[list[Exchange]]:
    """Within it, what is said beside the transport is appended to the list that it yields, in order.

    `loopback_only`: a connection to any other machine raises OutsideError in the code that makes it.
    """
    ear = _Ear(loopback_only=loopback_only)
    with ExitStack() as stack:
        for owner, name, hear in _HEARD:
            stack.enter_context(_heard(owner, name, partial(hear, ear)))
        yield ear.said


class _Ear:
    def __init__(self, *, loopback_only: bool) -> None:
        self.said: list[Exchange] = []
        self._loopback_only = loopback_only
        self._open: dict[int, tuple[object, Exchange, bytes]] = {}
        """id of a connection -> it (so that the id stays its own), what is being said on it, and that in bytes."""

    def http(self, connection: object, data: object) -> None:
        """http.client sends `data`: a head, a head with a body, or a piece of a body."""
        if _is_ours(connection) or not isinstance(data, bytes | bytearray | memoryview):
            return
        piece = bytes(data)
        held = self._open.get(id(connection))
        if held is None or _REQUEST_LINE.match(piece):
            held = connection, self._begin("http"), b""
        said = (held[2] + piece)[: 2 * KEPT_BYTES]
        self._open[id(connection)] = connection, held[1], said
        held[1].request = _request_text(said)

    def smtp(self, client: object, data: object) -> None:
        """smtplib sends `data`: a command, the answer to a challenge, or a message."""
        if _is_ours(client):
            return
        if id(client) not in self._open:
            self._open[id(client)] = client, self._begin("smtp"), b""
        exchange = self._open[id(client)][1]
        words = (data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)).removesuffix("\r\n")
        is_login = "\r\n" not in words and not _MAIL_COMMANDS.match(words)
        exchange.request = text.cut(f"{exchange.request}{_lines(_MASK if is_login else words)}\n", KEPT_BYTES)[0]

    def connection(self, _: object, address: Any) -> None:
        """A socket connects, or sends without a connection."""
        host, port = (str(address[0]), address[1]) if isinstance(address, tuple) else (str(address), None)
        if self._loopback_only and port is not None and not _is_loopback(host):
            raise OutsideError(f"{host}:{port} is not on this machine")
        if not _is_heard_otherwise(sys._getframe(1)):  # noqa: SLF001 - the frames alone know who connects
            self._begin("connection").request = text.visible(host if port is None else f"{host}:{port}")

    def _begin(self, transport: str) -> Exchange:
        exchange = Exchange(transport, "")
        self.said.append(exchange)
        return exchange


_HEARD: tuple[tuple[type, str, Callable[[_Ear, object, Any], None]], ...] = (
    (HTTPConnection, "send", _Ear.http),
    (smtplib.SMTP, "send", _Ear.smtp),
    (socket.socket, "connect", _Ear.connection),
    (socket.socket, "connect_ex", _Ear.connection),
    (socket.socket, "sendto", _Ear.connection),
)
"""Class and method -> what hears its caller and its last argument: the data, or the address."""


@contextmanager
def _heard(owner: type, name: str, hear: Callable[[object, Any], None]) -> Iterator[None]:
    """Within it, `hear` is told of each call of the method."""
    is_own, method = name in vars(owner), getattr(owner, name)

    @wraps(method)
    def told(caller: object, *arguments: Any) -> Any:
        hear(caller, arguments[-1])
        return method(caller, *arguments)

    setattr(owner, name, told)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, method)
        else:
            delattr(owner, name)


def _is_ours(speaker: object) -> bool:
    return type(speaker).__module__.startswith(_OURS)


def _is_heard_otherwise(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(_HEARD_OTHERWISE):
            return True
        frame = frame.f_back
    return False


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _request_text(said: bytes) -> str:
    head, _, body = said.partition(b"\r\n\r\n")
    first, *headers = head.decode("latin-1").split("\r\n")
    fields = (header.partition(":") for header in headers)
    lines = [first, *(f"{name}: {http.shown(name, value.strip())}" for name, _, value in fields), ""]
    shown = "\n".join(text.visible(line) for line in lines) + "\n" + _lines(body.decode("utf-8", "replace"))
    return text.cut(shown, KEPT_BYTES)[0]


def _lines(told: str) -> str:
    return "\n".join(text.visible(line.removesuffix("\r")) for line in told.split("\n"))
