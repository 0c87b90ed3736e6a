"""What wakes the scheduler before its time: a hook's datagram, or a pool thread that is done."""

from __future__ import annotations

import os
import selectors
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Self, cast

from brokers.delivery import layout, statedir, wake

DEAF_S = 0.05
"""After a hook's datagram the next one is heard so much later: who sends them without end turns the loop no faster."""
MOST_TAKEN = 64
"""At once, of what lies in a socket; more than its queue has unless somebody fills it all the while."""


class Bell:
    """Wakes the loop: a datagram of a hook, or a byte of a pool thread."""

    def __init__(self, state_dir: str) -> None:
        self._directory = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._path = Path(state_dir) / wake.SOCKET
        self._path.unlink(missing_ok=True)  # a killed worker's
        self._hooks = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with suppress(OSError):  # a file system without sockets: the scan finds what hooks leave
            self._hooks.bind(wake.address(state_dir, self._directory))
            if statedir.is_shared(state_dir):
                self._path.chmod(layout.SOCKET_MODE)
        self._inside, self._outside = socket.socketpair()
        for channel in (self._hooks, self._inside, self._outside):
            channel.settimeout(0)
        self._all = selectors.PollSelector()
        self._threads = selectors.PollSelector()
        self._all.register(self._hooks, selectors.EVENT_READ)
        for selector in (self._all, self._threads):
            selector.register(self._inside, selectors.EVENT_READ)
        self._hears_at = 0.0
        self._is_rung = False
        """A thread has rung since the last `wait`: a hundred that end at once ring once."""

    def ring(self) -> None:
        """From any thread."""
        if self._is_rung:
            return
        self._is_rung = True
        try:
            self._outside.send(b".")
        except OSError:
            self._is_rung = False  # the loop has ended; or it could not be rung now, and the next one is to try again

    def wait(self, timeout_s: float) -> bool:
        """Until rung, at most `timeout_s`. Whether by a hook."""
        until = time.monotonic() + max(0.0, timeout_s)
        deaf_until = min(until, self._hears_at)
        if deaf_until > time.monotonic() and self._rung(self._threads, deaf_until):
            return False
        return self._hooks in self._rung(self._all, until)

    def _rung(self, selector: selectors.PollSelector, until: float) -> list[socket.socket]:
        """Which of the selector's channels were, before `until` on time.monotonic()'s clock."""
        ready = [cast("socket.socket", key.fileobj) for key, _ in selector.select(max(0.0, until - time.monotonic()))]
        if self._inside in ready:
            self._inside.recv(4096)
            self._is_rung = False  # before the caller looks at what has ended
        if self._hooks in ready:
            self._hears_at = time.monotonic() + DEAF_S
            with suppress(BlockingIOError):  # all taken
                for _ in range(MOST_TAKEN):
                    self._hooks.recv(4096)
        return ready

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        self._all.close()
        self._threads.close()
        for channel in (self._hooks, self._inside, self._outside):
            channel.close()
        os.close(self._directory)
