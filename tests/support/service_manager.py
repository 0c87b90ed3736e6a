"""What a service manager is to a service: a socket that listens to sd_notify(3), and the variables that name it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Self


class ServiceManager:
    """Listens at a path in `folder`, or, if that is None, at a name in the abstract namespace."""

    def __init__(self, folder: Path | None) -> None:
        self.name = f"@oberon-test-{os.getpid()}-{time.monotonic_ns()}" if folder is None else str(folder / "notify")
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.bind("\0" + self.name[1:] if folder is None else self.name)

    def environment(self, watchdog_s: float | None = None) -> dict[str, str]:
        """What the service is started with; `watchdog_s` is WatchdogSec."""
        watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(round(watchdog_s * 1_000_000))}
        return {"NOTIFY_SOCKET": self.name, **watchdog}

    def told(self, timeout_s: float = 0.0) -> list[str]:
        """What came since it was last asked, and in the next `timeout_s` seconds."""
        until = time.monotonic() + timeout_s
        found = []
        while True:
            self._channel.settimeout(max(0.0, until - time.monotonic()))
            try:
                found.append(self._channel.recv(4096).decode())
            except (BlockingIOError, TimeoutError):
                return found

    def until(self, wanted: str, timeout_s: float = 15.0) -> list[str]:
        """What came up to the message that begins with `wanted`, which is the last. Raises TimeoutError."""
        until = time.monotonic() + timeout_s
        found: list[str] = []
        while not (found and found[-1].startswith(wanted)):
            self._channel.settimeout(max(0.001, until - time.monotonic()))
            try:
                found.append(self._channel.recv(4096).decode())
            except TimeoutError as error:
                raise TimeoutError(f"no {wanted} but {found}") from error
        return found

    def is_full(self) -> bool:
        """Fill its queue, until nothing goes in; that a next message does not, at once."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                while True:
                    sender.sendto(b"X_FILL=1", "\0" + self.name[1:] if self.name.startswith("@") else self.name)
            except BlockingIOError:
                return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
