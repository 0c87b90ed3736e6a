"""oberon services: a repository's services, each setting with where it comes from."""

from __future__ import annotations

import argparse

from brokers.cli import arguments as common
from brokers.cli import configured, output
from brokers.cli.main import DONE, USAGE
from brokers.cli.repository import find
from brokers.config import Configuration, ServiceSettings
from brokers.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon services`."""
    common.describe(
        parser,
        "List a repository's services as they are in force - from the system's, the user's and the repository's own\n"
        "configuration - with the file each setting stands in. Secrets are masked. Exit code 2 if a setting is wrong;\n"
        "the services that are right work all the same.",
        """
        oberon services /srv/git/app.git
        oberon services /srv/hg/app --all
        oberon services . --json
        """,
    )
    common.repo(parser)
    parser.add_argument("--all", action="store_true", help="with the settings that have their default")
    common.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 2 if a setting is wrong."""
    repository = find(arguments.repo)
    configuration = repository.configuration()
    problems = {service.service: configured.problems_of(service, configuration) for service in configuration.services}
    if arguments.json:
        output.as_json(
            {
                "repository": repository.path,
                "scm": repository.scm,
                "settings": [_value_record(value) for value in configured.setting_values(configuration)],
                "services": [
                    _service_record(service, configuration, problems[service.service]) for service in configuration.services
                ],
                "problems": [configured.problem_record(problem) for problem in configuration.problems],
            }
        )
    else:
        _tell(repository.path, configuration, problems, with_defaults=arguments.all)
    return USAGE if configuration.problems or any(problems.values()) else DONE


def _service_record(service: ServiceSettings, configuration: Configuration, problems: list[ConfigError]) -> dict[str, object]:
    return {
        "service": service.service,
        "broker": service.broker,
        "enabled": service.enabled,
        "settings": [_value_record(value) for value in configured.service_values(service, configuration)],
        "problems": [configured.problem_record(problem) for problem in problems],
    }


def _value_record(value: configured.Value) -> dict[str, object]:
    return {"name": value.name, "value": value.value, "origin": value.origin or None}


def _tell(path: str, configuration: Configuration, problems: dict[str, list[ConfigError]], *, with_defaults: bool) -> None:
    settings = configured.setting_values(configuration)
    if configuration.problems or with_defaults or any(value.origin for value in settings):
        _section("[oberon]", "", settings, with_defaults=with_defaults)
    for problem in configuration.problems:
        output.say(f"  error: {problem}")
    if not configuration.services:
        output.say(f"no service is configured for {path}; `oberon install --help` shows how to name one")
    for service in configuration.services:
        found = problems[service.service]
        verdict = "" if service.enabled else " (disabled)"
        verdict += f" ({len(found)} wrong: it does not run)" if found else ""
        _section(service.service, verdict, configured.service_values(service, configuration), with_defaults=with_defaults)
        for problem in found:
            output.say(f"  error: {problem}")


def _section(name: str, verdict: str, values: list[configured.Value], *, with_defaults: bool) -> None:
    shown = [value for value in values if value.origin or (with_defaults and value.value)]
    output.say(f"{name}{verdict}")
    output.table(("", "", ""), [(value.name, value.value, value.origin or "default") for value in shown], indent="  ")
