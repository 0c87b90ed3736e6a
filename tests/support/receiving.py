"""Receivers on loopback for tests that take the time: one that notes when each push came, one that never answers."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Self

from brokers.testing.receiver import HOST, ReceivedRequest, read_body


class Arrivals:
    """Answers 200 to the `post` broker. `came_at`: user who pushed -> when the request was there, on time.monotonic()'s clock."""

    def __init__(self) -> None:
        self.came_at: dict[str, float] = {}
        self._server = _Server(self.came_at)
        self.url = f"http://{HOST}:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, came_at: dict[str, float]) -> None:
        super().__init__((HOST, 0), _Handler)
        self.came_at = came_at

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's would ask a name server who 127.0.0.1 is
        self.server_name, self.server_port = HOST, self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = read_body(self.rfile, self.headers)
        came_at = time.monotonic()
        self.send_response(200)
        self.end_headers()
        request = ReceivedRequest("POST", self.path, self.headers, body)
        self.server.came_at.setdefault(request.payload()["user"], came_at)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Silent."""


class BlackHole:
    """Takes every connection and never says a word. `taken` is how many so far."""

    def __init__(self) -> None:
        self._listening = socket.create_server((HOST, 0), backlog=128)
        self._held: list[socket.socket] = []
        self.url = f"http://{HOST}:{self._listening.getsockname()[1]}/"

    @property
    def taken(self) -> int:
        """Connections so far."""
        return len(self._held)

    def _take(self) -> None:
        while True:
            try:
                self._held.append(self._listening.accept()[0])
            except OSError:
                return  # shut down

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        for connection in self._held:
            connection.close()
