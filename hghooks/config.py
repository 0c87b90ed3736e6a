"""The settings as Mercurial has them: `[oberon]` and `[services]` of hgrc -> `brokers.config.Configuration`.

Mercurial's own rules hold: files in its order, `%include` and `%unset`, and no value from an hgrc whose owner it does not
trust (`hg help config.trusted`). Such values are reported as problems, for hg itself is silent about them in a server.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from typing import Any

from brokers.config import Configuration, Entry
from brokers.errors import ConfigError, ReadingError, RepositoryGone
from payload import text

OBERON = b"oberon"
SERVICES = b"services"


def load(path: str) -> Configuration:
    """The configuration of the repository whose root is `path`. Raises ConfigError if there is none to be opened."""
    from hghooks import repository

    try:
        repo = repository.open_at(path)
    except RepositoryGone as error:
        raise ConfigError(error.reason, origin=error.place, remedy="name the folder that holds .hg") from error
    except ReadingError as error:
        raise ConfigError(error.reason, origin=error.place, remedy=f"see that `hg -R {shlex.quote(path)} root` works") from error
    return effective(repo.ui)


def effective(ui: Any) -> Configuration:
    """The configuration that `ui`, a repository's, holds."""
    configuration = Configuration.parse(entries(ui))
    problems = tuple(_nameless(ui)) + tuple(_untrusted(ui))
    return dataclasses.replace(configuration, problems=configuration.problems + problems)


def entries(ui: Any) -> list[Entry]:
    """Each setting, in the order in which they override one another. `ci.url` is the key `url` of the service `ci`."""
    found = [
        Entry(service=None, key=text.decode(key), value=text.decode(value), origin=_origin(ui, OBERON, key))
        for key, value in ui.configitems(OBERON)
    ]
    for item, value in ui.configitems(SERVICES):
        service, dot, key = text.decode(item).rpartition(".")
        if dot and service and key:
            origin = _origin(ui, SERVICES, item)
            found.append(Entry(service=service, key=key, value=text.decode(value), origin=origin, section="services"))
    return found


def _nameless(ui: Any) -> Iterator[ConfigError]:
    for item, _ in ui.configitems(SERVICES):
        service, dot, key = text.decode(item).rpartition(".")
        if not (dot and service and key):
            name = text.decode(item).strip(".") or "NAME"
            yield ConfigError(
                "this names no service, or no setting of one",
                setting=f"services.{text.decode(item)}",
                origin=_origin(ui, SERVICES, item),
                remedy=f"write the service, a dot and the setting, as `{name}.broker = post`",
            )


def _untrusted(ui: Any) -> Iterator[ConfigError]:
    """One problem for each file that has settings of ours and is not trusted."""
    files: dict[str, str] = {}
    for section in (OBERON, SERVICES):
        trusted = dict(ui.configitems(section))
        for item, value in ui.configitems(section, untrusted=True):
            if trusted.get(item) != value:
                origin = _origin(ui, section, item, untrusted=True)
                files.setdefault(origin.rpartition(":")[0] or origin, text.decode(section + b"." + item))
    for file, setting in files.items():
        yield ConfigError(
            "Mercurial does not trust the owner of this file, so its settings do not hold",
            setting=setting,
            origin=file,
            remedy="name the owner in the hgrc of the server's user or of the system, as `[trusted] users = OWNER`",
        )


def _origin(ui: Any, section: bytes, item: bytes, *, untrusted: bool = False) -> str:
    return text.decode(ui.configsource(section, item, untrusted=untrusted))
