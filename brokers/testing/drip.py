"""A server on loopback that answers every request for ever: a header, a byte at a time, which no socket's time-out ends."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
EVERY_S = 0.05
_BEGINNING = b"HTTP/1.1 200 OK\r\nX-Drip: "


class Drip:
    """Listens on a free port of 127.0.0.1 as soon as it is entered, and drops all connections when it is left."""

    def __init__(self) -> None:
        self._listening = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        """How many there have been."""
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT/`."""
        return f"http://{HOST}:{self.port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="drip", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which `close` alone does not
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), name="drip", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # whoever asked went away
            connection.recv(64 * 1024)
            connection.sendall(_BEGINNING)
            while not self._stopping.wait(EVERY_S):
                connection.sendall(b".")
