"""raw_server(answer) -> URL: a TCP server on loopback; `answer(connection)` says what it likes after the first bytes came.
calling(...) -> a Call that is current for the test, with a deadline of 5 s unless told otherwise."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from brokers.transport.call import Call, placing

DRIP_S = 0.05


def drip(connection: socket.socket, data: bytes, count: int = 1000) -> None:
    """`data`, again and again, as slowly as never to let a socket's own time-out run out."""
    for _ in range(count):
        connection.sendall(data)
        time.sleep(DRIP_S)


@pytest.fixture
def raw_server() -> Iterator[Callable[..., str]]:
    stopping = threading.Event()
    with ExitStack() as stack:

        def serve(answer: Callable[[socket.socket], None], context: ssl.SSLContext | None = None, *, read: bool = True) -> str:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def handle(connection: socket.socket) -> None:
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(5)
                    spoken = context.wrap_socket(connection, server_side=True) if context else connection
                    with spoken:
                        if read:
                            spoken.recv(65536)
                        answer(spoken)

            def accept() -> None:
                while not stopping.is_set():
                    with contextlib.suppress(OSError):
                        threading.Thread(target=handle, args=(listening.accept()[0],), daemon=True).start()

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(listening.shutdown, socket.SHUT_RDWR)  # ends accept()
            stack.callback(stopping.set)
            return f"{'https' if context else 'http'}://127.0.0.1:{listening.getsockname()[1]}/"

        yield serve


@pytest.fixture
def calling() -> Iterator[Callable[..., Call]]:
    with ExitStack() as stack:

        def place(within_s: float = 5.0, **circumstances: Any) -> Call:
            return stack.enter_context(placing(Call(time.monotonic() + within_s, **circumstances)))

        yield place
