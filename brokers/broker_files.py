"""A broker's file: whether it may be run, and the classes that come of running it.

What runs has the worker's rights and secrets, so it must not be written by more users than the worker's own: neither the file,
nor the directory, nor what a link in it leads through. A file is read once, and run from what was read.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import stat
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from brokers import printed, registry
from brokers.base import BaseBroker, version_of
from brokers.errors import BrokerLoadError
from payload.text import visible

log = logging.getLogger("oberon.brokers")
log.addHandler(logging.NullHandler())  # in a hook's process there is no other, and the pusher is told nothing of it

LOAD_S = 10.0
"""How long a file may run until its classes are there."""

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_CLASS = re.compile(rb"^[ \t]*class[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_numbers = itertools.count(1)

BrokerClass = type[BaseBroker]


class Stamp(NamedTuple):
    """What tells, without reading it, that a file has been changed since."""

    modified_ns: int
    changed_ns: int
    """Of the inode: also by its mode, and by who sets the time of modification back."""
    bytes: int
    inode: int
    device: int


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file that has this status."""
    return Stamp(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)


def refuse_writable(path: str, status: os.stat_result) -> None:
    """Raises BrokerLoadError if group or others may write it."""
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise BrokerLoadError(path, f"may be written by group or others; run: chmod go-w {path}")


def read(path: str, directory: str) -> tuple[Stamp, bytes]:
    """The source of the file at `path`, which lies in `directory`, and its stamp. Raises BrokerLoadError if it may not be run, OSError."""
    real = path
    if os.path.islink(path):  # noqa: PTH114 - twenty files a second
        real = os.path.realpath(path)
        _refuse_outside(path, real, os.path.realpath(directory))
    if not stat.S_ISREG(os.stat(real).st_mode):  # noqa: PTH116 - likewise; opening a pipe would wait for its writer
        raise BrokerLoadError(path, "is no regular file")
    descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        refuse_writable(path, status)
        return stamp_of(status), opened.read()


def _refuse_outside(path: str, real: str, directory: str) -> None:
    """A link may lead to another file of the directory, through directories that only their owner may write."""
    folder = Path(real).parent
    if not folder.is_relative_to(directory):
        remedy = "copy the file there, or name its directory in oberon.brokerPath"
        raise BrokerLoadError(path, f"is a link to {real}, which is outside of the directory; {remedy}")
    while str(folder) != directory:
        refuse_writable(str(folder), folder.stat())
        folder = folder.parent


# ---------------------------------------------------------------------------------------------------------------- running it


def execute(path: str, source: bytes) -> dict[str, BrokerClass]:
    """Broker's name -> class, of the file `path` that holds `source`; run in a module of its own, in this thread.

    Nothing is registered, and after an error no module is left. Raises BrokerLoadError for all that goes wrong.
    """
    from brokers import compat

    module = ModuleType(f"oberon_broker_file_{next(_numbers)}_{Path(path).stem}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # where `inspect`, `dataclasses` and `pickle` look for a class's module
    try:
        with registry.collecting(module.__name__, version_of(source)) as collected:
            _run(module, source, path, compat)
        return _by_name(path, collected.classes)
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise


def _run(module: ModuleType, source: bytes, path: str, compat: ModuleType) -> None:
    try:
        exec(compat.prepare(module, source, path), module.__dict__)  # noqa: S102 - an admin's file, or the caller's own
    except BrokerLoadError:
        raise
    except BaseException as error:  # SystemExit too
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        place = f"line {lines[-1]}: " if lines else ""
        raise BrokerLoadError(path, place + traceback.format_exception_only(error)[-1].strip()) from error


def _by_name(path: str, classes: list[BrokerClass]) -> dict[str, BrokerClass]:
    found: dict[str, BrokerClass] = {}
    for broker in classes:
        earlier = found.get(broker.name)
        # A decorator may make a class anew: the last one of the same class statement is meant.
        if earlier is not None and earlier.__qualname__ != broker.__qualname__:
            several = f"{earlier.__qualname__} and {broker.__qualname__}"
            raise BrokerLoadError(path, f"has two brokers named {broker.name}: {several}; set `name` in one of them")
        found[broker.name] = broker
    if not found:
        raise BrokerLoadError(path, "has no subclass of BaseBroker")
    return found


def execute_in_time(path: str, source: bytes) -> dict[str, BrokerClass]:
    """As `execute`, in a thread of its own, which is left behind after LOAD_S; what the file prints is logged."""
    ended: list[dict[str, BrokerClass] | BrokerLoadError] = []
    over, given_up = threading.Event(), threading.Event()

    def load() -> None:
        with printed.keeping() as said:
            try:
                ended.append(execute(path, source))
            except BrokerLoadError as error:
                ended.append(error)
            finally:
                over.set()
        if words := "".join(said).strip():
            log.info("%s printed while it was loaded: %s", path, visible(words))
        if given_up.is_set() and isinstance(ended[0], dict):
            for broker in ended[0].values():
                sys.modules.pop(broker.__module__, None)

    threading.Thread(target=load, name="oberon-loading", daemon=True).start()
    if not over.wait(LOAD_S):
        given_up.set()
        raise BrokerLoadError(path, f"takes longer than {LOAD_S:g} s to load: its work belongs into `handle`")
    if isinstance(ended[0], BrokerLoadError):
        raise ended[0]
    return ended[0]


def might_have(path: str, source: bytes) -> frozenset[str]:
    """Names of brokers that a file which does not load would have, as far as its name and its class statements tell."""
    words = [Path(path).stem, *(found.decode("ascii", "ignore") for found in _CLASS.findall(source))]
    return frozenset(name for word in map(str.lower, words) for name in (word, word.removesuffix("broker")) if name)
