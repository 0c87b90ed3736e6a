"""Whether a repository's settings are right: each wrong one with the file it stands in and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from brokers import loader
from brokers.cli import configured, first_service
from brokers.cli.checks import Check, error, ok, warning
from brokers.cli.repository import Repository
from brokers.config import Configuration, ServiceSettings, author_logins
from brokers.errors import ConfigError
from brokers.secrets import REFERENCES


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
