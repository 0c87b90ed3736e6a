"""One deadline over everything that is said to a service: lookup, connection, TLS, headers and body.

A socket's time-out starts again with each byte, so a service that drips one byte a second holds a thread for as long
as it likes; measured with requests, urllib3, httpx and niquests. A watchdog that shuts the sockets down ends that.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

GRACE_S = 1.0
"""By how much a socket's own time-out is longer than the deadline, so that it is the watchdog which ends things."""

# Lookups cannot be interrupted, only left behind; the resolver gives them up by itself (resolv.conf(5): some 10 to 30 s).
_LOOKUPS_AT_ONCE = 64
_lookups = threading.BoundedSemaphore(_LOOKUPS_AT_ONCE)


class Watchdog:
    """Shuts every watched socket down once `delay_s` seconds have passed; within `with`.

    A reader then sees the end of the stream, which is not an error by itself: whoever gets an incomplete answer asks
    `fired` for the reason.
    """

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.fired = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(delay_s, self._fire)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> None:
        """Watch `connection`, and what TLS makes of it."""
        # ssl.wrap_socket detaches the socket it is given, so that object could no longer shut anything down.
        held = connection.dup()
        with self._lock:
            self._sockets.append(held)
            if self.fired:
                _shut(held)

    def _fire(self) -> None:
        with self._lock:
            self.fired = True
            for held in self._sockets:
                _shut(held)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            for held in self._sockets:
                held.close()
            self._sockets.clear()


def lookup(host: str, port: int, within_s: float) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """(family, socket address) of each address of `host`, in the resolver's order; one lookup.

    Raises TimeoutError if that takes longer than `within_s`, else what getaddrinfo raises (OSError, UnicodeError), and
    RuntimeError if the machine gives no thread.
    """
    deadline = time.monotonic() + within_s
    outcome: list[Any] = []

    def ask() -> None:
        try:
            outcome.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            outcome.append(error)
        finally:
            _lookups.release()

    if not _lookups.acquire(timeout=within_s):
        raise TimeoutError(f"{_LOOKUPS_AT_ONCE} lookups are still waiting for the resolver")
    thread = threading.Thread(target=ask, name="oberon-lookup", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        _lookups.release()
        raise
    thread.join(max(0.0, deadline - time.monotonic()))
    if not outcome:
        raise TimeoutError("the resolver did not answer")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return [(family, address) for family, _, _, _, address in outcome[0]]


def _shut(held: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed, or not yet connected
        held.shutdown(socket.SHUT_RDWR)
