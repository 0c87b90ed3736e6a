"""Which versions of the brokers in `brokerPath` are in service, which were before, and how many deliveries run with each.

A version comes into service when its file has loaded, and is replaced when the file has changed or is gone. Deliveries that run
with it then go on; when the last of them has ended, its module, its registration and what its threads kept (`get_local`) are let
go of. Of those that ended, the last one of each broker is remembered, by name, for people who ask.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from dataclasses import dataclass, replace

from brokers import registry, thread_locals
from brokers.base import BaseBroker


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a broker, as people ask about it."""

    name: str
    version: str
    place: str
    """The file it came from."""
    since: float
    """When it was loaded, in Unix seconds."""
    replaced_at: float | None = None
    """When it was taken out of service; None if it is in service."""
    running: int = 0
    """How many deliveries run with it."""


REMEMBERED = 100

_lock = threading.Lock()
_held: dict[type[BaseBroker], Version] = {}
_remembered: dict[str, Version] = {}
"""Name -> the version that ended last; those of the last REMEMBERED names."""
_ended: weakref.WeakSet[type[BaseBroker]] = weakref.WeakSet()
_change = 0


def enter(broker: type[BaseBroker], place: str) -> None:
    """From now on deliveries may begin with `broker`, from the file `place`."""
    registry.register(broker.name, broker.version, broker)
    with _lock:
        _held[broker] = Version(broker.name, broker.version, place, time.time())
        note_change()


def replaced(broker: type[BaseBroker]) -> None:
    """From now on no delivery begins with it."""
    with _lock:
        _held[broker] = replace(_held[broker], replaced_at=time.time())
        note_change()
        is_over = _held[broker].running == 0
    if is_over:
        _end(broker)


def begin(broker: type[BaseBroker]) -> bool:
    """A delivery begins with it, and calls `finish` in the end; False: not any more, it has been replaced."""
    with _lock:
        version = _held.get(broker)
        if version is None:
            return broker not in _ended  # others are not of a file
        if version.replaced_at is not None:
            return False
        _held[broker] = replace(version, running=version.running + 1)
        return True


def finish(broker: type[BaseBroker]) -> None:
    """A delivery has ended that had begun with it."""
    with _lock:
        version = _held.get(broker)
        if version is None:
            return
        _held[broker] = replace(version, running=version.running - 1)
        if version.replaced_at is None:
            return
        note_change()
        is_over = version.running == 1
    if is_over:
        _end(broker)


def known() -> list[Version]:
    """By name: what is in service, what still runs, and what ended last; the newest of a name first."""
    with _lock:
        found = [*_held.values(), *_remembered.values()]
    return sorted(found, key=lambda version: (version.name, -version.since))


def change() -> int:
    """A number that is another one when there is something else to tell than before, but for how many run with what is in service."""
    return _change


def note_change() -> None:
    """Also for what files have wrong with them."""
    global _change  # noqa: PLW0603 - one number for this process
    _change += 1


def forget_module(name: str) -> None:
    """Let go of a broker file's module, unless one of its classes is still in service or running."""
    with _lock:
        if all(broker.__module__ != name for broker in _held):
            sys.modules.pop(name, None)


def _end(broker: type[BaseBroker]) -> None:
    """Nothing runs with it any more. Once for each class: only what was replaced comes here, when its count is zero."""
    registry.forget(broker.name, broker.version, broker)
    with _lock:
        version = _held.pop(broker)
        _ended.add(broker)
        _remembered.pop(version.name, None)
        _remembered[version.name] = version
        while len(_remembered) > REMEMBERED:
            del _remembered[next(iter(_remembered))]
    forget_module(broker.__module__)
    thread_locals.end(broker)
