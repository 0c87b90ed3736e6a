"""Whether a repository's settings are right: each wrong one with the file it stands in and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from brokers import loader
from brokers.cli import configured
from brokers.cli.checks import Check, error, ok, warning
from brokers.config import Configuration, ServiceSettings, author_logins
from brokers.errors import ConfigError
from brokers.secrets import REFERENCES


def settings(configuration: Configuration) -> Iterator[Check]:
    """Those of `[oberon]`, with the files they name."""
    for problem in configuration.problems:
        yield _of_problem(problem)
    try:
        logins = author_logins(configuration.settings.author_map)
    except ConfigError as problem:
        yield _of_problem(problem)
    else:
        if configuration.settings.author_map:
            yield ok("oberon.authorMap", f"{configuration.settings.author_map}: {len(logins)} addresses")
    yield from broker_files(configuration.settings.broker_path)


def broker_files(broker_path: tuple[str, ...]) -> Iterator[Check]:
    """Each file of `oberon.brokerPath` that cannot be used, and how many can."""
    if not broker_path:
        return
    found = loader.available(broker_path)
    for broker in found:
        if broker.problem:
            remedy = "mend the file; `oberon brokers --path DIR` tries it again"
            yield error("oberon.brokerPath", f"{broker.place}: {broker.problem}", remedy, is_setting=True)
    own = [broker.name for broker in found if not broker.problem and str(Path(broker.place).parent) in broker_path]
    yield ok("oberon.brokerPath", f"{':'.join(broker_path)}: {', '.join(own) or 'no broker that can be used'}")


def services(configuration: Configuration) -> Iterator[Check]:
    """Each service: what is wrong with it, or that nothing is."""
    if not configuration.services:
        yield warning("services", "none is configured, so pushes are not recorded", "name one: `oberon install --help` shows how")
    for service in configuration.services:
        problems = configured.problems_of(service, configuration)
        for problem in problems:
            yield _of_problem(problem)
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


def _of_problem(problem: ConfigError) -> Check:
    place = f" (in {problem.origin})" if problem.origin else ""
    return error(problem.setting or "configuration", f"{problem.problem}{place}", problem.remedy, is_setting=True)
