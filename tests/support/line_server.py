"""A server that keeps the lines it is sent, over TCP or in datagrams, and says nothing: as irkerd is one."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from brokers.testing.record import Record


@dataclass
class LineServer:
    """Where it is, and what has come."""

    port: int = 0
    lines: Record[bytes] = field(default_factory=lambda: Record("lines"))
    """Each with its line feed, if it had one."""


@contextmanager
def listening(*, udp: bool = False, closes: bool = True) -> Iterator[LineServer]:
    """One on 127.0.0.1; with `closes=False` it never closes a connection, until it is left."""
    kept = LineServer()
    leaving = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if udp:
                kept.lines.add(self.request[0])
                return
            with self.request.makefile("rb") as stream:
                for line in stream:
                    kept.lines.add(line)
                if not closes:
                    leaving.wait(20)

    kind: Any = socketserver.ThreadingUDPServer if udp else socketserver.ThreadingTCPServer
    with kind(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield kept
        leaving.set()
        server.shutdown()
        thread.join()
