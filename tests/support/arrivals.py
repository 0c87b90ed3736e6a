"""A broker and its receiver: which events arrived, how often, and whether each was whole."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from brokers.testing.receiver import HOST, read_body

BROKER = """
import json
from brokers import BaseBroker
from brokers.transport import http


class Tell(BaseBroker):
    def handle(self, payload):
        told = payload["oberon"]
        body = json.dumps({"event": told["event"], "nodes": [ref["new"] for ref in told["refs"]], "options": told["options"]})
        http.check(http.post(payload["service"]["url"], data=body.encode(), headers={"Content-Type": "application/json"}))
"""
"""Tells the receiver which event it is, and all that a torn one would lack."""


class Arrivals:
    """The receiver: what came, and whether it was whole. It listens until it is closed."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        """Event -> how often it came."""
        self.nodes: dict[str, set[str]] = {}
        """What was pushed -> the events that told of it."""
        self.torn: list[str] = []
        """Events that are not what was written."""
        self.on_request: Callable[[], None] = _nothing
        """Called when a request has been taken in, and"""
        self.on_answer: Callable[[], None] = _nothing
        """when it has been answered."""
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://{HOST}:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def duplicates(self) -> int:
        """How many deliveries were one too many."""
        return self.events.total() - len(self.events)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, told: dict[str, Any]) -> None:
        """What the broker sent."""
        event, options = told["event"], told["options"]
        with self._lock:
            self.events[event] += 1
            for node in told["nodes"]:
                self.nodes.setdefault(node, set()).add(event)
            if options and sha256(options[0].encode()).hexdigest() != options[1]:
                self.torn.append(event)


def _nothing() -> None:
    pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, arrivals: Arrivals) -> None:
        super().__init__((HOST, 0), _Handler)
        self.arrivals = arrivals

    def handle_error(self, request: object, client_address: object) -> None:
        """A worker that is killed in mid-request is none of the test's output."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        arrivals = self.server.arrivals
        arrivals.add(json.loads(read_body(self.rfile, self.headers)))
        arrivals.on_request()
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        arrivals.on_answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Silent."""
