"""Whether a repository's settings are right: each wrong one with the file it stands in and what would be right."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from brokers import loader
from brokers.cli import configured, first_service
from brokers.cli.checks import Check, error, ok, warning
from brokers.cli.repository import Repository
from brokers.config import Configuration, ServiceSettings, Settings, author_logins
from brokers.errors import ConfigError
from brokers.secrets import REFERENCES
from payload.links import PLACEHOLDERS, WEB_INTERFACES

_OF_ONE_SCM: Mapping[str, str] = {
    **dict.fromkeys(("cgit", "gitea", "github", "gitweb", "gogs", "sourcehut"), "git"),
    **dict.fromkeys(("hg-serve", "hgweb"), "hg"),
}
"""Web interface -> the only kind of repository it shows. `gitlab` is not here: its addresses are Heptapod's too, which shows both."""
_NAMES_ITS_ADDRESS = "gitea"  # to its hooks: `githooks.forge.FORGES`
_CANON_URL = {
    "git": "git --git-dir={quoted} config oberon.canonUrl https://git.example.org",
    "hg": "write `canonUrl = https://hg.example.org` under [oberon] in {path}/.hg/hgrc",
}


def settings(configuration: Configuration) -> Iterator[Check]:
    """Those of `[oberon]`, with the files they name."""
    problems = configured.problems_of_settings(configuration)
    for problem in problems:
        yield of_problem(problem)
    named = configuration.settings
    if named.author_map and not any(problem.setting == "oberon.authorMap" for problem in problems):
        yield ok("oberon.authorMap", f"{named.author_map}: {len(author_logins(named.author_map))} addresses")
    if named.broker_path:
        found = loader.available(named.broker_path)
        own = [broker.name for broker in found if not broker.problem and str(Path(broker.place).parent) in named.broker_path]
        yield ok("oberon.brokerPath", f"{':'.join(named.broker_path)}: {', '.join(own) or 'no broker that can be used'}")


def links(configuration: Configuration, repository: Repository) -> Iterator[Check]:
    """Whether `oberon.links` and the templates of one's own can lead anywhere; nothing where they can, or there are none."""
    named = configuration.settings
    speaks = _OF_ONE_SCM.get(named.links or "", repository.scm)
    if speaks != repository.scm:
        fit = [name for name in WEB_INTERFACES if _OF_ONE_SCM.get(name, repository.scm) == repository.scm]
        told = f"{named.links} shows {speaks} repositories, and this is one of {repository.scm}, so the links lead nowhere"
        yield warning("oberon.links", told + _place(configuration, "links"), f"name another: {', '.join(fit)}")
    is_wrong = any(problem.setting == "oberon.canonUrl" for problem in configuration.problems)
    if named.canon_url or is_wrong or named.links == _NAMES_ITS_ADDRESS:
        return
    remedy = _CANON_URL[repository.scm].format(quoted=shlex.quote(repository.path), path=repository.path)
    for setting, pages in _without_address(named).items():
        told = f"oberon.canonUrl is not set, so these links are null: {', '.join(pages)}"
        yield warning(f"oberon.{setting}", told + _place(configuration, setting), remedy)


def _without_address(named: Settings) -> dict[str, list[str]]:
    """Setting -> the pages whose template it is or chooses, of those that begin with {canonUrl}."""
    found: dict[str, list[str]] = {}
    chosen = WEB_INTERFACES[named.links] if named.links else None
    for page in PLACEHOLDERS:
        own = getattr(named, f"{page}_url")
        template = own or getattr(chosen, page, None)
        if template and "{canonUrl}" in template:
            found.setdefault(f"{page}Url" if own else "links", []).append(page)
    return found


def _place(configuration: Configuration, setting: str) -> str:
    origin = configuration.origins.get(setting.lower(), "")
    return f" (in {origin})" if origin else ""


def services(configuration: Configuration, repository: Repository) -> Iterator[Check]:
    """Each service: what is wrong with it, or that nothing is."""
    if not configuration.services:
        yield warning("services", "none is configured, so pushes are not recorded", first_service.in_one_line(repository))
    for service in configuration.services:
        problems = configured.problems_of(service, configuration)
        for problem in problems:
            yield of_problem(problem)
        name = f"{service.section}.{service.service}"
        yield from _references(service)
        if not problems:
            yield ok(name, f"{service.broker}{'' if service.enabled else ', disabled'}")


def _references(service: ServiceSettings) -> Iterator[Check]:
    """Files that settings refer to and that are not there; their content is not looked at."""
    for entry in service.fields.values():
        scheme, _, rest = (entry.value or "").partition(":")
        if scheme == REFERENCES[0] and rest.startswith("/") and not Path(rest).is_file():
            yield warning(
                entry.setting, f"{rest} is not there, or not to be seen by you", "the worker's user must be able to read it"
            )


def of_problem(problem: ConfigError) -> Check:
    """A setting that is wrong, as a check."""
    place = f" (in {problem.origin})" if problem.origin else ""
    return error(problem.setting or "configuration", f"{problem.problem}{place}", problem.remedy, is_setting=True)
