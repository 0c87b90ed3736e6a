"""raw_server(answer) -> URL: a TCP server on loopback; `answer(connection)` says what it likes after the first bytes came.
calling(...) -> a Call that is current for the test, with a deadline of 5 s unless told otherwise.
ending_by(within_s), flat_memory() -> contexts that fail when their time, or the memory for what came, is exceeded."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from brokers.transport import deadline
from brokers.transport.call import Call, placing

DRIP_S = 0.05
LATE_S = 0.2  # after the deadline, at most
MOST_BYTES = 2_000_000  # what 8 KiB and the headers of an answer may take, with what reads them


def drip(connection: socket.socket, data: bytes, count: int = 1000) -> None:
    """`data`, again and again, as slowly as never to let a socket's own time-out run out."""
    for _ in range(count):
        connection.sendall(data)
        time.sleep(DRIP_S)


@contextmanager
def ending_by(within_s: float) -> Iterator[None]:
    """Fails if the block takes longer than `within_s` and LATE_S.

    Beside it a thread sleeps for `within_s`; by how much that wakes up late is the machine's, and is allowed for.
    """
    ended = threading.Event()
    woken: list[float] = []
    began = time.monotonic()

    def sleep() -> None:
        if not ended.wait(max(0.0, within_s)):
            woken.append(time.monotonic())

    beside = threading.Thread(target=sleep)
    beside.start()
    try:
        yield
    finally:
        took_s = time.monotonic() - began
        ended.set()
        beside.join()
    late_s = max(0.0, woken[0] - began - within_s) if woken else 0.0
    assert took_s <= within_s + LATE_S + late_s, f"{took_s:.3f} s of {within_s} s; a sleep of as long was late by {late_s:.3f} s"


@contextmanager
def flat_memory() -> Iterator[None]:
    """Fails if more than MOST_BYTES were held at any moment of the block, beyond what was before."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES, f"{peak:,} bytes"


@pytest.fixture(scope="session", autouse=True)
def _loaded() -> None:
    """What is imported for the first request counts in no test."""
    import brokers.transport.http_wire  # noqa: F401


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


@pytest.fixture
def black_hole(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A resolver that answers nothing until told to; `asked` counts the questions."""
    answers = threading.Event()
    asked: list[str] = []

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        answers.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(deadline.socket, "getaddrinfo", getaddrinfo)
    yield SimpleNamespace(answers=answers, asked=asked)
    answers.set()
    for thread in [one for one in threading.enumerate() if one.name == "oberon-lookup"]:
        thread.join()
