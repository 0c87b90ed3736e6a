"""What wakes the scheduler before its time: a hook's datagram, or a pool thread that is done."""

from __future__ import annotations

import os
import selectors
import socket
from contextlib import suppress
from pathlib import Path
from typing import Self

from brokers.delivery import wake


class Bell:
    """Wakes the loop: a datagram of a hook, or a byte of a pool thread."""

    def __init__(self, state_dir: str) -> None:
        self._directory = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._path = Path(state_dir) / wake.SOCKET
        self._path.unlink(missing_ok=True)  # a killed worker's
        self._hooks = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with suppress(OSError):  # a file system without sockets: the scan finds what hooks leave
            self._hooks.bind(wake.address(state_dir, self._directory))
        self._inside, self._outside = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for channel in (self._hooks, self._inside, self._outside):
            channel.settimeout(0)
        self._selector.register(self._hooks, selectors.EVENT_READ)
        self._selector.register(self._inside, selectors.EVENT_READ)

    def ring(self) -> None:
        """From any thread."""
        try:
            self._outside.send(b".")
        except OSError:
            pass  # rung already, or the loop has ended

    def wait(self, timeout_s: float) -> None:
        """Until rung, at most `timeout_s`."""
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            channel = key.fileobj
            assert isinstance(channel, socket.socket)
            try:
                while channel.recv(4096):
                    pass
            except BlockingIOError:
                pass  # all taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        self._selector.close()
        for channel in (self._hooks, self._inside, self._outside):
            channel.close()
        os.close(self._directory)
