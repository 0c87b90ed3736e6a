"""oberon test: one service, now, with the exact request and the answer."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

from brokers import loader, services
from brokers.base import BaseBroker
from brokers.cli import arguments as common
from brokers.cli import configured, output, own_broker, trial
from brokers.cli.main import DONE, FAILED
from brokers.cli.payload import named_service
from brokers.cli.repository import Repository, find
from brokers.cli.show import show_details
from brokers.cli.trial import Trial
from brokers.config import Configuration, ServiceSettings
from brokers.delivery.attempt import attempt, mask
from brokers.delivery.expansion import needs_of
from brokers.delivery.filters import concerns
from brokers.delivery.outcome import TIMED_OUT, Outcome, Verdict
from brokers.delivery.pool import within
from brokers.errors import ConfigError
from brokers.secrets import resolver, spellings
from brokers.testing.overheard import overhearing
from brokers.transport.call import Exchange
from payload import samples
from payload.build import copied

DEFAULT_SAMPLE = {"git": "git-push", "hg": "hg-push"}
GRACE_S = 0.5  # between the transport's own deadline and ours


class Tried(NamedTuple):
    """What is tried: one service, of a repository or of none."""

    service: ServiceSettings
    configuration: Configuration
    """That of the repository; the defaults where there is none."""
    broker: type[BaseBroker]
    repository: Repository | None
    needs: frozenset[str]
    """What the payload has to have, as `diff`."""
    place: str
    """The broker's name, or its file where that is not installed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon test`."""
    common.describe(
        parser,
        "Send a payload to one service at once, and show the request, the answer and the verdict (secrets masked). It is the\n"
        "repository's last push in the record, read again with today's settings, as far as the service's filters let it\n"
        "through (as it was recorded, with a warning, if it cannot be read any more); a sample where there is none. A sample's\n"
        "diffs, for a broker that needs them, are made up. Nothing is recorded, nothing is tried again, and a disabled service\n"
        "is tried all the same.\n\n"
        "With --file a broker's file is tried that is not installed: --set makes its settings, and a repository is named only if\n"
        "its last push is to be sent, or its section [oberon] to hold. What the broker's code says to the network beside Oberon's\n"
        "transport is shown too.",
        f"""
        oberon test /srv/git/app.git ci --dry-run
        oberon test /srv/git/app.git ci
        oberon test /srv/hg/app mail --sample {DEFAULT_SAMPLE["hg"]}
        oberon test --file chat.py --set url=http://127.0.0.1:8010/ --set token=env:TOKEN
        oberon test /srv/git/app.git --file chat.py --set url=http://127.0.0.1:8010/ --last
        """,
    )
    common.repo(parser, optional=True)
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="name of the service, as `oberon services` lists it")
    parser.add_argument("--file", metavar="FILE", help="try the broker in this file instead of a service that is configured")
    own_broker.settings(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the request and send nothing. The broker's code is run: what goes through Oberon's transport is held back, "
        "what the code does otherwise is done",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--sample", metavar="NAME", help=f"send this sample: {', '.join(samples.names())}")
    which.add_argument("--last", action="store_true", help="send the last push; fail if none is in the record")
    common.json(parser)
    common.state_dir(parser, of_repository=True)


def run(arguments: argparse.Namespace) -> int:
    """0 if it was delivered, 1 if not. Raises ConfigError for wrong arguments and settings."""
    _check(arguments)
    tried = _of_file(arguments) if arguments.file else _of_repository(arguments)
    service = tried.service
    sent = _trial(arguments, tried)
    composed = sent.composed
    narrowed, skipped = concerns(service, composed) if "oberon" in composed else (composed, "")
    with overhearing() as overheard:
        outcome = _tried(tried, narrowed or composed, dry_run=arguments.dry_run)
    beside = _masked(overheard, tried)
    if arguments.dry_run:
        outcome = _unanswered(outcome)
    if arguments.json:
        output.as_json(_record(service, arguments, sent, skipped, outcome, beside))
    else:
        output.say(f"{sent} to {service.service} ({tried.place}){', as a dry run' if arguments.dry_run else ''}")
        if skipped:
            output.say(f"  in earnest it would be {skipped}")
        show_details(outcome.details, answers=not arguments.dry_run)
        for each in beside:
            output.say(f"  beside Oberon's transport ({each['transport']}):")
            output.block(each["request"])
        output.say(_verdict(outcome, _HELD_BACK[_is_built_in(tried.broker)] if arguments.dry_run else ""))
    return DONE if outcome.verdict is Verdict.DELIVERED else FAILED


def _check(arguments: argparse.Namespace) -> None:
    """Raises ConfigError for arguments that do not go together."""
    for wrong, problem, remedy in (
        (arguments.file and arguments.service, "a SERVICE and a --file", "name one of them"),
        (
            arguments.set and not arguments.file,
            "--set without --file",
            "a service's settings are in its repository's configuration",
        ),
        (not arguments.file and not arguments.service, "no service is named", "give REPO and SERVICE, or --file FILE"),
        (
            arguments.last and not arguments.repo,
            "no repository is named whose last push it is",
            "give its path, or --sample NAME",
        ),
    ):
        if wrong:
            raise ConfigError(problem, remedy=remedy)


def _of_repository(arguments: argparse.Namespace) -> Tried:
    repository = find(arguments.repo)
    configuration = repository.configuration()
    service = dataclasses.replace(named_service(arguments.service, configuration), enabled=True)
    configuration = _with(service, configuration)
    problems = configured.problems_of(service, configuration)
    for problem in (*configuration.problems, *problems[1:]):
        output.warn(problem)
    if problems:
        raise problems[0]
    broker = loader.broker_class(service.broker, configuration.settings.broker_path)
    return Tried(service, configuration, broker, repository, needs_of(configuration), service.broker)


def _with(service: ServiceSettings, configuration: Configuration) -> Configuration:
    """`configuration` with `service` in the place of the one of its name, so that what its broker needs is read."""
    return dataclasses.replace(
        configuration, services=tuple(service if each.service == service.service else each for each in configuration.services)
    )


def _of_file(arguments: argparse.Namespace) -> Tried:
    own_broker.warn_of_rights(arguments.file)
    broker, service = own_broker.chosen(arguments.file, dict(arguments.set))
    repository = find(arguments.repo) if arguments.repo else None
    configuration = repository.configuration() if repository else Configuration.parse(())
    problems = [*service.problems, *broker.settings_of(service)[1]]
    for problem in (*configuration.problems, *problems[1:]):
        output.warn(problem)
    if problems:
        raise problems[0]
    place = str(Path(arguments.file))
    return Tried(dataclasses.replace(service, enabled=True), configuration, broker, repository, frozenset(broker.needs), place)


def _trial(arguments: argparse.Namespace, tried: Tried) -> Trial:
    repository = tried.repository
    if repository is not None and not arguments.sample:
        state_dir = arguments.state_dir or repository.state_dir(tried.configuration)
        last = trial.last_push(repository, tried.configuration, state_dir, tried.needs)
        if last is not None:
            return last
        if arguments.last:
            raise ConfigError(
                "no push to it is in the record", origin=repository.path, remedy="leave --last out to send a sample"
            )
    return trial.sample(arguments.sample or DEFAULT_SAMPLE[repository.scm if repository else "git"], tried.needs)


def _tried(tried: Tried, composed: dict[str, Any], *, dry_run: bool) -> Outcome:
    """One attempt, in a thread that is left behind if the broker hangs."""
    service, configuration, secrets = tried.service, tried.configuration, resolver(os.environ)
    path = tried.repository.path if tried.repository else ""
    job = within(
        lambda _: attempt(
            service, configuration, copied(composed), secrets, dry_run=dry_run, broker=tried.broker, repository=path
        ),
        service.timeout_s + GRACE_S,
    )
    if job.abandoned:
        return Outcome(Verdict.RETRY, TIMED_OUT, duration_s=job.elapsed_s)
    if job.error is not None:
        raise job.error
    outcome: Outcome = job.result
    return outcome


def _unanswered(outcome: Outcome) -> Outcome:
    """Of a dry run: less the answer and the note that stand in for what nobody said."""
    exchanges = [{**exchange, "status": None, "response": ""} for exchange in outcome.details.get("exchanges", [])]
    return dataclasses.replace(outcome, note="", details={**outcome.details, "exchanges": exchanges})


_HELD_BACK = {
    True: "nothing was sent",
    False: "the broker's own code was run; only what goes through Oberon's transport was held back",
}
"""Whether the broker is a built-in one -> what a dry run can say it did not do."""


def _is_built_in(broker: type[BaseBroker]) -> bool:
    """Whether all that the broker sends goes through Oberon's transport, for certain."""
    return broker.__module__.startswith(services.__name__ + ".")


def _masked(overheard: list[Exchange], tried: Tried) -> list[dict[str, Any]]:
    """What was said beside the transport, for people and programs."""
    values, _ = tried.broker.settings_of(tried.service, resolver(os.environ))
    secrets = spellings(tried.broker.secrets_of(tried.service, values))
    return [{"transport": each.transport, "request": mask(each.request, secrets)} for each in overheard]


def _verdict(outcome: Outcome, held_back: str) -> str:
    """The last line; `held_back` is what it says of a dry run, '' for one in earnest."""
    if outcome.verdict is Verdict.DELIVERED:
        note = f": {outcome.note}" if outcome.note else ""
        return held_back or f"delivered in {outcome.duration_s:.2f} s{note}"
    later = "; the worker would try it again later" if outcome.verdict is Verdict.RETRY else ""
    return f"error: failed after {outcome.duration_s:.2f} s: {outcome.reason}{later}"


def _record(
    service: ServiceSettings,
    arguments: argparse.Namespace,
    sent: Trial,
    skipped: str,
    outcome: Outcome,
    beside: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "service": service.service,
        "payload": sent.name,
        "made": sent.made or None,
        "dry_run": arguments.dry_run,
        "skipped": skipped or None,
        "outcome": None if arguments.dry_run and outcome.verdict is Verdict.DELIVERED else outcome.verdict,
        "reason": outcome.reason,
        "note": outcome.note,
        "duration_s": round(outcome.duration_s, 3),
        "exchanges": outcome.details.get("exchanges", []),
        "beside_transport": beside,
        "traceback": outcome.details.get("traceback"),
        "printed": outcome.details.get("printed"),
    }
