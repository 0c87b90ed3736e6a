"""HTTP as it goes over the wire: urllib3, made to keep a call's deadline and to trust no answer.

urllib3 makes the connections, through `brokers.transport.connect`; `Answer` takes an answer for one only when it is whole.
Of a request the connection alone may outlive it, in `http_pool`: no cookie, no session.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

from requests.utils import get_auth_from_url
from urllib3 import HTTPHeaderDict
from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.util import Url, make_headers, parse_url

from brokers.transport import http_pool
from brokers.transport.call import Call
from brokers.transport.connect import connect
from brokers.transport.deadline import GRACE_S, Watchdog
from brokers.transport.http_pool import Route
from brokers.transport.http_request import PORTS, Request, Target
from brokers.transport.tls import context

_LINE_BYTES = 64 * 1024
_LINES_BYTES = 128 * 1024  # of all the lines of an answer: interim ones, headers, lengths of chunks
_HEX = frozenset(b"0123456789abcdefABCDEF")
_CHUNK_DIGITS = 16
_FINAL_STATUS = 200
_HTTP_1_1 = 11  # as http.client writes it
_WITH_HEAD_BYTES = 64 * 1024  # a body up to this goes out with its headers, at once
_PROXIES_KEPT = 16
_CUT_WHILE_SENDING = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE})  # the last one is macOS's


class MalformedAnswer(http.client.HTTPException):
    """What came is not an HTTP answer."""


class EndedEarly(http.client.RemoteDisconnected):
    """The answer broke off."""


class _Lines(io.BufferedReader):
    """Reads lines, of _LINES_BYTES in all, and does not take the end of the stream for the end of a line.

    http.client takes it for the end of the headers: an answer cut off behind its status line would be a 200. And it reads
    interim answers for as long as they come, which, at full speed, would keep every other thread from the interpreter.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__(raw)
        self._left = _LINES_BYTES

    def readline(self, size: int | None = -1, /) -> bytes:
        limit = _LINE_BYTES + 1 if size is None or size < 0 else size
        line = super().readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise MalformedAnswer(f"its headers are longer than {_LINES_BYTES // 1024} KiB")
        if not line.endswith(b"\n") and len(line) < limit:
            raise EndedEarly("the connection was closed before the answer was complete")
        return line


class Answer(http.client.HTTPResponse):
    """An HTTP answer whose headers are whole, whose framing makes sense, and which is not an interim one."""

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp = _Lines(self.fp.detach())
        self._sock = sock
        self._left: int | None = None  # bytes of the chunk that is being read; None before the first
        self.came = False
        """Whether any of it did."""

    def begin(self) -> None:
        """Read up to the end of the final answer's headers."""
        self.came = bool(self.fp.peek(1))
        super().begin()
        # http.client skips 100 but takes 102 and 103 for final (RFC 9110, 15.2). 101 we never ask for.
        while self.status < _FINAL_STATUS and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]  # as http.client itself says "not yet read"
            super().begin()
        lengths = {length.strip() for length in self.headers.get_all("Content-Length", ())}
        if len(lengths) > 1 or not all(length.isascii() and length.isdigit() for length in lengths):
            raise MalformedAnswer(f"the answer's Content-Length makes no sense: {', '.join(sorted(lengths))}")

    def read1(self, n: int = -1) -> bytes:
        """What comes next of the body, at most `n` bytes; b'' at its end. Chunks are checked as http.client does not."""
        if self.length == 0:  # of HEAD and 204 too, whatever their headers say
            return b""
        if not self.chunked:
            piece = self.fp.read1(n if self.length is None or 0 <= n < self.length else self.length)
            if self.length is not None:
                self.length -= len(piece)
            return piece
        if self._left == 0 or self._left is None:
            self._left = self._next_chunk(first=self._left is None)
            if self._left == 0:
                self.length = 0
                return b""
        piece = self.fp.read1(min(n, self._left) if n >= 0 else self._left)
        if not piece:
            raise EndedEarly("the connection was closed within the body")
        self._left -= len(piece)
        return piece

    def leaves_nothing(self) -> bool:
        """Whether the answer came to its end, the next one may follow on its connection, and nothing has come behind it.

        RFC 9112, 9.3: of HTTP/1.1, and not announced as the last; with one framing, on which all agree. Does not wait.
        """
        if self.length != 0 or self.will_close or self.version != _HTTP_1_1 or self.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
            return False
        framings = [*self.headers.get_all("Transfer-Encoding", ()), *self.headers.get_all("Content-Length", ())]
        if len(framings) > 1 or (self._left is None and self.chunked):
            return False
        self._sock.settimeout(0)
        try:
            behind = self.fp.peek(1)
        except ssl.SSLWantReadError:  # nothing
            behind = b""
        except OSError:
            return False
        # Of a chunked body the last line, without trailer fields, is yet to be read.
        return behind == (b"\r\n" if self.chunked else b"")

    def _next_chunk(self, *, first: bool) -> int:
        if not first and self.fp.readline() not in (b"\r\n", b"\n"):
            raise MalformedAnswer("the answer's body has a chunk that is longer than it says")
        digits = self.fp.readline().split(b";", 1)[0].strip()
        if not digits or len(digits) > _CHUNK_DIGITS or not _HEX.issuperset(digits):
            raise MalformedAnswer("the answer's body has a chunk without a length")
        return int(digits, 16)


