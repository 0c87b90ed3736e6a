"""Which brokers there are: name -> version -> class. Filled by the metaclass, asked by the delivery."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from brokers.errors import BrokerLoadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from brokers.base import BaseBroker

_lock = threading.Lock()
_versions: dict[str, dict[str, type[BaseBroker]]] = {}
_here = threading.local()


@dataclass(slots=True)
class Collected:
    """The broker classes of one module that is being run."""

    module: str
    version: str
    """Of those that set none."""
    classes: list[type[BaseBroker]] = field(default_factory=list)
    """In the order in which they were made."""


@contextmanager
def collecting(module: str, version: str) -> Iterator[Collected]:
    """Within it, this thread's new classes of `module` are not registered but collected: it may fail before it ends."""
    before = getattr(_here, "collected", None)
    _here.collected = Collected(module, version)
    try:
        yield _here.collected
    finally:
        _here.collected = before


def collected(module: str) -> Collected | None:
    """Where this thread's new classes of `module` go; None: they are registered."""
    found: Collected | None = getattr(_here, "collected", None)
    return found if found is not None and found.module == module else None


def register(name: str, version: str, broker: type[BaseBroker]) -> None:
    """Enter `broker` under its name; it becomes the newest. The same version again replaces the class."""
    with _lock:
        versions = _versions.setdefault(name, {})
        versions.pop(version, None)
        versions[version] = broker


def newest(name: str) -> type[BaseBroker] | None:
    """The class last registered under `name`; None if there is none."""
    with _lock:
        versions = _versions.get(name)
        return next(reversed(versions.values())) if versions else None


def versions(name: str) -> Mapping[str, type[BaseBroker]]:
    """version -> class, oldest registration first; {} if there is no such broker."""
    with _lock:
        return dict(_versions.get(name, {}))


def names() -> list[str]:
    """The names registered so far, sorted."""
    with _lock:
        return sorted(_versions)


def forget(name: str, version: str, broker: type[BaseBroker] | None = None) -> None:
    """Take one version out: its file was changed or removed. With `broker`, only if that is its class."""
    with _lock:
        held = _versions.get(name, {})
        if version in held and broker in (None, held[version]):
            del held[version]
            if not held:
                del _versions[name]


def check(name: object, qualified_name: str) -> None:
    """Refuse, before it is registered, a class that could not be named in a configuration. Raises BrokerLoadError."""
    plain = name.replace("_", "").replace("-", "") if isinstance(name, str) else ""
    if not (plain.isascii() and plain.isalnum() and plain == plain.lower()):
        raise BrokerLoadError(qualified_name, f"{name!r} cannot be a broker's name: use a-z, 0-9, - and _")
