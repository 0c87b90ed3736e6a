"""One deadline over everything that is said to a service: lookup, connection, TLS, headers and body.

A socket's time-out starts again with each byte, so a service that drips one byte a second holds a thread for as long
as it likes; measured with requests, urllib3, httpx and niquests. A watchdog that shuts the sockets down ends that.
One thread goes off for all watchdogs: a thread for each would cost more than the request that it watches.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

GRACE_S = 1.0
"""By how much a socket's own time-out is longer than the deadline, so that it is the watchdog which ends things."""

_MANY_CANCELLED = 64  # alarms that nobody waits for any more; fewer are not worth sorting out

# Lookups cannot be interrupted, only left behind; the resolver gives them up by itself (resolv.conf(5): some 10 to 30 s).
_LOOKUPS_AT_ONCE = 64
_lookups = threading.BoundedSemaphore(_LOOKUPS_AT_ONCE)


class Alarm:
    """Something that happens at a moment, unless it is cancelled before; of `alarm`."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action
        """None: it went off, or never will."""

    def cancel(self) -> None:
        """Let it not go off; nothing, if it has."""
        _clock.cancel(self)


class _Clock:
    """The thread that lets alarms go off, started with the first one; a daemon, as it holds up nobody's exit."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew. A forked child has neither the thread nor the right to shut down what its parent talks over."""
        self._changed = threading.Condition()
        self._rows: list[tuple[float, int, Alarm]] = []  # a heap; (on time.monotonic()'s clock, to tell equals apart, the alarm)
        self._numbers = itertools.count()
        self._cancelled = 0  # of these rows, about
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def set(self, delay_s: float, action: Callable[[], None]) -> Alarm:
        at, made = time.monotonic() + delay_s, Alarm(action)
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="oberon-watchdog", daemon=True)
                self._thread.start()
            heappush(self._rows, (at, next(self._numbers), made))
            if at < self._wakes_at:
                self._wakes_at = at
                self._changed.notify()
        return made

    def cancel(self, alarm: Alarm) -> None:
        with self._changed:
            if alarm.action is None:
                return
            alarm.action = None
            self._cancelled += 1
            if self._cancelled > max(_MANY_CANCELLED, len(self._rows) // 2):
                self._rows = [row for row in self._rows if row[2].action is not None]
                heapify(self._rows)
                self._cancelled = 0

    def _run(self) -> None:
        while True:
            action = self._due()
            try:
                if action is not None:
                    action()
            except Exception:  # told as of any thread; the others' alarms go off all the same
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))

    def _due(self) -> Callable[[], None] | None:
        """Wait for the next alarm; None if it was cancelled.

        It is waited for all the same: else each request would wake the thread twice, to begin waiting and to cease.
        """
        with self._changed:
            while not self._rows or self._rows[0][0] > time.monotonic():
                self._wakes_at = self._rows[0][0] if self._rows else math.inf
                wait_s = self._wakes_at - time.monotonic()
                self._changed.wait(min(max(0.0, wait_s), threading.TIMEOUT_MAX))
            due = heappop(self._rows)[2]
            action, due.action = due.action, None
            if action is None:
                self._cancelled -= 1
            return action


_clock = _Clock()
os.register_at_fork(after_in_child=_clock.forget)


def alarm(delay_s: float, action: Callable[[], None]) -> Alarm:
    """Call `action` in `delay_s` seconds, in the thread of all alarms: it must not wait for anything.

    Raises RuntimeError if the machine gives no thread.
    """
    return _clock.set(delay_s, action)


class Watchdog:
    """Shuts every watched socket down once `delay_s` seconds have passed; within `with`.

    A reader then sees the end of the stream, which is not an error by itself: whoever gets an incomplete answer asks
    `fired` for the reason. `with` raises RuntimeError if the machine gives no thread.
    """

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.fired = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    def watch(self, connection: socket.socket) -> None:
        """Watch `connection`, and what TLS makes of it or has made of it."""
        # A descriptor of its own: ssl.wrap_socket detaches the socket it is given, so that object could no longer shut
        # anything down; and a TLS socket has no dup().
        held = socket.fromfd(connection.fileno(), connection.family, connection.type)
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
        self._alarm = alarm(self.delay_s, self._fire)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._alarm.cancel()
        with self._lock:
            for held in self._sockets:
                held.close()
            self._sockets.clear()


def lookup(host: str, port: int, within_s: float) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """(family, socket address) of each address of `host`, in the resolver's order; one lookup.

    It is made in a thread of its own, as nothing can interrupt it; an address needs none, and no time.
    Raises TimeoutError if that takes longer than `within_s`, else what getaddrinfo raises (OSError, UnicodeError), and
    RuntimeError if the machine gives no thread.
    """
    if _is_address(host):
        return _rows(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
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
    return _rows(outcome[0])


def _rows(found: list[Any]) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    return [(family, address) for family, _, _, _, address in found]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])  # without the zone of a link-local address
    except ValueError:
        return False
    return True


def _shut(held: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed, or not yet connected
        held.shutdown(socket.SHUT_RDWR)
