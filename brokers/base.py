"""BaseBroker, what every broker is a subclass of, and the metaclass that registers it."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from brokers import registry, thread_locals
from brokers.config import SERVICE_OPTIONS, Entry, ServiceSettings, unknown_key
from brokers.errors import BrokerLoadError, ConfigError
from brokers.fields import Field, by_key
from brokers.secrets import SECRET_WORDS, SHORTEST_MASKED, Resolver, is_reference, login_of
from brokers.values import ADDRESSES

__all__ = ["NEEDS", "BaseBroker", "BrokerType", "Field"]

T = TypeVar("T")

NEEDS = frozenset({"diff"})
"""What a broker may ask the reader for."""

_VERSION_DIGITS = 12


class BrokerType(type):
    """Registers each broker class under its name and version, refuses what cannot work, and does nothing else."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        if not bases or namespace.get("abstract", False):
            return
        place = f"{_file_of(cls)}: class {cls.__qualname__}"
        if flaw := _flaw_of(cls):
            raise BrokerLoadError(place, flaw)
        broker_name = namespace.get("name") or name.lower().removesuffix("broker") or name.lower()
        registry.check(broker_name, place)
        collected = registry.collected(cls.__module__)
        cls.name = broker_name
        cls.version = str(namespace.get("version") or (_version_of(cls) if collected is None else collected.version))
        if collected is None:
            registry.register(cls.name, cls.version, cls)  # type: ignore[arg-type]  # what a metaclass makes is a `type` to mypy
        else:
            collected.classes.append(cls)  # type: ignore[arg-type]  # what a metaclass makes is a `type` to mypy


class BaseBroker(metaclass=BrokerType):
    """Carries a payload to one outside service.

    Write one method, `handle(payload)`. Return when it is delivered (a returned string is kept as the note); raise
    `RetryLater`, `PermanentFailure`, or anything else to be tried again on the schedule. Instances are made without
    arguments; `handle` may run in any thread, several at once.
    """

    name: ClassVar[str]
    """What a configuration calls it: the class name in lower case, less a trailing `Broker`, unless set."""
    version: ClassVar[str]
    """Unless set, the hash of the source file."""
    fields: ClassVar[Sequence[Field]] = ()
    """The settings it understands; () takes whatever is configured."""
    needs: ClassVar[frozenset[str] | set[str]] = frozenset()
    """What the reader shall add to the payload: `diff`."""
    requires: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Python modules that do not come with Oberon -> the extra of oberon-brokers that brings each; imported in `handle` only."""
    abstract: ClassVar[bool] = False
    """Set in a base class of several brokers, which is none itself."""

    def handle(self, payload: dict[str, Any]) -> str | None:
        """Deliver `payload`, this broker's own copy."""
        raise NotImplementedError

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """Where deliveries with `settings` go, for the limit per host; '' when there is nothing to share out."""
        return str(settings.get("host") or "")

    @classmethod
    def required_with(cls, settings: Mapping[str, Any]) -> Mapping[str, str]:  # noqa: ARG003 - for those whose settings decide
        """`requires`, of a service with `settings`, as far as they are right."""
        return cls.requires

    @classmethod
    def settings_of(cls, service: ServiceSettings, resolve: Resolver | None = None) -> tuple[dict[str, Any], list[ConfigError]]:
        """What `payload['service']` will hold for `service`, and what is wrong with it.

        `resolve` follows references to secrets (`brokers.config.resolver`); without it they are left as they stand,
        and not checked, so that a diagnosis never reads one.
        """
        values: dict[str, Any] = {row.key: copy(row.default) for row in cls.fields if row.default is not None}
        rows = by_key(cls.fields)
        problems: list[ConfigError] = []
        missing = {row.key: row for row in cls.fields if row.required and row.default is None}
        for written, entry in service.fields.items():
            row = rows.get(written)
            if rows and row is None:
                problems.append(unknown_key(entry, [*sorted(row.name for row in cls.fields), *_EVERY_SERVICES]))
                continue
            key = written if row is None else row.key
            try:
                values[key] = _value_of(entry, row, resolve)
            except ValueError as error:
                shown = repr(entry.value) if row is not None and not row.secret and row.type not in ADDRESSES else "the value"
                problems.append(
                    ConfigError(f"{shown} is not right", setting=entry.setting, origin=entry.origin, remedy=str(error))
                )
            if values.get(key) != "":
                missing.pop(key, None)
        problems += [
            ConfigError(
                f"the broker {cls.name} needs it",
                setting=f"{service.section}.{service.service}.{row.name}",
                origin=service.origins.get("broker", ""),
                remedy=f"set it: {row.help}" if row.help else "set it",
            )
            for row in missing.values()
        ]
        problems += [
            ConfigError(
                f"the broker {cls.name} needs the Python module {module}, which is not installed",
                setting=f"{service.section}.{service.service}.broker",
                origin=service.origins.get("broker", ""),
                remedy=f"install it: {sys.executable} -m pip install 'oberon-brokers[{extra}]'",
            )
            for module, extra in cls.required_with(values).items()
            if not _is_installed(module)
        ]
        return values, problems

    @classmethod
    def secrets_of(cls, service: ServiceSettings, values: Mapping[str, Any]) -> list[str]:
        """What of `values` (`settings_of`'s) must not be kept or shown.

        Secret fields; whatever stood as a reference; of a broker without fields the keys that sound like it; and logins in URLs.
        """
        rows = {row.key: row for row in cls.fields}
        found: list[str] = []
        for key, value in values.items():
            entry = service.fields.get(key) or service.fields.get(key.replace("_", "-"))
            sounds_so = not rows and any(word in key for word in SECRET_WORDS)
            is_secret = (key in rows and rows[key].secret) or sounds_so or (entry is not None and is_reference(entry.value))
            for part in value if isinstance(value, list) else [value]:
                if is_secret and not isinstance(part, bool):
                    is_header = key in rows and rows[key].type == "headers"
                    found.append(str(part).partition(": ")[2] if is_header else str(part))
                found += login_of(str(part))
        return [secret for secret in found if len(secret) >= SHORTEST_MASKED]

    def get_local(self, name: str, factory: Callable[[], T]) -> T:
        """This thread's own instance of `factory()`, made once per thread and broker class, that is name and version.

        So what a session learns - cookies, authentication, caches - never reaches another thread, nor another broker that
        has the same `name` for its own. If the instance has a method `close`, that is called when the thread ends, or when
        another version has taken the broker's place and no delivery runs with this one any more; then in another thread.
        """
        return thread_locals.get(type(self), name, factory)


