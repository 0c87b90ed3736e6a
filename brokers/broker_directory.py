"""A directory of `brokerPath` while the process runs: which classes are in service, taken anew from files that have changed.

Whoever asks for the classes looks first, if the last look is LOOK_S ago: one `stat` for the directory and for each file. One
thread looks; others who ask meanwhile get what there was. All classes of a file come into service at once, or none does.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from brokers import broker_files, in_service
from brokers.broker_files import BrokerClass, Stamp, log
from brokers.errors import BrokerLoadError

LOOK_S = 1.0
SETTLE_S = 0.2
"""A file that was changed less than that ago may be half written: as long as another version can be used, it waits."""
TICK_S = 2.0
"""The coarsest clock of a file system: two changes within it may bear one stamp."""
_NS = 1_000_000_000


@dataclass(slots=True)
class _File:
    stamp: Stamp | None = None
    """As of the last reading; None: it is read again when somebody looks."""
    is_sure: bool = False
    """It was read so long after its change that another change would have another stamp."""
    tried: bytes = b""
    """The source that was run last."""
    loaded: bytes | None = None
    """The last source that could be used; None: none could."""
    classes: dict[str, BrokerClass] = field(default_factory=dict)
    """Of `loaded`."""
    problem: BrokerLoadError | None = None
    """Why the file as it is now cannot be used."""
    conflict: BrokerLoadError | None = None
    """Which of its brokers another file has already."""
    told: str = ""
    """What of that the log has."""

    @property
    def trouble(self) -> BrokerLoadError | None:
        """What people are to know of it."""
        return self.problem or self.conflict


class Directory:
    """The one at `path`, an absolute path; for any thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._files: dict[str, _File] = {}
        """By path, in order."""
        self._classes: Mapping[str, BrokerClass] = {}
        self._holders: dict[str, str] = {}
        """Broker's name -> path of the file that it comes from."""
        self._problem: BrokerLoadError | None = None
        """Why the directory cannot be looked at."""
        self._told = ""
        self._lock = threading.Lock()
        self._look_at = 0.0
        """On time.monotonic()'s clock."""
        self._has_looked = False
        self._anew = False

    def classes(self, *, now: bool = False) -> Mapping[str, BrokerClass]:
        """Broker's name -> class in service; `now`: however short ago the last look was. Raises nothing."""
        is_due = now or time.monotonic() >= self._look_at
        # The first who comes has nothing to go on with.
        if is_due and self._lock.acquire(blocking=now or not self._has_looked):
            try:
                if now or time.monotonic() >= self._look_at:
                    self._look()
            finally:
                self._lock.release()
        return self._classes

    def look_again(self) -> None:
        """With the next look every file is run anew, also one that has not changed: what it imports may have."""
        self._anew = True
        self._look_at = 0.0

    @property
    def holders(self) -> Mapping[str, str]:
        """Broker's name -> path of the file that it comes from."""
        return dict(self._holders)

    @property
    def problems(self) -> list[BrokerLoadError]:
        """Why it, or files in it, cannot be used as they are now."""
        troubles = [self._problem, *(file.trouble for file in list(self._files.values()))]
        return [trouble for trouble in troubles if trouble is not None]

    def problem_of(self, name: str) -> BrokerLoadError | None:
        """Why the broker `name` is not there, if a file that does not load seems to have it."""
        for path, file in list(self._files.items()):
            if file.problem is not None and name in broker_files.might_have(path, file.tried):
                return file.problem
        return None

    # --------------------------------------------------------------------------------------------------------- one look

    def _look(self) -> None:
        anew, self._anew = self._anew, False
        look_at = time.monotonic() + LOOK_S
        try:
            broker_files.refuse_writable(self.path, os.stat(self.path))  # noqa: PTH116 - see _stamps
            stamps = self._stamps()
        except OSError as error:
            self._refuse(BrokerLoadError(self.path, f"cannot be read: {error.strerror}"))
        except BrokerLoadError as error:
            self._refuse(error)
        else:
            self._problem, self._told = None, self._tell("", self._told)
            if self._take(stamps, anew=anew):
                look_at = time.monotonic() + SETTLE_S
        self._look_at = look_at
        self._has_looked = True

    def _take(self, stamps: Mapping[str, Stamp | None], *, anew: bool) -> bool:
        """Read what has changed; whether a file waits, since it may be half written."""
        changed = [path for path, stamp in stamps.items() if anew or self._is_to_be_read(path, stamp)]
        waiting = {path for path in changed if _is_fresh(stamps[path]) and not anew}
        before = {broker.__module__ for file in self._files.values() for broker in file.classes.values()}
        gone = self._files.keys() - stamps.keys()
        for path in gone:
            del self._files[path]
        for path in changed:
            if path not in waiting or path not in self._files or self._files[path].loaded is None:
                self._read(path, anew=anew)
        if gone or changed:
            self._files = dict(sorted(self._files.items()))
            self._put_in_service()
            for module in before - {broker.__module__ for file in self._files.values() for broker in file.classes.values()}:
                in_service.forget_module(module)
        for path, file in self._files.items():
            if path not in waiting:
                told = "" if file.trouble is None else str(file.trouble) + (_going_on(file.classes) if file.problem else "")
                file.told = self._tell(told, file.told)
        return bool(waiting)

    def _is_to_be_read(self, path: str, stamp: Stamp | None) -> bool:
        file = self._files.get(path)
        return file is None or stamp is None or file.stamp != stamp or not file.is_sure

    def _stamps(self) -> dict[str, Stamp | None]:
        """Path -> stamp; None where there is none to be had."""
        found: dict[str, Stamp | None] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.endswith(".py") and not entry.name.startswith((".", "_")):
                    try:
                        found[entry.path] = broker_files.stamp_of(entry.stat())
                    except FileNotFoundError:
                        if entry.is_symlink():
                            found[entry.path] = None  # one that leads nowhere
                    except OSError:
                        found[entry.path] = None
        return found

    def _read(self, path: str, *, anew: bool) -> None:
        file = self._files.setdefault(path, _File())
        try:
            stamp, source = broker_files.read(path, self.path)
            is_touched, file.stamp = stamp != file.stamp, stamp
            file.is_sure = time.time_ns() - stamp.changed_ns >= TICK_S * _NS
            if source == file.loaded and not anew:
                file.problem = None
            elif source != file.tried or file.problem is None or is_touched or anew:
                file.tried = source
                classes = broker_files.execute_in_time(path, source)
                if source != file.loaded:
                    _refuse_same_versions(path, file.classes, classes)
                file.loaded, file.classes, file.problem = source, classes, None
        except BrokerLoadError as error:
            file.problem = error
        except (OSError, RuntimeError) as error:  # no rights, no descriptor, no thread
            file.stamp = None
            file.problem = BrokerLoadError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}")

    def _put_in_service(self) -> None:
        fresh: dict[str, BrokerClass] = {}
        holders: dict[str, str] = {}
        for path, file in self._files.items():
            file.conflict = None
            for name, broker in file.classes.items():
                # Who has a name keeps it as long as the file has it; of those that come at once it is the first.
                holder = self._holders.get(name, path)
                keeps = holder in self._files and name in self._files[holder].classes
                other = holders.get(name) or (holder if keeps and holder != path else None)
                if other is None:
                    fresh[name], holders[name] = broker, path
                else:
                    told = f"the broker {name} comes from {other} already; rename one of them, or remove a file"
                    file.conflict = BrokerLoadError(path, told)
        before = self._classes
        for name, broker in fresh.items():
            if before.get(name) is not broker:
                in_service.enter(broker, holders[name])
                instead = f", instead of version {before[name].version}" if name in before else ""
                log.info("broker %s: version %s of %s%s", name, broker.version, holders[name], instead)
        self._classes, self._holders = fresh, holders
        for name, broker in before.items():
            if fresh.get(name) is not broker:
                in_service.replaced(broker)
            if name not in fresh:
                log.info("broker %s: version %s is out of service, its file is gone or has it no more", name, broker.version)

    # ------------------------------------------------------------------------------------------------------------- the log

    def _refuse(self, error: BrokerLoadError) -> None:
        self._problem = error
        self._told = self._tell(f"{error}{_going_on(self._classes)}", self._told)

    @staticmethod
    def _tell(told: str, before: str) -> str:
        if told != before:
            in_service.note_change()
            if told:
                log.error("%s", told)
        return told


def _is_fresh(stamp: Stamp | None) -> bool:
    return stamp is not None and 0 <= time.time_ns() - stamp.changed_ns < SETTLE_S * _NS


def _refuse_same_versions(path: str, old: Mapping[str, BrokerClass], new: Mapping[str, BrokerClass]) -> None:
    for name, broker in new.items():
        if name in old and old[name].version == broker.version:
            for each in new.values():
                in_service.forget_module(each.__module__)
            told = f"the file has changed, and the broker {name} is version {broker.version!r} as before"
            remedy = "give it another `version`, or none: each change is then a version of its own"
            raise BrokerLoadError(path, f"{told}; {remedy}")


def _going_on(classes: Mapping[str, BrokerClass]) -> str:
    told = ", ".join(f"{name} version {broker.version}" for name, broker in classes.items())
    return f"; in service stays {told}" if told else ""
