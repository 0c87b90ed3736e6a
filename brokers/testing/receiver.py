"""An HTTP server on loopback that records each request and answers as it is told."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from brokers.testing.record import Record, Script

HOST = "127.0.0.1"
POLL_S = 0.05  # how long stopping may take


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it arrived, whole."""

    method: str
    path: str
    """With its query, as sent."""
    headers: Message
    """Names in any case; an absent one is None; `get_all(name)` for repeated ones."""
    body: bytes
    """Without its transfer encoding; a Content-Encoding is left on."""

    def payload(self) -> dict[str, Any]:
        """The payload in it: the form field `payload` (the classic wire form), or a JSON body. Raises ValueError."""
        if self.headers.get_content_type() == "application/x-www-form-urlencoded":
            found = parse_qs(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True).get("payload", [])
            if len(found) != 1:
                raise ValueError(f"the form has {len(found)} fields `payload`, not one: {self}")
            value = json.loads(found[0])
        else:
            value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError(f"the payload is no object: {self}")  # noqa: TRY004 - what was sent is wrong, not a type here
        return value

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body[:200]!r}"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Iterable[bytes] = b""
    delay_s: float = 0.0


class Receiver:
    """An HTTP server on 127.0.0.1 that records each request and answers 200, or what `answer` said.

    `port` 0 takes a free one, and keeps it from then on. With `tls`, a server's SSLContext, it speaks https.
    """

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.tls = tls
        self._record: Record[ReceivedRequest] = Record("requests")
        self._script: Script[_Answer] = Script()
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT/`; any path below it is served as well."""
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}/"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """What has come so far, in order of arrival (a request counts when its body is there, before its answer)."""
        return self._record.all()

    def answer(
        self,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] = b"",
        *,
        delay_s: float = 0.0,
        times: int | None = 1,
    ) -> None:
        """Queue an answer for the next `times` requests; None: for all that follow, until `answer` is called again.

        `delay_s` passes before the first byte. A `body` that is an iterable is sent piece by piece, without a
        Content-Length, as the pieces come (a generator may sleep, and serves one request). After the queue: 200, empty.
        """
        self._script.add(_Answer(status, tuple((headers or {}).items()), body, delay_s), times)

    def wait(self, count: int = 1, timeout_s: float = 10.0) -> list[ReceivedRequest]:
        """All requests so far, as soon as there are `count`. Raises NothingCameError."""
        return self._record.wait(count, timeout_s)

    def clear(self) -> None:
        """Forget what came."""
        self._record.clear()

    def start(self) -> Self:
        """Listen. Raises OSError, when the port is taken."""
        if self._server is not None:
            raise RuntimeError("this receiver is listening already")
        self._server = _Server(self.port, self.tls, self._record, self._script)
        self.port = self._server.server_port
        return self

    def stop(self) -> None:
        """Stop listening and drop every open connection, also those that wait for a delayed answer."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, tls: ssl.SSLContext | None, record: Record[ReceivedRequest], script: Script[_Answer]) -> None:
        super().__init__((HOST, port), _Handler)
        self.record = record
        self.script = script
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        if tls is not None:
            # The handshake is left to the connection's own thread: a client that never speaks holds up no other.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(POLL_S,), name=f"receiver-{self.server_port}", daemon=True
        )
        self._thread.start()

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's would ask a name server who 127.0.0.1 is
        self.server_name, self.server_port = HOST, self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away mid-way is none of the test's output."""

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):  # the client closed it first
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go out one after another: the body waited 40 ms for the client's word
    server: _Server

    def _serve(self) -> None:
        body = read_body(self.rfile, self.headers)
        self.server.record.add(ReceivedRequest(self.command, self.path, self.headers, body))
        answer = self.server.script.next() or _Answer()
        if self.server.stopping.wait(answer.delay_s) if answer.delay_s else self.server.stopping.is_set():
            self.close_connection = True
            return
        pieces = [answer.body] if isinstance(answer.body, bytes) else answer.body
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if isinstance(answer.body, bytes):
            self.send_header("Content-Length", str(len(answer.body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in pieces:
            self.wfile.write(piece)
            if self.server.stopping.is_set():
                return

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Silent."""


def read_body(stream: BufferedIOBase, headers: Message) -> bytes:
    """A request's body, by Content-Length or chunked (RFC 9112, 7.1); b'' without either. Raises ValueError when it is torn."""
    if "chunked" not in headers.get("Transfer-Encoding", "").lower():
        length = int(headers.get("Content-Length") or 0)
        body = stream.read(length)
        if len(body) != length:
            raise ValueError(f"the body ends after {len(body)} of {length} bytes")
        return body
    pieces = []
    while size := int(stream.readline().split(b";", 1)[0], 16):
        pieces.append(stream.read(size))
        if len(pieces[-1]) != size or stream.readline().strip():
            raise ValueError(f"a chunk is not {size} bytes long")
    while stream.readline().strip():
        pass  # trailer fields
    return b"".join(pieces)
