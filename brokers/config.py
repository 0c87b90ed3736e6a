"""The settings: one table of options that parsing, `--help`, `oberon doctor` and the documentation read.

In: the entries that git or Mercurial found in their own configuration files (`Entry`, in the order in which they
override one another). Out: a `Configuration` with every problem as a `ConfigError` that names setting and file. A wrong
setting never raises here: the default stands in its place, or the one service it belongs to does not run.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from brokers.errors import ConfigError
from brokers.values import convert
from payload.links import WEB_INTERFACES

RETRY_DEFAULT = "5s, 30s, 2m, 10m, 30m, 2h, 5h, 10h, 10h"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a configuration file."""

    service: str | None
    """The service's name, or None for the `[oberon]` section."""
    key: str
    """As written; case does not matter."""
    value: str | None
    """None: the key stands alone, which git takes for true."""
    origin: str
    """The file, with its line where the SCM tells it."""
    section: str = "service"
    """What the SCM calls a service's section: git `service`, hg `services`."""

    @property
    def setting(self) -> str:
        """The whole name, as messages show it: `service.ci.url`, `oberon.mode`."""
        return f"oberon.{self.key}" if self.service is None else f"{self.section}.{self.service}.{self.key}"


# ----------------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: an option of `[oberon]`, or one that every service has."""

    name: str
    type: str
    help: str
    default_text: str
    """The default as one would write it; '' when there is none."""
    choices: tuple[str, ...] = ()


