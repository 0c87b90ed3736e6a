"""Where brokers come from: a file in `oberon.brokerPath`, else the built-in ones, else the entry-point group `oberon.brokers`.

A built-in module is imported when a service first names it. A file of `brokerPath` is looked at on each request and loaded
again when it has changed; a file that does not load leaves the classes it had. The first directory that has a name wins, and
any of them wins over a built-in.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType

from brokers import registry
from brokers.base import BaseBroker
from brokers.errors import BrokerError, BrokerLoadError, UnknownBrokerError

ENTRY_POINTS = "oberon.brokers"
_SERVICES = "brokers.services"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

BrokerClass = type[BaseBroker]
_Stamp = tuple[int, int, int]
_NEVER: _Stamp = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Found:
    """One broker there is, or one file that is none."""

    name: str
    version: str
    place: str
    """The file, or the package's entry point."""
    problem: str = ""
    """Why the file as it is now cannot be used; '' if it can."""


@dataclass(slots=True)
class _File:
    stamp: _Stamp
    classes: dict[str, BrokerClass] = field(default_factory=dict)
    problem: BrokerLoadError | None = None


_lock = threading.RLock()
_files: dict[str, _File] = {}


def broker_class(name: str, broker_path: Sequence[str] = ()) -> BrokerClass:
    """The class of the broker `name`. Raises UnknownBrokerError, or BrokerLoadError if its file cannot be used."""
    with _lock:
        problems = []
        for file in _broker_files(broker_path):
            if name in file.classes:
                return file.classes[name]
            if file.problem is not None:
                problems.append(file.problem)
        found = _builtin(name) or _entry_point(name)
        if found is not None:
            return found
        for problem in problems:
            if Path(problem.place).stem.lower() in (name, name + "broker"):
                raise problem
    known = sorted({found.name for found in available(broker_path) if found.name})
    raise UnknownBrokerError(f"there is no broker {name!r}", remedy=f"there are: {', '.join(known)}")


def available(broker_path: Sequence[str] = ()) -> list[Found]:
    """What a service could name, sorted by name; files that do not load too, with `problem`."""
    with _lock:
        found: dict[str, Found] = {}
        broken: list[Found] = []
        for path, file in _scan(broker_path):
            if file.problem is not None:
                broken.append(Found("", "", path, file.problem.reason))
            for name, broker in file.classes.items():
                found.setdefault(name, Found(name, broker.version, path))
        for name in _builtin_names():
            if name not in found:
                found[name] = _look_at(name, f"{_SERVICES}.{name}")
        for point in metadata.entry_points(group=ENTRY_POINTS):
            if point.name not in found:
                found[point.name] = _look_at(point.name, f"entry point {point.value}")
    return [found[name] for name in sorted(found)] + broken


def _look_at(name: str, place: str) -> Found:
    try:
        broker = _builtin(name) or _entry_point(name)
    except BrokerError as error:
        return Found(name, "", place, str(error))
    return Found(name, broker.version if broker else "", place)


def look_again() -> None:
    """Load every file anew when it is next asked for, also one that has not changed: what it imports may have."""
    importlib.invalidate_caches()
    with _lock:
        for file in _files.values():
            file.stamp = _NEVER


# ------------------------------------------------------------------------------------------------------------- built in


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


# --------------------------------------------------------------------------------------------------------- files of admins


def _broker_files(broker_path: Sequence[str]) -> Iterator[_File]:
    for _, file in _scan(broker_path):
        yield file


def _scan(broker_path: Sequence[str]) -> Iterator[tuple[str, _File]]:
    """Each file of the directories as it is now, loading what is new or has changed."""
    for directory in broker_path:
        try:
            _refuse_writable(directory, Path(directory).stat())
            paths = sorted(
                path for path in Path(directory).iterdir() if path.suffix == ".py" and not path.name.startswith((".", "_"))
            )
        except OSError as error:
            yield directory, _File(_NEVER, problem=BrokerLoadError(directory, f"cannot be read: {error.strerror}"))
            continue
        except BrokerLoadError as error:
            yield directory, _File(_NEVER, problem=error)
            continue
        for path in paths:
            yield str(path), _current(str(path))


def _current(path: str) -> _File:
    held = _files.get(path)
    try:
        with Path(path).open("rb") as opened:
            status = os.fstat(opened.fileno())
            # ctime, since it changes with the mode too; a file may be made safe, or unsafe, without being written.
            stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            if held is not None and held.stamp == stamp:
                return held
            _refuse_writable(path, status)
            classes = _execute(path, opened.read())
        _files[path] = _File(stamp, classes)
        if held is not None:
            _forget(held, classes)
    except BrokerLoadError as error:
        _files[path] = _File(stamp, held.classes if held else {}, error)
    except OSError as error:
        _files[path] = _File(_NEVER, held.classes if held else {}, BrokerLoadError(path, f"cannot be read: {error.strerror}"))
    return _files[path]


def _execute(path: str, source: bytes) -> dict[str, BrokerClass]:
    module = ModuleType(f"oberon_brokers_file_{Path(path).stem}_{abs(hash((path, source))):x}")
    module.__file__ = path
    # `inspect.getfile` finds a class's file through sys.modules.
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - an admin's file, checked by _refuse_writable
    except BrokerLoadError:
        raise
    except BaseException as error:
        raise BrokerLoadError(path, f"{type(error).__name__}: {error}") from error
    classes = _classes_of(module)
    if not classes:
        raise BrokerLoadError(path, "has no subclass of BaseBroker")
    return classes


def _forget(held: _File, classes: dict[str, BrokerClass]) -> None:
    """Let go of what a file's earlier version left behind; attempts that run keep their class."""
    kept = {broker.__module__ for broker in classes.values()}  # the same one, where only the file's mode has changed
    for name, broker in held.classes.items():
        if broker.__module__ not in kept:
            sys.modules.pop(broker.__module__, None)
        if classes.get(name) is not broker and (name not in classes or classes[name].version != broker.version):
            registry.forget(name, broker.version)


def _classes_of(module: ModuleType) -> dict[str, BrokerClass]:
    return {
        value.name: value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, BaseBroker)
        and value.__module__ == module.__name__
        and not value.abstract
    }


def _refuse_writable(path: str, status: os.stat_result) -> None:
    """What runs with the worker's rights must not be writable by more users than the worker's own."""
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise BrokerLoadError(path, f"may be written by group or others; run: chmod go-w {path}")
