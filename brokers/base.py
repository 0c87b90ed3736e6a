"""BaseBroker, what every broker is a subclass of, and Field, how it declares its settings."""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from brokers import registry
from brokers.config import SERVICE_OPTIONS, Entry, ServiceSettings, unknown_key
from brokers.errors import BrokerLoadError, ConfigError
from brokers.secrets import SECRET_WORDS, SHORTEST_MASKED, Resolver, is_reference, login_of
from brokers.values import TYPES, convert

T = TypeVar("T")

NEEDS = frozenset({"diff"})
"""What a broker may ask the reader for."""

_OWN_VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Field:
    """One setting that a broker understands.

    `payload['service']` has it under its name in lower case, converted to `type`. Types (`brokers.config` holds the
    table): string, boolean, integer, count (from 1 upward), duration (seconds, as a number), bytes, list, url, choice.
    """

    name: str
    required: bool = False
    default: Any = None
    """The value, already of the type, when it is not configured."""
    type: str = "string"
    secret: bool = False
    """Masked wherever it could be shown or kept."""
    choices: tuple[str, ...] = ()
    """For `type='choice'`."""
    help: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a field has no name")
        if self.type not in TYPES:
            raise ValueError(f"the field {self.name} has no type {self.type!r}; there are: {', '.join(TYPES)}")
        if self.type == "choice" and not self.choices:
            raise ValueError(f"the field {self.name} has no choices")

    @property
    def key(self) -> str:
        """The name in the payload and, in any case, in the configuration."""
        return self.name.lower()


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
        cls.name = broker_name
        cls.version = str(namespace.get("version") or _version_of(cls))
        registry.register(cls.name, cls.version, cls)  # type: ignore[arg-type]  # likewise


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
    abstract: ClassVar[bool] = False
    """Set in a base class of several brokers, which is none itself."""

    def handle(self, payload: dict[str, Any]) -> str | None:
        """Deliver `payload`, this broker's own copy."""
        raise NotImplementedError

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """Where deliveries with `settings` go, for the limit per host; '' when there is nothing to share out."""
        return str(settings.get("host") or "")

    @classmethod
    def settings_of(cls, service: ServiceSettings, resolve: Resolver | None = None) -> tuple[dict[str, Any], list[ConfigError]]:
        """What `payload['service']` will hold for `service`, and what is wrong with it.

        `resolve` follows references to secrets (`brokers.config.resolver`); without it they are left as they stand,
        and not checked, so that a diagnosis never reads one.
        """
        values: dict[str, Any] = {row.key: row.default for row in cls.fields if row.default is not None}
        rows = {row.key: row for row in cls.fields}
        problems: list[ConfigError] = []
        for key, entry in service.fields.items():
            if rows and key not in rows:
                problems.append(unknown_key(entry, [*sorted(row.name for row in cls.fields), *_EVERY_SERVICES]))
                continue
            try:
                values[key] = _value_of(entry, rows.get(key), resolve)
            except ValueError as error:
                row = rows.get(key)
                shown = repr(entry.value) if row is not None and not row.secret and row.type != "url" else "the value"
                problems.append(
                    ConfigError(f"{shown} is not right", setting=entry.setting, origin=entry.origin, remedy=str(error))
                )
        problems += [
            ConfigError(
                f"the broker {cls.name} needs it",
                setting=f"{service.section}.{service.service}.{row.name}",
                origin=service.origins.get("broker", ""),
                remedy=f"set it: {row.help}" if row.help else "set it",
            )
            for row in cls.fields
            if row.required and row.key not in service.fields
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
            if not isinstance(value, str):
                continue
            entry = service.fields.get(key)
            sounds_so = not rows and any(word in key for word in SECRET_WORDS)
            if (key in rows and rows[key].secret) or sounds_so or (entry is not None and is_reference(entry.value)):
                found.append(value)
            found += login_of(value)
        return [secret for secret in found if len(secret) >= SHORTEST_MASKED]

    def get_local(self, name: str, factory: Callable[[], T]) -> T:
        """This thread's own instance of `factory()`, made once per thread and broker version.

        So what a session learns - cookies, authentication, caches - never reaches another thread.
        """
        held: dict[tuple[str, str, str], Any] = _local.__dict__.setdefault("held", {})
        key = (type(self).name, type(self).version, name)
        if key not in held:
            held[key] = factory()
        instance: T = held[key]
        return instance


_local = threading.local()

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
        if row.key in seen:
            return f"has two fields named {row.key}"
        if row.key in {name.lower() for name in _EVERY_SERVICES}:
            return f"the field {row.name} would never arrive: every service has a setting of that name"
        seen.add(row.key)
    return None


def _takes(function: Callable[..., object], *arguments: object) -> bool:
    try:
        inspect.signature(function, follow_wrapped=False).bind(*arguments)
    except TypeError:
        return False
    return True


def _value_of(entry: Entry, row: Field | None, resolve: Resolver | None) -> Any:
    raw = "true" if entry.value is None else entry.value
    if is_reference(raw):
        if resolve is None:
            return raw
        raw = resolve(raw)
    value = raw if row is None else convert(raw, row.type, row.choices)
    return list(value) if isinstance(value, tuple) else value  # the payload holds what JSON has


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
    return hashlib.sha256(source).hexdigest()[:_OWN_VERSION_DIGITS]