def _option(name: str, type_name: str, default: str, help_text: str, choices: tuple[str, ...] = ()) -> Any:
    without = () if type_name in ("list", "paths", "events", "hosts") else None
    value = convert(default, type_name, choices) if default else without
    return field(default=value, metadata={"option": Option(name, type_name, help_text, default, choices)})


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `[oberon]`: how this repository's pushes are handled."""

    mode: str = _option("mode", "choice", "detached", "deliver after the push, or before it returns", ("detached", "inline"))
    deadline_s: float = _option("deadline", "duration", "10s", "inline: how long the pusher waits at most")
    verbose: bool = _option("verbose", "boolean", "false", "detached: tell the pusher that the push was recorded")
    state_dir: str | None = _option("stateDir", "path", "", "where spool and outbox are")
    broker_path: tuple[str, ...] = _option("brokerPath", "paths", "", "directories of broker files, separated by `:`")
    workers: int = _option("workers", "count", "8", "deliveries at the same time; of git's system or user configuration")
    per_host: int = _option("perHost", "count", "4", "deliveries at the same time to one host; likewise")
    owner: str | None = _option("owner", "string", "", "the repository's owner; else the folder it is in")
    name: str | None = _option("name", "string", "", "the repository's display name; else the slug")
    slug: str | None = _option("slug", "string", "", "the repository's name in addresses; else its folder's name")
    website: str | None = _option("website", "string", "", "the project's website; else canonUrl")
    canon_url: str | None = _option("canonUrl", "server", "", "address of the server, as https://git.example.org")
    absolute_url: str | None = _option("absoluteUrl", "string", "", "path below canonUrl; else /OWNER/SLUG/")
    links: str | None = _option(
        "links", "choice", "", "which web interface links lead to; else the forge's own", tuple(WEB_INTERFACES)
    )
    repository_url: str | None = _option(
        "repositoryUrl", "repository template", "", "template of the repository's address; else that of `links`"
    )
    commit_url: str | None = _option("commitUrl", "commit template", "", "template of a commit's address; else that of `links`")
    compare_url: str | None = _option(
        "compareUrl", "compare template", "", "template of the address that shows what a push changed; else that of `links`"
    )
    private: bool = _option("private", "boolean", "true", "what the payload says as is_private")
    author_map: str | None = _option("authorMap", "path", "", "file of lines `mail@example.org = login`")
    timezone: ZoneInfo | None = _option("timezone", "zone", "", "zone of `timestamp`; else the machine's")
    allow_hosts: tuple[str, ...] = _option(
        "allowHosts",
        "hosts",
        "external private loopback",
        "where services may be: external, private, loopback, networks, host globs",
    )
    proxy: str | None = _option("proxy", "url", "", "HTTP proxy for deliveries; the environment's is never used")
    ca_bundle: str | None = _option("caBundle", "path", "", "file of certificates to trust instead of the usual ones")
    max_commits: int = _option("maxCommits", "integer", "1000", "commits in a payload, the newest")
    max_files: int = _option("maxFiles", "integer", "1000", "files in a payload, per commit")
    max_message_bytes: int = _option("maxMessage", "bytes", "64k", "length of a message in a payload")
    max_diff_bytes: int = _option("maxDiff", "bytes", "256k", "length of a diff in a payload, per commit")
    git_reader: str = _option(
        "gitReader",
        "choice",
        "auto",
        "how git repositories are read: in process, over the git binary, or by size",
        ("auto", "dulwich", "git"),
    )
    git_revision: str = _option("gitRevision", "choice", "count", "whether git commits get a number", ("count", "off"))
    refs: tuple[str, ...] = _option("refs", "list", "refs/heads/ refs/tags/", "git: which refs count, by their beginning")
    sources: tuple[str, ...] = _option("sources", "list", "serve push", "hg: which sources of a changegroup count")
    retry_s: tuple[float, ...] = _option(
        "retry", "durations", RETRY_DEFAULT, "waits between the attempts of a delivery, each a day at most"
    )
    alert: str | None = _option(
        "alert", "string", "", "the service that is told when a delivery is given up or a service switched off"
    )
    reconcile: bool = _option(
        "reconcile",
        "boolean",
        "true",
        "whether pushes that no hook could record are looked for; off for mirrors that fetch or pull",
    )
    keep_days: int = _option("keepDays", "integer", "30", "how many days deliveries stay in the record; likewise")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The section of one service: what every service has. Its broker's own fields are in `fields`, unconverted."""

    service: str
    """The service's name."""
    broker: str = _option("broker", "string", "", "which broker carries the payload")
    enabled: bool = _option("enabled", "boolean", "true", "whether it is called at all")
    refs: tuple[str, ...] = _option("refs", "list", "", "only pushes to these refs (globs, `!` excludes)")
    paths: tuple[str, ...] = _option("paths", "list", "", "only commits that touch these files (globs, `!` excludes)")
    events: tuple[str, ...] = _option(
        "events",
        "events",
        "",
        "only these: push (it brings commits), create, update, rewind, delete, branch, tag, bookmark, note, other",
    )
    authors: tuple[str, ...] = _option(
        "authors", "list", "", "only commits of these authors (globs over `Name <mail>`, `!` excludes)"
    )
    skip_marks: tuple[str, ...] = _option(
        "skipMarks",
        "marks",
        "[skip oberon] [oberon skip]",
        "no push to a ref whose newest commit has one of these in its message; empty: none counts",
    )
    timeout_s: float = _option("timeout", "positive duration", "30s", "how long one attempt may take")
    retry_s: tuple[float, ...] | None = _option("retry", "durations", "", "waits between attempts; else oberon.retry")
    max_age_s: float = _option("maxAge", "duration", "3d", "a delivery older than this is given up")
    ordered: bool = _option("ordered", "boolean", "false", "a push waits until the one before it is delivered or dead")
    allow_hosts: tuple[str, ...] = _option("allowHosts", "hosts", "", "where this service may be; else oberon.allowHosts")
    fields: Mapping[str, Entry] = field(default_factory=dict)
    """Key in lower case -> the entry that holds."""
    problems: tuple[ConfigError, ...] = ()
    """What keeps this service from running; () if nothing does."""
    section: str = "service"
    """What the SCM calls its section (`Entry.section`)."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Key in lower case -> the file its value stands in."""


