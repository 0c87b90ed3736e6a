"""Where brokers come from: a file in `oberon.brokerPath`, else the built-in ones, else the entry-point group `oberon.brokers`.

A built-in module is imported when a service first names it. The files of `brokerPath` are looked at once a second at most, when
somebody asks; one that has changed is loaded, and one that does not load leaves the classes it had. The first directory that has
a name wins, and any of them wins over a built-in.
"""

from __future__ import annotations

import difflib
import importlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType

from brokers import broker_files, in_service
from brokers.base import BaseBroker
from brokers.broker_directory import Directory
from brokers.broker_files import BrokerClass, execute
from brokers.errors import BrokerError, BrokerLoadError, UnknownBrokerError

ENTRY_POINTS = "oberon.brokers"
_SERVICES = "brokers.services"


@dataclass(frozen=True, slots=True)
class Found:
    """One broker there is, or one file that is none."""

    name: str
    version: str
    place: str
    """The file, or the package's entry point."""
    problem: str = ""
    """Why the file as it is now cannot be used; '' if it can."""


_lock = threading.Lock()
_directories: dict[str, Directory] = {}
_not_files: dict[str, BrokerClass] = {}
"""Name -> class, of those built in and of entry points that were asked for."""


def broker_class(name: str, broker_path: Sequence[str] = ()) -> BrokerClass:
    """The class of the broker `name`, as it is in service now; `using` is for deliveries.

    Raises UnknownBrokerError, or BrokerLoadError if its file cannot be used and never could in this process.
    """
    for path in broker_path:
        found = _directory(path).classes().get(name)
        if found is not None:
            return found
    for path in broker_path:
        if problem := _directory(path).problem_of(name):
            # Not the built-in one instead, which may send what the admin's own would not.
            raise problem
    found = _not_files.get(name) or _builtin(name) or _entry_point(name)
    if found is not None:
        _not_files[name] = found
        return found
    return _just_come(name, broker_path)


def _just_come(name: str, broker_path: Sequence[str]) -> BrokerClass:
    for path in broker_path:
        found = _directory(path).classes(now=True).get(name)
        if found is not None:
            return found
        if problem := _directory(path).problem_of(name):
            raise problem
    known = sorted({found.name for found in available(broker_path) if found.name})
    near = "".join(f"did you mean {one}? " for one in difflib.get_close_matches(name, known, n=1))
    raise UnknownBrokerError(f"there is no broker {name!r}", remedy=f"{near}there are: {', '.join(known)}")


@contextmanager
def using(name: str, broker_path: Sequence[str] = ()) -> Iterator[BrokerClass]:
    """The class of the broker `name`, for one delivery: until it ends, its version is kept whole, whatever becomes of the file.

    Raises as `broker_class`.
    """
    while not in_service.begin(broker := broker_class(name, broker_path)):
        pass  # another version has just taken its place
    try:
        yield broker
    finally:
        in_service.finish(broker)


def load_file(path: str) -> dict[str, BrokerClass]:
    """Broker's name -> class of one file, for who writes it: run here and now, with the rights of who calls, for no service.

    So it is run also where group or others may write it, as a working copy often may be; `why_refused` tells that.
    Raises BrokerLoadError.
    """
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise BrokerLoadError(path, f"cannot be read: {error.strerror}") from error
    return execute(path, source)


def why_refused(path: str) -> BrokerLoadError | None:
    """Why a directory of `brokerPath` would not take this file as it lies there; None if it would, or there is none."""
    try:
        broker_files.refuse_writable(path, Path(path).stat())
    except BrokerLoadError as error:
        return error
    except OSError:
        return None
    return None


def available(broker_path: Sequence[str] = ()) -> list[Found]:
    """What a service could name, sorted by name; files that do not load too, with `problem`."""
    found: dict[str, Found] = {}
    broken: list[Found] = []
    for path in broker_path:
        directory = _directory(path)
        for name, broker in directory.classes(now=True).items():
            found.setdefault(name, Found(name, broker.version, directory.holders[name]))
        broken += [Found("", "", problem.place, problem.reason) for problem in directory.problems]
    for name in _builtin_names():
        if name not in found:
            found[name] = _look_at(name, f"{_SERVICES}.{name}")
    for point in metadata.entry_points(group=ENTRY_POINTS):
        if point.name not in found:
            found[point.name] = _look_at(point.name, f"entry point {point.value}")
    return [found[name] for name in sorted(found)] + broken


def problems() -> list[BrokerLoadError]:
    """Of all directories that were asked for in this process: why they, or files in them, cannot be used as they are now."""
    return [problem for directory in list(_directories.values()) for problem in directory.problems]


def look_again() -> None:
    """Load every file anew when it is next asked for, also one that has not changed: what it imports may have."""
    importlib.invalidate_caches()
    _not_files.clear()
    for directory in list(_directories.values()):
        directory.look_again()


def _directory(path: str) -> Directory:
    found = _directories.get(path)
    if found is None:
        with _lock:
            found = _directories.setdefault(path, Directory(path))
    return found


def _look_at(name: str, place: str) -> Found:
    try:
        broker = _builtin(name) or _entry_point(name)
    except BrokerError as error:
        return Found(name, "", place, str(error))
    return Found(name, broker.version if broker else "", place)


@cache
def _builtin_names() -> list[str]:
    names = (entry.name for entry in resources.files(_SERVICES).iterdir())
    return sorted(name.removesuffix(".py") for name in names if name.endswith(".py") and not name.startswith("_"))


def _builtin(name: str) -> BrokerClass | None:
    if name not in _builtin_names():
        return None
    try:
        return _classes_of(importlib.import_module(f"{_SERVICES}.{name}")).get(name)
    except ImportError as error:
        raise BrokerLoadError(f"the built-in broker {name}", f"{error}") from error


def _classes_of(module: ModuleType) -> dict[str, BrokerClass]:
    return {
        value.name: value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, BaseBroker)
        and value.__module__ == module.__name__
        and not vars(value).get("abstract")
    }


def _entry_point(name: str) -> BrokerClass | None:
    for point in metadata.entry_points(group=ENTRY_POINTS, name=name):
        try:
            loaded = point.load()
        except Exception as error:
            raise BrokerLoadError(f"entry point {point.value}", f"{type(error).__name__}: {error}") from error
        if isinstance(loaded, type) and issubclass(loaded, BaseBroker):
            return loaded
        raise BrokerLoadError(f"entry point {point.value}", "is not a subclass of BaseBroker")
    return None
