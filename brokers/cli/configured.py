"""A repository's configuration as people ask about it: what is in force, where it stands, what is wrong; no secret shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from brokers import loader
from brokers.base import Field
from brokers.config import OBERON_OPTIONS, SERVICE_OPTIONS, Configuration, Entry, Option, ServiceSettings, author_logins
from brokers.delivery.attempt import MASK
from brokers.errors import BrokerError, BrokerLoadError, ConfigError, UnknownBrokerError
from brokers.fields import by_key
from brokers.secrets import is_reference
from brokers.values import ADDRESSES, convert

# Of brokers that declare no fields (those of 2008), the name is all there is to go by.
_SECRET_NAME = re.compile(r"pass(word|wd|phrase)?$|secret|token|api_?key|auth|credential|private|^key$", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^/?#@:]*):[^/?#@]*@")


@dataclass(frozen=True, slots=True)
class Value:
    """A setting in force."""

    name: str
    value: str
    """As written, or as one would write the default; secrets masked."""
    origin: str
    """The file it stands in; '' for a default."""


Written = Mapping[tuple[str | None, str], str]
"""(Service's name or None for `[oberon]`, key in lower case) -> what the file that holds says."""


def as_written(entries: Iterable[Entry]) -> Written:
    """`entries` in the order in which they override one another; a key that stands alone is `true`."""
    return {(entry.service, entry.key.lower()): "true" if entry.value is None else entry.value for entry in entries}


def setting_values(configuration: Configuration, written: Written) -> list[Value]:
    """Of `[oberon]`: each option, those not set with their default."""
    return [_option_value(option, written.get((None, option.name.lower())), configuration.origins) for option in OBERON_OPTIONS]


def service_values(service: ServiceSettings, configuration: Configuration, written: Written) -> list[Value]:
    """Of one service: the broker first, its fields as written, then the options of every service; defaults too."""
    fields = _fields(service, configuration)
    common = [
        _option_value(option, written.get((service.service, option.name.lower())), service.origins) for option in SERVICE_OPTIONS
    ]
    own = [
        Value(entry.key, masked(key, entry.value or "", fields.get(key), declared=bool(fields)), entry.origin)
        for key, entry in service.fields.items()
    ]
    own += [
        Value(row.name, _written(row.default), "")
        for key, row in fields.items()
        if row.default is not None and key == row.key and not service.fields.keys() & by_key([row])
    ]
    return [*common[:1], *own, *common[1:]]


def masked(key: str, raw: str, row: Field | None, *, declared: bool) -> str:
    """`raw` as it may be shown: `****` for a secret, unless it is a reference to one; a password in an address too.

    Where an address is wrong, nobody knows where its password stands, so all of it is masked.

    `row` is the broker's field, None if it has none of that name; `declared`: it has fields at all.
    """
    is_secret = row.secret if row else (not declared and bool(_SECRET_NAME.search(key)))
    if is_secret and raw and not is_reference(raw):
        return MASK
    return _without_login(raw, row.type if row else "string")


def _without_login(raw: str, type_name: str) -> str:
    if type_name in ADDRESSES and raw and not is_reference(raw):
        try:
            convert(raw, type_name)
        except ValueError:
            return MASK
    return _USERINFO.sub(rf"\1:{MASK}@", raw)


def masked_fields(service: ServiceSettings, configuration: Configuration) -> dict[str, Any]:
    """`payload['service']` as it may be shown: converted values, secrets masked, references left as they stand."""
    fields = _fields(service, configuration)
    values, _ = loader.broker_class(service.broker, configuration.settings.broker_path).settings_of(service)
    return {key: _masked_value(key, value, fields) for key, value in values.items()}


def _masked_value(key: str, value: Any, fields: Mapping[str, Field]) -> Any:
    row = fields.get(key)
    if isinstance(value, str):
        return masked(key, value, row, declared=bool(fields))
    return MASK if row is not None and row.secret else value


def problems_of(service: ServiceSettings, configuration: Configuration) -> list[ConfigError]:
    """All that is wrong with one service: its options, its broker's name or file, its broker's fields."""
    found = list(service.problems)
    if not service.broker:
        return found
    try:
        broker = loader.broker_class(service.broker, configuration.settings.broker_path)
    except UnknownBrokerError as error:
        return [*found, _about_broker(service, error.problem, error.remedy)]
    except BrokerLoadError as error:
        return [*found, _about_broker(service, f"its file does not load: {error}", "mend the file; `oberon brokers` tells more")]
    return found + broker.settings_of(service)[1]


def problems_of_settings(configuration: Configuration) -> list[ConfigError]:
    """All that is wrong with `[oberon]`: its options, and the files that they name."""
    found = list(configuration.problems)
    try:
        author_logins(configuration.settings.author_map)
    except ConfigError as error:
        found.append(_with_origin(configuration, error.problem, error.setting, error.remedy))
    if configuration.settings.broker_path:
        for broker in loader.available(configuration.settings.broker_path):
            if broker.problem:
                remedy = "mend the file; `oberon brokers --path DIR` tries it again"
                found.append(_with_origin(configuration, f"{broker.place}: {broker.problem}", "oberon.brokerPath", remedy))
    return found


def _with_origin(configuration: Configuration, problem: str, setting: str, remedy: str) -> ConfigError:
    origin = configuration.origins.get(setting.removeprefix("oberon.").lower(), "")
    return ConfigError(problem, setting=setting, origin=origin, remedy=remedy)


def problem_record(problem: ConfigError) -> dict[str, str]:
    """For --json."""
    return {"setting": problem.setting, "origin": problem.origin, "problem": problem.problem, "remedy": problem.remedy}


def _about_broker(service: ServiceSettings, problem: str, remedy: str) -> ConfigError:
    setting = f"{service.section}.{service.service}.broker"
    return ConfigError(problem, setting=setting, origin=service.origins.get("broker", ""), remedy=remedy)


def _fields(service: ServiceSettings, configuration: Configuration) -> dict[str, Field]:
    try:
        return by_key(loader.broker_class(service.broker, configuration.settings.broker_path).fields)
    except BrokerError:
        return {}


def _option_value(option: Option, raw: str | None, origins: Mapping[str, str]) -> Value:
    if raw is None:
        return Value(option.name, option.default_text, "")
    return Value(option.name, _without_login(raw, option.type), origins.get(option.name.lower(), ""))


def _written(value: Any) -> str:
    """A broker's default as one would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}s"
    if isinstance(value, (tuple, list)):
        return " ".join(_written(item) for item in value)
    return "" if value is None else str(value)