OBERON_OPTIONS: tuple[Option, ...] = tuple(row.metadata["option"] for row in dataclasses.fields(Settings))
SERVICE_OPTIONS: tuple[Option, ...] = tuple(
    row.metadata["option"] for row in dataclasses.fields(ServiceSettings) if "option" in row.metadata
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that a repository's configuration says to Oberon."""

    settings: Settings
    services: tuple[ServiceSettings, ...]
    """In the order in which they were first named; disabled ones too."""
    problems: tuple[ConfigError, ...] = ()
    """Those of `[oberon]`; each service has its own."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Key of `[oberon]` in lower case -> the file its value stands in."""
    entries: tuple[Entry, ...] = ()
    """Those that hold, as they stand in the files."""

    @property
    def all_problems(self) -> tuple[ConfigError, ...]:
        """Those of `[oberon]` first, then each service's."""
        return self.problems + tuple(problem for service in self.services for problem in service.problems)

    def service(self, name: str) -> ServiceSettings | None:
        """The service of that name, or None."""
        return next((service for service in self.services if service.service == name), None)

    @classmethod
    def parse(cls, entries: Iterable[Entry]) -> Self:
        """The configuration that `entries` make; a later entry for the same key overrides an earlier one."""
        oberon: dict[str, Entry] = {}
        services: dict[str, dict[str, Entry]] = {}
        for entry in entries:
            held = oberon if entry.service is None else services.setdefault(entry.service, {})
            held[entry.key.lower()] = entry
        values, problems = _values_of(Settings, oberon)
        names = [option.name for option in OBERON_OPTIONS]
        known = {name.lower() for name in names}
        problems += [unknown_key(entry, names) for key, entry in oberon.items() if key not in known]
        if values.get("alert") and values["alert"] not in services:
            alert = dataclasses.replace(oberon["alert"], key="alert")
            there_are = f"there are: {', '.join(services)}" if services else "there is none"
            remedy = f"name one of the repository's services; {there_are}"
            problems.append(
                ConfigError(f"there is no service {alert.value!r}", setting=alert.setting, origin=alert.origin, remedy=remedy)
            )
        return cls(
            settings=Settings(**values),
            services=tuple(_service(name, held) for name, held in services.items()),
            problems=tuple(problems),
            origins={key: entry.origin for key, entry in oberon.items()},
            entries=tuple(entry for held in (oberon, *services.values()) for entry in held.values()),
        )


def _service(name: str, held: Mapping[str, Entry]) -> ServiceSettings:
    values, problems = _values_of(ServiceSettings, held)
    known = {option.name.lower() for option in SERVICE_OPTIONS}
    if not values.get("broker"):
        broker = dataclasses.replace(next(iter(held.values())), key="broker")
        problems.append(
            ConfigError("no broker is named", setting=broker.setting, origin=broker.origin, remedy="name one, as `broker = post`")
        )
    values["broker"] = str(values.get("broker", "")).strip().lower()
    return ServiceSettings(
        service=name,
        **values,
        fields={key: entry for key, entry in held.items() if key not in known},
        problems=tuple(problems),
        section=next(iter(held.values())).section,
        origins={key: entry.origin for key, entry in held.items()},
    )


def _values_of(table: type, held: Mapping[str, Entry]) -> tuple[dict[str, Any], list[ConfigError]]:
    values: dict[str, Any] = {}
    problems: list[ConfigError] = []
    for row in dataclasses.fields(table):
        option: Option | None = row.metadata.get("option")
        entry = held.get(option.name.lower()) if option else None
        if option is None or entry is None:
            continue
        raw = "true" if entry.value is None else entry.value
        entry = dataclasses.replace(entry, key=option.name)  # git tells keys in lower case
        try:
            values[row.name] = convert(raw, option.type, option.choices)
        except ValueError as error:
            is_address = option.type == "url" or (option.type.endswith(("server", "template")) and "@" in raw)
            shown = "the value" if is_address else repr(raw)  # it may hold a login
            problems.append(ConfigError(f"{shown} is not right", setting=entry.setting, origin=entry.origin, remedy=str(error)))
    return values, problems


def unknown_key(entry: Entry, known: Sequence[str]) -> ConfigError:
    """The error for a key that nothing reads; `known` are the keys that would have been right."""
    near = difflib.get_close_matches(entry.key.lower(), [name.lower() for name in known], n=1)
    nearest = next((name for name in known if near and name.lower() == near[0]), None)
    return ConfigError(
        "there is no such setting",
        setting=entry.setting,
        origin=entry.origin,
        remedy=f"did you mean {nearest}?" if nearest else f"there are: {', '.join(known)}",
    )


def author_logins(path: str | None) -> dict[str, str]:
    """mail in lower case -> login, from the file that `oberon.authorMap` names; {} if None. Raises ConfigError."""
    if path is None:
        return {}
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", setting="oberon.authorMap", remedy="write lines `mail@example.org = login`"
        ) from error
    pairs = (line.split("#", 1)[0].rpartition("=") for line in lines)
    logins = ((mail.strip().strip("<>").strip().lower(), login.strip()) for mail, _, login in pairs)
    return {mail: login for mail, login in logins if mail and login}
