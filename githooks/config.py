"""git's configuration as settings: what `githooks.asking` found.

    [oberon]                                    oberon.mode
        mode = detached
    [service "ci"]                              service.ci.url
        url = https://ci.example.org/hook

For commands, the worker and inline deliveries; a detached hook makes do with what it asked.
"""

from __future__ import annotations

import os

from githooks.asking import ConfigUnreadable, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from brokers.config import Configuration, Entry
    from brokers.errors import ConfigError


def load(path: str | None, environ: Mapping[str, str] | None = None, *, trusted_only: bool = False) -> Configuration:
    """The configuration for the repository whose git directory is `path` (None: what holds for every repository).

    Raises ConfigError if it cannot be read at all, or, with `trusted_only`, if the repository has settings of its own and
    git does not trust its owner; what is wrong in it stands in the result.
    """
    import dataclasses
    import shlex

    from brokers.config import Configuration
    from brokers.errors import ConfigError

    if path is not None and not os.path.isdir(path):
        raise ConfigError("there is no such repository", origin=path)
    environ = os.environ if environ is None else environ
    try:
        found = values(path, environ)
        trusted = found if path is None or not trusted_only else values(path, environ, trusted_only=True)
    except (ConfigUnreadable, OSError) as error:
        raise ConfigError(str(error), remedy="see that `git config --list` works there") from error
    if trusted != found:
        raise ConfigError(
            "git does not trust the owner of this repository, so its settings do not hold",
            origin=path or "",
            remedy=f"git config --system --add safe.directory {shlex.quote(path or '')}",
        )
    configuration = Configuration.parse(entries(found))
    return dataclasses.replace(configuration, problems=configuration.problems + tuple(_nameless(found)))


def entries(found: Iterable[tuple[str, str, str | None]]) -> list[Entry]:
    """Each setting of what `values` found, in the same order."""
    from brokers.config import Entry
    from payload.text import repair

    told = []
    for origin, written, value in found:
        key = repair(written)  # a service's name may hold any bytes
        section, _, rest = key.partition(".")
        service, dot, variable = rest.rpartition(".")
        if section == "oberon" and not dot:
            told.append(Entry(None, variable, value, origin))
        elif section == "service" and service:
            told.append(Entry(service, variable, value, origin))
    return told


def _nameless(found: Iterable[tuple[str, str, str | None]]) -> Iterator[ConfigError]:
    """One problem for each setting of a `[service]` that has no name."""
    from brokers.errors import ConfigError

    for origin, key, value in found:
        section, _, rest = key.partition(".")
        service, _, variable = rest.rpartition(".")
        if section == "service" and not service:
            # Another setting's value may be a secret.
            shown = value if variable == "broker" and value else "VALUE"
            remedy = f"name the service, as `git config service.NAME.{variable} {shown}`"
            yield ConfigError("this names no service", setting=key, origin=origin, remedy=remedy)
