"""What the service manager is told of the worker: sd_notify(3), a datagram to the socket that NOTIFY_SOCKET names.

The watchdog is fed by whoever calls `watchdog`, and that is the worker's loop alone: a thread beside it would go on feeding when
the loop is stuck, and nobody would start the worker anew.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from payload.text import visible

STATUS_EVERY_S = 5.0
SEND_TIMEOUT_S = 1.0  # systemd reads at once; a manager that does not must not hold up deliveries
_MICRO = 1_000_000


class Notifier:
    """Made from the environment that the service manager gave; without NOTIFY_SOCKET in it, each method does nothing.

    Nothing is raised: a manager that cannot be told anything finds out by itself.
    """

    def __init__(self, environ: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._limit_us = 0 if self._address is None else _watchdog_us(environ)
        """Without being fed for so long, the worker is taken for stuck; 0: nobody watches."""
        self._feed_at = 0.0
        self._status = ""
        self._status_at = 0.0

    @property
    def feed_in_s(self) -> float:
        """How soon `watchdog` has to be called again, in seconds; inf if nobody watches."""
        return max(0.0, self._feed_at - self._clock()) if self._limit_us else math.inf

    @property
    def status_is_due(self) -> bool:
        """Whether somebody listens who was told no status for STATUS_EVERY_S."""
        return self._address is not None and self._clock() >= self._status_at

    def ready(self) -> None:
        """The worker has begun, or has read its settings anew. Feeds the watchdog too."""
        self._send("READY=1")
        self._feed_at = 0.0
        self.watchdog()

    def reloading(self) -> None:
        """The settings are being read anew, until `ready`."""
        # CLOCK_MONOTONIC, by which Type=notify-reload tells this reload from an earlier one (systemd 253).
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The worker is winding up."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """The loop goes round. Sent when half of the time is over that WATCHDOG_USEC allows, as sd_watchdog_enabled(3) asks."""
        if self._limit_us and self._clock() >= self._feed_at:
            self._feed_at = self._clock() + self._limit_us / _MICRO / 2
            self._send("WATCHDOG=1")

    def allow(self, seconds: float | None) -> None:
        """What comes next may keep the loop for so long; None: it is done, and the usual time holds again."""
        if self._limit_us:
            self._send(f"WATCHDOG_USEC={self._limit_us if seconds is None else max(self._limit_us, round(seconds * _MICRO))}")

    def status(self, text: str) -> None:
        """One line for people (`systemctl status`); one that is the same as before is not sent."""
        self._status_at = self._clock() + STATUS_EVERY_S
        if text != self._status:
            self._status = text
            self._send(f"STATUS={visible(text)}")

    def _send(self, told: str) -> None:
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(SEND_TIMEOUT_S)
            channel.sendto(told.encode("utf-8", "replace"), self._address)


def _address(named: str) -> bytes | None:
    """A path, or `@` and a name in the abstract namespace (unix(7)); None for anything else, as systemd's vsock for machines."""
    if named.startswith("@"):
        return b"\0" + os.fsencode(named[1:])
    return os.fsencode(named) if named.startswith("/") else None


def _watchdog_us(environ: Mapping[str, str]) -> int:
    """By sd_watchdog_enabled(3): 0 if it is not set, no number, or meant for another process."""
    limit, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (limit.isascii() and limit.isdigit()) or process not in ("", str(os.getpid())):
        return 0
    return int(limit)