class _Connection(HTTPConnection):
    """Connects as `dial` does."""

    response_class = Answer
    opened_at: float
    dial: Callable[[str, int], socket.socket]
    """`connect`, in the circumstances of the call that opens it; while that is done."""

    def _new_conn(self) -> socket.socket:
        return self.dial(self._dns_host, self.port)


class _TLSConnection(_Connection, HTTPSConnection):
    """Likewise, under TLS."""


class Reply:
    """An answer whose headers are there, and the connection on which the rest comes. `close` it, or `release` it."""

    def __init__(self, connection: _Connection, route: Route, answer: Answer) -> None:
        self._connection, self._route, self._answer = connection, route, answer
        self.status: int = answer.status
        self.reason: str = answer.reason

    def headers(self) -> HTTPHeaderDict:
        """By name, in any case."""
        return HTTPHeaderDict((name, _unfolded(value)) for name, value in self._answer.headers.items())

    def pieces(self, max_bytes: int) -> Iterator[bytes]:
        """The first `max_bytes` of the body, as it comes, not decoded. Raises OSError and http.client.HTTPException."""
        left = max_bytes
        while left > 0:
            piece = self._answer.read1(left)
            if not piece:
                return
            left -= len(piece)
            yield piece

    def release(self) -> None:
        """Keep the connection for the next request, if nothing of this one is left; else `close`."""
        # A tunnel of TLS within TLS is no socket, so nothing could watch it.
        if isinstance(self._connection.sock, socket.socket) and self._answer.leaves_nothing():
            self._answer.close()
            http_pool.put(self._route, self._connection)
        else:
            self.close()

    def close(self) -> None:
        """End the connection."""
        self._answer.close()
        self._connection.close()


class _StaleError(Exception):
    """A kept connection had been closed, though that did not show before."""


def exchange(request: Request, call: Call, watchdog: Watchdog) -> Reply:
    """Send `request`, follow nothing, and return as soon as the answer's headers are there.

    Over a kept connection if there is one; if the service had closed that, once more over a new one.
    Raises OSError, http.client.HTTPException, urllib3's HTTPError, ValueError, and BrokerError from `connect`.
    """
    target = request.target
    secure = target.scheme == "https" or (call.proxy or "").lower().startswith("https:")
    trusted = context(call.ca_bundle) if secure else None
    route = Route(target.scheme, target.host, target.port, tuple(call.allow_hosts), call.proxy, trusted)
    kept = http_pool.take(route)
    if kept is not None:
        assert isinstance(kept, _Connection)
        with contextlib.suppress(_StaleError):
            return Reply(kept, route, _asked(request, kept, call, watchdog, reused=True))
    connection = _opened(target, trusted, call, watchdog)
    return Reply(connection, route, _asked(request, connection, call, watchdog, reused=False))


