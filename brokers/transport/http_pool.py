"""Connections that are kept for the next request to the same place, for some seconds.

A connection is the property of one request at a time: `take` hands it out, `put` takes it back when nothing of its answer is
left. One that was made under other rules (a `Route` names them) is never handed out, nor one that has something to say.
"""

from __future__ import annotations

import atexit
import math
import os
import socket
import ssl
import threading
import time
from typing import NamedTuple, Protocol

from urllib3.util import wait_for_read

from brokers.transport.deadline import Alarm, alarm

IDLE_S = 5.0
"""For how long it is kept unused: a service that moved is looked up again soon, and no descriptor lies about."""
MAX_AGE_S = 60.0
"""For how long it is used."""
MAX_KEPT = 32
"""Unused ones, in all."""
MAX_KEPT_PER_ROUTE = 16


class Route(NamedTuple):
    """What two requests must have in common for one connection: the place, and all by which it was judged."""

    scheme: str
    host: str
    port: int
    allow_hosts: tuple[str, ...]
    proxy: str | None
    trusted: ssl.SSLContext | None
    """None where no TLS is spoken."""


class Connection(Protocol):
    """What is kept."""

    sock: socket.socket | None
    opened_at: float
    """On time.monotonic()'s clock."""

    def close(self) -> None:
        """Idempotent."""


class _Kept(NamedTuple):
    route: Route
    until: float
    connection: Connection


class _Pool:
    def __init__(self) -> None:
        self._kept: list[_Kept] = []  # the longest unused first
        self._lock = threading.Lock()
        self._alarm: Alarm | None = None  # it closes what is idle, and goes off
        self._goes_off_at = math.inf

    def take(self, route: Route) -> Connection | None:
        while kept := self._newest(route):
            if kept.until > time.monotonic() and _is_quiet(kept.connection):
                return kept.connection
            kept.connection.close()
        return None

    def _newest(self, route: Route) -> _Kept | None:
        with self._lock:
            at = next((at for at in reversed(range(len(self._kept))) if self._kept[at].route == route), None)
            return None if at is None else self._kept.pop(at)

    def put(self, route: Route, connection: Connection) -> None:
        until = min(time.monotonic() + IDLE_S, connection.opened_at + MAX_AGE_S)
        surplus = None
        with self._lock:
            of_route = [at for at, kept in enumerate(self._kept) if kept.route == route]
            if len(of_route) >= MAX_KEPT_PER_ROUTE:
                surplus = self._kept.pop(of_route[0])
            elif len(self._kept) >= MAX_KEPT:
                surplus = self._kept.pop(0)
            self._kept.append(_Kept(route, until, connection))
            if until < self._goes_off_at:
                self._watch()
        if surplus is not None:
            surplus.connection.close()

    def _watch(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._goes_off_at = min((kept.until for kept in self._kept), default=math.inf)
        self._alarm = alarm(self._goes_off_at - time.monotonic(), self._close_idle) if self._kept else None

    def _close_idle(self) -> None:
        now = time.monotonic()
        with self._lock:
            idle = [kept for kept in self._kept if kept.until <= now]
            self._kept = [kept for kept in self._kept if kept.until > now]
            self._watch()
        for kept in idle:
            kept.connection.close()

    def close(self) -> None:
        with self._lock:
            ended, self._kept = self._kept, []
            self._watch()
        for kept in ended:
            kept.connection.close()

    def forget(self) -> None:
        """In a forked child: what is kept is its parent's. To close it says nothing to the service, and ends nothing there."""
        self._lock = threading.Lock()
        self.close()


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.forget)
atexit.register(_pool.close)


def take(route: Route) -> Connection | None:
    """The connection for `route` that was used last, for the caller alone; None if none is kept that can be relied on."""
    return _pool.take(route)


def put(route: Route, connection: Connection) -> None:
    """Keep `connection`, of whose last answer nothing is left; another one is closed where that makes too many."""
    _pool.put(route, connection)


def close() -> None:
    """Close all that are kept."""
    _pool.close()


def _is_quiet(connection: Connection) -> bool:
    """Whether nothing came since the last answer: neither the end nor what nobody asked for, which would be taken for an answer."""
    sock = connection.sock
    if sock is None or wait_for_read(sock, 0):
        return False
    return not (isinstance(sock, ssl.SSLSocket) and sock.pending())
