"""One call of a broker, as Oberon makes it, with all that it said and left behind."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from brokers import printed
from brokers.base import BaseBroker
from brokers.delivery.pool import within
from brokers.errors import BrokerError, chain
from brokers.testing.overheard import OutsideError
from brokers.testing.receiver import HOST
from brokers.transport.call import Call, Exchange, placing
from payload import text
from payload.build import Service, address, copied

GRACE_S = 0.5  # between the transport's own deadline and the worker's
SHOWN_CHARS = 200
_LIBRARIES = ("urllib3", "requests")
"""Whose debug lines repeat the requests, which are looked at anyway."""


@dataclass(slots=True)
class Ended:
    """How one call ended."""

    error: BaseException | None = None
    note: str = ""
    printed: str = ""
    logged: list[str] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    """Those of the transport."""
    duration_s: float = 0.0
    still_runs: bool = False
    """It was given up: its thread is left behind."""

    @property
    def reason(self) -> str:
        """What was raised, with its traceback; '' if nothing was."""
        return "" if self.error is None else "".join(traceback.format_exception(self.error))

    @property
    def is_planned(self) -> bool:
        """Whether it returned, or raised what the API has for it."""
        return self.error is None or isinstance(self.error, BrokerError)

    @property
    def told(self) -> str:
        """What was raised, in one line."""
        if self.still_runs:
            return f"it did not end within {self.duration_s:.1f} s"
        return text.visible(f"{type(self.error).__name__}: {self.error}")[:SHOWN_CHARS]

    @property
    def elsewhere(self) -> str:
        """The host on another machine that it was going for, where that is why it failed; '' if it is not."""
        outside = next((cause for cause in chain(self.error) if isinstance(cause, OutsideError)), None)
        if outside:
            return str(outside).split(" ", 1)[0]
        hosts = (_host_of(exchange.request) for exchange in self.exchanges if exchange.status is None)
        return next((host for host in hosts if host not in ("", HOST, "localhost")), "")


def _host_of(request: str) -> str:
    """`Host` of a request in the record."""
    for line in request.split("\n\n", 1)[0].splitlines()[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "host":
            return urlsplit(f"//{value.strip()}").hostname or ""
    return ""


def called(broker: type[BaseBroker], composed: Mapping[str, Any], values: Mapping[str, Any], timeout_s: float) -> Ended:
    """Call `handle` in a thread that is left behind if it does not end in time."""
    ended = Ended()
    job = within(lambda _: call(broker, composed, values, timeout_s, ended), timeout_s + GRACE_S)
    ended.still_runs, ended.duration_s = job.abandoned, job.elapsed_s
    return ended


def call(
    broker: type[BaseBroker], composed: Mapping[str, Any], values: Mapping[str, Any], timeout_s: float, ended: Ended
) -> None:
    """Call `handle` in this thread; what it leaves goes into `ended`."""
    # The transport lets nothing out either, and has no environment's proxy.
    circumstances = Call(deadline=time.monotonic() + timeout_s, allow_hosts=("loopback",), exchanges=ended.exchanges)
    with printed.keeping() as said, _log.keeping(ended.logged):
        try:
            with placing(circumstances):
                note = broker().handle(address(copied(composed), Service(broker.name, dict(values))))
            ended.note = note if isinstance(note, str) else ""
        except BaseException as error:
            ended.error = error
        ended.printed = "".join(said)


class _Log(logging.Handler):
    """Keeps what each thread logs while it says so."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._threads = 0
        self._level = logging.WARNING

    @contextmanager
    def keeping(self, kept: list[str]) -> Iterator[None]:
        self._mine.kept = kept
        self._more(1)
        try:
            yield
        finally:
            self._more(-1)
            del self._mine.kept

    def emit(self, record: logging.LogRecord) -> None:
        kept = getattr(self._mine, "kept", None)
        if kept is not None and not record.name.startswith(_LIBRARIES):
            kept.append(self.format(record))

    def _more(self, threads: int) -> None:
        root = logging.getLogger()
        with self._lock:
            if self._threads == 0:
                self._level = root.level
                root.addHandler(self)
                root.setLevel(logging.DEBUG)
            self._threads += threads
            if self._threads == 0:
                root.removeHandler(self)
                root.setLevel(self._level)


_log = _Log()