def _opened(target: Target, trusted: ssl.SSLContext | None, call: Call, watchdog: Watchdog) -> _Connection:
    """A new connection: to the target, through the proxy to it, or, of a request for http, to the proxy."""
    proxy, login = _proxy(call.proxy) if call.proxy else (None, {})
    host, port = (_without_brackets(proxy), proxy.port or PORTS[proxy.scheme or ""]) if proxy else (target.host, target.port)
    how: dict[str, Any] = {}
    if proxy is not None:
        policy = ProxyConfig(trusted, use_forwarding_for_https=False, assert_hostname=None, assert_fingerprint=None)
        how = {"proxy": proxy, "proxy_config": policy}
    connection = _Connection(host, port, **how) if trusted is None else _TLSConnection(host, port, ssl_context=trusted, **how)
    if proxy is not None and target.scheme == "https":
        connection.set_tunnel(target.host, target.port, login, scheme=proxy.scheme or "")
    connection.dial = partial(connect, call=call, watchdog=watchdog, guarded=proxy is None)
    connection.opened_at = time.monotonic()
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    finally:
        del connection.dial  # and with it the call and its record
    return connection


def _asked(request: Request, connection: _Connection, call: Call, watchdog: Watchdog, *, reused: bool) -> Answer:
    """The answer to `request` on `connection`, which is closed if there is none."""
    answer = None
    try:
        if reused:
            watchdog.watch(connection.sock)
            connection.sock.settimeout(call.remaining_s() + GRACE_S)
        answer = Answer(connection.sock, method=request.method)
        _send(connection.sock, request, call.proxy)
        answer.begin()
    except BaseException as error:
        came = answer is not None and answer.came
        if answer is not None:
            answer.close()
        connection.close()
        if reused and isinstance(error, OSError) and not (came or watchdog.fired or isinstance(error, TimeoutError)):
            raise _StaleError from error
        raise
    if reused and answer.status == http.HTTPStatus.REQUEST_TIMEOUT:
        # RFC 9110, 15.5.9: the service was about to close it, and has not heard this request.
        answer.close()
        connection.close()
        raise _StaleError
    return answer


def _send(sock: socket.socket, request: Request, proxy: str | None) -> None:
    """Send all of `request`, or as much of it as the service takes: it may have answered before the end."""
    path, headers = request.target.path, request.headers
    if proxy and request.target.scheme == "http":
        path, headers = request.target.url, (*headers, *_proxy(proxy)[1].items())
    lines = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    head, body = "\r\n".join(lines).encode("ascii"), request.body
    if len(body) <= _WITH_HEAD_BYTES:
        head, body = head + body, b""
    try:
        sock.sendall(head)
        if body:
            sock.sendall(body)
    except OSError as error:
        if error.errno not in _CUT_WHILE_SENDING:
            raise


@lru_cache(_PROXIES_KEPT)
def _proxy(url: str) -> tuple[Url, dict[str, str]]:
    """The proxy's address, and the header by which it lets us in, if the address has a login."""
    user, password = get_auth_from_url(url)
    login = make_headers(proxy_basic_auth=f"{user}:{password}")["proxy-authorization"] if user else ""
    return parse_url(url), {"Proxy-Authorization": login} if login else {}


def _without_brackets(url: Url) -> str:
    return (url.host or "").removeprefix("[").removesuffix("]")


def _unfolded(value: str) -> str:
    """A header's value on one line (RFC 9112, 5.2)."""
    return " ".join(line.strip() for line in value.split("\r\n")) if "\r\n" in value else value
