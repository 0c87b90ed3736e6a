"""What `BaseBroker.get_local` keeps: for each thread its own instances, by broker class and name, until the thread or the class ends.

An instance that has a method `close` is closed then, once: by its own thread as that ends, or, when its class is no longer in
service and no delivery runs with it, by a thread that does nothing else. What `close` raises is logged and goes no further.
"""

from __future__ import annotations

import logging
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("oberon.brokers")


class _Held:
    """What one thread holds: broker class -> name -> instance."""

    def __init__(self) -> None:
        self.instances: dict[type, dict[str, Any]] = {}

    def close(self) -> None:
        """All that there is."""
        for broker in list(self.instances):
            _close(broker, self.instances.pop(broker, {}))

    def __del__(self) -> None:
        self.close()  # the thread has ended: nothing else refers to its part of `_local`


class _Local(threading.local):
    def __init__(self) -> None:  # in each thread that asks
        self.held = _Held()
        with _lock:
            _all_held.add(self.held)


_lock = threading.Lock()
_all_held: weakref.WeakSet[_Held] = weakref.WeakSet()
_local = _Local()


def get(broker: type, name: str, factory: Callable[[], T]) -> T:
    """This thread's instance for `broker` and `name`; made by `factory()`, whose errors go through, where there is none yet."""
    instances = _local.held.instances
    held = instances.get(broker)
    if held is None:
        held = instances[broker] = {}
    if name not in held:
        held[name] = factory()
    instance: T = held[name]
    return instance


def end_thread() -> None:
    """Close what this thread holds, as its last act: later, as it vanishes, `threading` no longer knows it by its name."""
    _local.held.close()


def end(broker: type) -> None:
    """Let go of what all threads hold for a class with which nothing runs any more, and close it soon."""
    with _lock:
        threads = list(_all_held)
    ended = [instances for held in threads if (instances := held.instances.pop(broker, None))]
    if ended:
        threading.Thread(target=_close_all, args=(broker, ended), name="oberon-closing", daemon=True).start()


def _close_all(broker: type, ended: list[dict[str, Any]]) -> None:
    for instances in ended:
        _close(broker, instances)


def _close(broker: type, instances: dict[str, Any]) -> None:
    while instances:
        name, instance = instances.popitem()  # the last that was made first: it may use those before it
        try:
            close = getattr(instance, "close", None)
            if callable(close):
                close()
        except BaseException as error:
            told = traceback.format_exception_only(error)[-1].strip()
            log.warning("closing what the broker %s keeps as %r failed: %s", getattr(broker, "name", ""), name, told)
