"""The worker: spool -> outbox -> repository -> deliveries -> brokers, until there is nothing left to do.

One worker per state directory: it holds `worker.lock` (flock, so that a killed worker's lock is gone with it).
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from brokers import loader
from brokers.config import Configuration
from brokers.delivery import disk, salvage, statedir, wake
from brokers.delivery.bell import Bell
from brokers.delivery.database import CorruptOutboxError, FullDiskError, MovedOutboxError
from brokers.delivery.expansion import Source
from brokers.delivery.notify import Notifier
from brokers.delivery.outbox import Outbox
from brokers.delivery.scheduler import Limits, Scheduler
from brokers.errors import BrokerError
from brokers.secrets import Resolver

log = logging.getLogger("oberon.worker")

SETTINGS_TTL_S = 2.0
SALVAGE_S = 1800.0
"""Of a corrupt outbox; large ones are read, and written to the spool, for minutes."""


class WorkerRunning(BrokerError):
    """Another worker has this state directory."""

    def __init__(self, state_dir: str) -> None:
        super().__init__(state_dir)
        self.state_dir = state_dir

    def __str__(self) -> str:
        return f"another worker runs for {self.state_dir}"


@dataclass(slots=True)
class _Known:
    configuration: Configuration
    until: float


@dataclass(slots=True)
class Worker:
    """Run it with `run`. `sources` maps `git` and `hg` to their readers; `resolve` follows references to secrets.

    `reread` is called when the settings are to be read anew; it gives the limits from then on.
    """

    state_dir: str
    sources: Mapping[str, Source]
    resolve: Resolver
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time
    notifier: Notifier = field(default_factory=lambda: Notifier({}))
    reread: Callable[[], Limits] | None = None
    stopping: bool = False
    reloading: bool = False
    _known: dict[str, _Known] = field(default_factory=dict)
    _bell: Bell | None = None

    def stop(self) -> None:
        """End soon: let attempts come to their end, give the rest back. Fit for a signal handler."""
        self.stopping = True
        if self._bell is not None:
            self._bell.ring()

    def reload(self) -> None:
        """Read settings, broker files and limits anew soon. Fit for a signal handler."""
        self.reloading = True
        if self._bell is not None:
            self._bell.ring()

    def read_anew(self) -> None:
        """What `reload` asked for; in the loop's thread."""
        self.reloading = False  # first: another request from now on is another reading
        self.notifier.reloading()
        self._known.clear()
        loader.look_again()
        if self.reread is not None:
            self.limits = self.reread()
        log.info(
            "settings are read anew: %d deliveries at the same time, %d to one host", self.limits.workers, self.limits.per_host
        )
        self.notifier.ready()

    def run(self, *, drain: bool = False) -> None:
        """Work until stopped, or idle as `limits` say; with `drain`, until nothing is due now.

        Raises WorkerRunning, OutboxError or OSError when it cannot begin, PoolExhausted when it has to begin anew.
        """
        statedir.prepare(self.state_dir)
        lock = self._lock()
        try:
            while True:
                scheduler = self._work(drain=drain)
                # A hook that wrote its event while this worker was leaving saw the lock held, and started none.
                fcntl.flock(lock, fcntl.LOCK_UN)
                if self.stopping or not scheduler.has_new() or not _lock_soon(lock):
                    return
        finally:
            self._bell = None
            os.close(lock)

    def _work(self, *, drain: bool) -> Scheduler:
        """With the outbox open; it is opened anew when it turns out to be corrupt, and is set aside first."""
        damage = ""
        while True:
            try:
                found = self._salvage(damage) if damage else None
                with self._open() as outbox, Bell(self.state_dir) as self._bell:
                    if found is not None:
                        salvage.take_over(outbox, found)
                    damage = ""
                    self.notifier.ready()
                    scheduler = Scheduler(self, outbox, self._bell)
                    scheduler.run(drain=drain)
                    return scheduler
            except CorruptOutboxError as error:
                damage = error.reason
            except MovedOutboxError as error:
                log.error("%s; it is opened anew", error)  # noqa: TRY400 - the traceback tells nothing

    def _salvage(self, damage: str) -> salvage.Salvaged:
        self.notifier.allow(SALVAGE_S)
        try:
            return salvage.set_aside(self.state_dir, damage, self.clock())
        finally:
            self.notifier.allow(None)

    def _open(self) -> Outbox:
        """Raises OutboxError, also when the disk is full and there is no ballast to make room with."""
        try:
            return Outbox.open(self.state_dir, self.clock)
        except FullDiskError:
            if not disk.release_ballast(self.state_dir):
                raise
            return Outbox.open(self.state_dir, self.clock)

    def source(self, scm: str) -> Source:
        """The reader for `git` or `hg`."""
        return self.sources[scm]

    def configuration(self, scm: str, path: str) -> Configuration:
        """The repository's configuration, at most about SETTINGS_TTL_S old. Raises BrokerError."""
        known = self._known.get(path)
        now = time.monotonic()
        if known is not None and now < known.until:
            return known.configuration
        if known is not None:
            known.until = now + SETTINGS_TTL_S  # while this thread reads it anew, the others go on with it
        try:
            fresh = _Known(self.sources[scm].configuration(path), time.monotonic() + SETTINGS_TTL_S)
        except BaseException:
            self._known.pop(path, None)
            raise
        self._known[path] = fresh
        return fresh.configuration

    def _lock(self) -> int:
        descriptor = os.open(Path(self.state_dir) / wake.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock_soon(descriptor):
            os.close(descriptor)
            raise WorkerRunning(self.state_dir)
        with suppress(OSError):  # a full disk: it is for people, and the lock is what counts
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return descriptor


def _lock_soon(descriptor: int) -> bool:
    """Whether the lock could be had. Several tries: who looks whether it is held, a hook or `oberon status`, holds it a moment."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False
