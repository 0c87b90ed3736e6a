"""oberon test: one service, now, with the exact request and the answer."""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import Any

from brokers import loader, services
from brokers.cli import arguments as common
from brokers.cli import configured, output, trial
from brokers.cli.main import DONE, FAILED
from brokers.cli.payload import named_service
from brokers.cli.repository import Repository, find
from brokers.cli.show import show_details
from brokers.cli.trial import Trial
from brokers.config import Configuration, ServiceSettings
from brokers.delivery.attempt import attempt
from brokers.delivery.filters import concerns
from brokers.delivery.outcome import TIMED_OUT, Outcome, Verdict
from brokers.delivery.pool import within
from brokers.errors import ConfigError
from brokers.secrets import resolver
from payload import samples

DEFAULT_SAMPLE = {"git": "git-push", "hg": "hg-push"}
GRACE_S = 0.5  # between the transport's own deadline and ours


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon test`."""
    common.describe(
        parser,
        "Send a payload to one service at once, and show the request, the answer and the verdict (secrets masked). It is the\n"
        "repository's last push in the record, read again with today's settings, as far as the service's filters let it\n"
        "through (as it was recorded, with a warning, if it cannot be read any more); a sample where there is none. A sample's\n"
        "diffs, for a broker that needs them, are made up. Nothing is recorded, nothing is tried again, and a disabled service\n"
        "is tried all the same.",
        f"""
        oberon test /srv/git/app.git ci --dry-run
        oberon test /srv/git/app.git ci
        oberon test /srv/hg/app mail --sample {DEFAULT_SAMPLE["hg"]}
        """,
    )
    common.repo(parser)
    parser.add_argument("service", metavar="SERVICE", help="name of the service, as `oberon services` lists it")
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
    """0 if it was delivered, 1 if not. Raises ConfigError for wrong settings."""
    repository = find(arguments.repo)
    configuration = repository.configuration()
    service = dataclasses.replace(named_service(arguments.service, configuration), enabled=True)
    configuration = _with(service, configuration)
    problems = configured.problems_of(service, configuration)
    for problem in (*configuration.problems, *problems[1:]):
        output.warn(problem)
    if problems:
        raise problems[0]
    tried = _trial(arguments, repository, configuration)
    composed = tried.composed
    narrowed, skipped = concerns(service, composed) if "oberon" in composed else (composed, "")
    outcome = _tried(service, configuration, narrowed or composed, dry_run=arguments.dry_run)
    if arguments.dry_run:
        outcome = _unanswered(outcome)
    if arguments.json:
        output.as_json(_record(arguments, tried, skipped, outcome))
    else:
        output.say(f"{tried} to {service.service} ({service.broker}){', as a dry run' if arguments.dry_run else ''}")
        if skipped:
            output.say(f"  in earnest it would be {skipped}")
        show_details(outcome.details, answers=not arguments.dry_run)
        output.say(_verdict(outcome, _HELD_BACK[_is_built_in(service, configuration)] if arguments.dry_run else ""))
    return DONE if outcome.verdict is Verdict.DELIVERED else FAILED


def _with(service: ServiceSettings, configuration: Configuration) -> Configuration:
    """`configuration` with `service` in the place of the one of its name, so that what its broker needs is read."""
    return dataclasses.replace(
        configuration, services=tuple(service if each.service == service.service else each for each in configuration.services)
    )


def _trial(arguments: argparse.Namespace, repository: Repository, configuration: Configuration) -> Trial:
    if not arguments.sample:
        last = trial.last_push(repository, configuration, arguments.state_dir or repository.state_dir(configuration))
        if last is not None:
            return last
        if arguments.last:
            raise ConfigError(
                "no push to it is in the record", origin=repository.path, remedy="leave --last out to send a sample"
            )
    return trial.sample(arguments.sample or DEFAULT_SAMPLE[repository.scm], configuration)


def _tried(service: ServiceSettings, configuration: Configuration, composed: dict[str, Any], *, dry_run: bool) -> Outcome:
    """One attempt, in a thread that is left behind if the broker hangs."""
    job = within(
        lambda _: attempt(service, configuration, composed, resolver(os.environ), dry_run=dry_run),
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


def _is_built_in(service: ServiceSettings, configuration: Configuration) -> bool:
    """Whether all that the service's broker sends goes through Oberon's transport, for certain."""
    broker = loader.broker_class(service.broker, configuration.settings.broker_path)
    return broker.__module__.startswith(services.__name__ + ".")


def _verdict(outcome: Outcome, held_back: str) -> str:
    """The last line; `held_back` is what it says of a dry run, '' for one in earnest."""
    if outcome.verdict is Verdict.DELIVERED:
        note = f": {outcome.note}" if outcome.note else ""
        return held_back or f"delivered in {outcome.duration_s:.2f} s{note}"
    later = "; the worker would try it again later" if outcome.verdict is Verdict.RETRY else ""
    return f"error: failed after {outcome.duration_s:.2f} s: {outcome.reason}{later}"


def _record(arguments: argparse.Namespace, tried: Trial, skipped: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "service": arguments.service,
        "payload": tried.name,
        "made": tried.made or None,
        "dry_run": arguments.dry_run,
        "skipped": skipped or None,
        "outcome": None if arguments.dry_run and outcome.verdict is Verdict.DELIVERED else outcome.verdict,
        "reason": outcome.reason,
        "note": outcome.note,
        "duration_s": round(outcome.duration_s, 3),
        "exchanges": outcome.details.get("exchanges", []),
        "traceback": outcome.details.get("traceback"),
        "printed": outcome.details.get("printed"),
    }
