"""oberon services: a repository's services, each setting with where it comes from."""

from __future__ import annotations

import argparse

from brokers.cli import arguments as common
from brokers.cli import configured, first_service, output
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
    written = configured.as_written(configuration.entries)
    own_problems = configured.problems_of_settings(configuration)
    problems = {service.service: configured.problems_of(service, configuration) for service in configuration.services}
    if arguments.json:
        output.as_json(
            {
                "repository": repository.path,
                "scm": repository.scm,
                "settings": [_value_record(value) for value in configured.setting_values(configuration, written)],
                "services": [
                    _service_record(service, configuration, written, problems[service.service])
                    for service in configuration.services
                ],
                "problems": [configured.problem_record(problem) for problem in own_problems],
            }
        )
    else:
        _tell_settings(configured.setting_values(configuration, written), own_problems, with_defaults=arguments.all)
        for service in configuration.services:
            values = configured.service_values(service, configuration, written)
            _tell_service(service, values, problems[service.service], with_defaults=arguments.all)
        if not configuration.services:
            output.say(f"no service is configured for {repository.path}; {first_service.where(repository)}")
            for line in first_service.lines(repository):
                output.say("  " + line)
    return USAGE if own_problems or any(problems.values()) else DONE


def _service_record(
    service: ServiceSettings, configuration: Configuration, written: configured.Written, problems: list[ConfigError]
) -> dict[str, object]:
    return {
        "service": service.service,
        "broker": service.broker,
        "enabled": service.enabled,
        "settings": [_value_record(value) for value in configured.service_values(service, configuration, written)],
        "problems": [configured.problem_record(problem) for problem in problems],
    }


def _value_record(value: configured.Value) -> dict[str, object]:
    return {"name": value.name, "value": value.value, "origin": value.origin or None}


def _tell_settings(values: list[configured.Value], problems: list[ConfigError], *, with_defaults: bool) -> None:
    if problems or with_defaults or any(value.origin for value in values):
        _section("[oberon]", "", values, with_defaults=with_defaults)
    for problem in problems:
        output.say(f"  error: {problem}")


def _tell_service(
    service: ServiceSettings, values: list[configured.Value], problems: list[ConfigError], *, with_defaults: bool
) -> None:
    verdict = "" if service.enabled else " (disabled)"
    verdict += f" ({len(problems)} wrong: it does not run)" if problems else ""
    _section(service.service, verdict, values, with_defaults=with_defaults)
    for problem in problems:
        output.say(f"  error: {problem}")


def _section(name: str, verdict: str, values: list[configured.Value], *, with_defaults: bool) -> None:
    shown = [value for value in values if value.origin or (with_defaults and value.value)]
    output.say(f"{name}{verdict}")
    output.table(("", "", ""), [(value.name, value.value, value.origin or "default") for value in shown], indent="  ")
