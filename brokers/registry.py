"""Which brokers there are: name -> version -> class. Filled by the metaclass, asked by the delivery."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from brokers.errors import BrokerLoadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from brokers.base import BaseBroker

_lock = threading.Lock()
_versions: dict[str, dict[str, type[BaseBroker]]] = {}


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


def forget(name: str, version: str) -> None:
    """Take one version out: its file was removed, or did not load to the end."""
    with _lock:
        if version in _versions.get(name, {}):
            del _versions[name][version]
            if not _versions[name]:
                del _versions[name]


def check(name: object, qualified_name: str) -> None:
    """Refuse, before it is registered, a class that could not be named in a configuration. Raises BrokerLoadError."""
    plain = name.replace("_", "").replace("-", "") if isinstance(name, str) else ""
    if not (plain.isascii() and plain.isalnum() and plain == plain.lower()):
        raise BrokerLoadError(qualified_name, f"{name!r} cannot be a broker's name: use a-z, 0-9, - and _")