_EVERY_SERVICES = tuple(option.name for option in SERVICE_OPTIONS)


def _flaw_of(cls: type) -> str | None:
    """Why a class can be no broker; None if it can."""
    handle = inspect.getattr_static(cls, "handle", None)
    if not callable(getattr(cls, "handle", None)) or handle is BaseBroker.handle:
        return "has no method handle(self, payload)"
    if isinstance(handle, staticmethod | classmethod):
        takes = _takes(getattr(cls, "handle"), {})  # noqa: B009 - mypy knows of no handle in `type`
    else:
        takes = not inspect.isfunction(handle) or _takes(handle, None, {})
    if not takes:
        return "handle must take one argument, the payload"
    function = getattr(handle, "__func__", handle)
    # Called, these return at once and have done nothing, which would count as delivered.
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "handle is asynchronous: nobody would wait for it"
    if inspect.isgeneratorfunction(function):
        return "handle yields: nobody would run it"
    init = inspect.getattr_static(cls, "__init__")
    if inspect.isfunction(init) and not _takes(init, None):
        return "is made without arguments, and __init__ needs some"
    needs = getattr(cls, "needs", ())
    if isinstance(needs, str) or not NEEDS.issuperset(needs):
        return f"needs is {needs!r}; write it as a set of these: {', '.join(sorted(NEEDS))}, as needs = {{'diff'}}"
    return _flaw_of_fields(getattr(cls, "fields", ()))


def _flaw_of_fields(fields: Sequence[object]) -> str | None:
    seen: set[str] = set()
    for row in fields:
        if not isinstance(row, Field):
            return f"fields holds {row!r}, which is no Field"
        if not seen.isdisjoint(by_key([row])):
            return f"has two fields named {row.key}"
        if row.key in {name.lower() for name in _EVERY_SERVICES}:
            return f"the field {row.name} would never arrive: every service has a setting of that name"
        seen.update(by_key([row]))
    return None


def _takes(function: Callable[..., object], *arguments: object) -> bool:
    try:
        inspect.signature(function, follow_wrapped=False).bind(*arguments)
    except TypeError:
        return False
    return True


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a package above it is missing, or is half imported
        return module in sys.modules


def _value_of(entry: Entry, row: Field | None, resolve: Resolver | None) -> Any:
    raw = "true" if entry.value is None else entry.value
    is_hidden = is_reference(raw)
    if is_hidden:
        if resolve is None:
            return raw
        raw = resolve(raw)
    if row is None:
        return raw
    try:
        return row.value(raw)
    except ValueError as error:
        if raw and (is_hidden or row.secret):
            raise ValueError(str(error).replace(raw, "****")) from None
        raise


def _file_of(cls: type) -> str:
    try:
        return inspect.getfile(cls)
    except (TypeError, OSError):
        return f"module {cls.__module__}"


def _version_of(cls: type) -> str:
    try:
        source = Path(inspect.getfile(cls)).read_bytes()
    except (TypeError, OSError):
        return "0"
    return version_of(source)


def version_of(source: bytes) -> str:
    """What the broker classes of a file are told apart by that set no `version`."""
    return hashlib.sha256(source).hexdigest()[:_VERSION_DIGITS]
