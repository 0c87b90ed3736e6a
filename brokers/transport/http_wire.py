"""HTTP as it goes over the wire: requests and urllib3, made to keep a call's deadline and to trust no answer.

urllib3 opens its sockets through `brokers.transport.connect`, and reads answers through `Answer`, which takes an
answer for one only when it is whole. Nothing here outlives one request: no connection is kept, no cookie, no session.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest, Response
from urllib3.connection import HTTPConnection, HTTPSConnection

from brokers.transport.call import Call
from brokers.transport.connect import connect
from brokers.transport.deadline import GRACE_S, Watchdog
from brokers.transport.tls import context

_LINE_BYTES = 64 * 1024
_LINES_BYTES = 128 * 1024  # of all the lines of an answer: interim ones, headers, lengths of chunks
_HEX = frozenset(b"0123456789abcdefABCDEF")
_CHUNK_DIGITS = 16
_FINAL_STATUS = 200


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
        self._left: int | None = None  # bytes of the chunk that is being read; None before the first

    def begin(self) -> None:
        """Read up to the end of the final answer's headers."""
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
        if not self.chunked or n < 0:
            return super().read1(n)
        if self._left == 0 or self._left is None:
            self._left = self._next_chunk(first=self._left is None)
        piece = self.fp.read1(min(n, self._left)) if self._left else b""
        if self._left and not piece:
            raise EndedEarly("the connection was closed within the body")
        self._left -= len(piece)
        return piece

    def _next_chunk(self, *, first: bool) -> int:
        if not first and self.fp.readline() not in (b"\r\n", b"\n"):
            raise MalformedAnswer("the answer's body has a chunk that is longer than it says")
        digits = self.fp.readline().split(b";", 1)[0].strip()
        if not digits or len(digits) > _CHUNK_DIGITS or not _HEX.issuperset(digits):
            raise MalformedAnswer("the answer's body has a chunk without a length")
        return int(digits, 16)


class _Connection(HTTPConnection):
    """Connects as `connect` does."""

    response_class = Answer
    call: Call
    watchdog: Watchdog

    def _new_conn(self) -> socket.socket:
        return connect(self._dns_host, self.port, self.call, self.watchdog, guarded=self.proxy is None)


class _TLSConnection(_Connection, HTTPSConnection):
    """Likewise, under TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    """Hands the call to each connection it makes."""

    ConnectionCls = _Connection

    def __init__(self, call: Call, watchdog: Watchdog, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.call = call
        self.watchdog = watchdog

    def _new_conn(self) -> Any:
        connection = super()._new_conn()
        connection.call, connection.watchdog = self.call, self.watchdog  # type: ignore[attr-defined]  # it is of ConnectionCls
        return connection


class _TLSPool(_Pool, urllib3.HTTPSConnectionPool):
    """Likewise, under TLS."""

    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """Carries one request of one call."""

    def __init__(self, call: Call, watchdog: Watchdog) -> None:
        self._call = call
        self._pools = {"http": partial(_Pool, call, watchdog), "https": partial(_TLSPool, call, watchdog)}
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:  # noqa: FBT001, FBT002 - requests' signature
        super().init_poolmanager(connections, maxsize, block, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        if proxy.lower().startswith("https:"):
            kwargs["proxy_ssl_context"] = context(self._call.ca_bundle)
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 - requests' signature
        """Our own context checks the certificate; requests would add its bundle to what that trusts."""
        if url.lower().startswith("https:"):
            conn.conn_kw["ssl_context"] = context(self._call.ca_bundle)
            conn.cert_reqs = "CERT_REQUIRED"


def exchange(prepared: PreparedRequest, call: Call, watchdog: Watchdog) -> Response:
    """Send `prepared`, follow nothing, and return as soon as the headers are there; the body is read by `pieces`.

    Raises what requests raises, and BrokerError from `connect`. Not `requests.Session.send`: for a redirect that is
    not followed it reads the whole body all the same, decoded and without a limit.
    """
    proxies = {"http": call.proxy, "https": call.proxy} if call.proxy else {}
    return _Adapter(call, watchdog).send(
        prepared, stream=True, timeout=call.remaining_s() + GRACE_S, verify=True, proxies=proxies
    )


def pieces(response: Response, max_bytes: int) -> Iterator[bytes]:
    """The first `max_bytes` of the body, as it comes, not decoded. Raises what urllib3 raises."""
    left = max_bytes
    while left > 0:
        piece = response.raw.read1(left, decode_content=False)
        if not piece:
            return
        left -= len(piece)
        yield piece
