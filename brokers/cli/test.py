"""oberon test: one service, now, with the exact request and the answer."""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import Any

from brokers.cli import arguments as common
from brokers.cli import configured, output
from brokers.cli.main import DONE, FAILED
from brokers.cli.payload import named_service
from brokers.cli.repository import Repository, find
from brokers.cli.show import show_details
from brokers.config import Configuration, ServiceSettings
from brokers.delivery import record
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
        "repository's last push, as far as the service's filters let it through; a sample where there is none. Nothing is\n"
        "recorded, nothing is tried again, and a disabled service is tried all the same.",
        f"""
        oberon test /srv/git/app.git ci --dry-run
        oberon test /srv/git/app.git ci
        oberon test /srv/hg/app mail --sample {DEFAULT_SAMPLE["hg"]}
        """,
    )
    common.repo(parser)
    parser.add_argument("service", metavar="SERVICE", help="name of the service, as `oberon services` lists it")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the request and send nothing (a broker with a network code of its own may)"
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
    if problems := configured.problems_of(service, configuration):
        raise problems[0]
    composed, source = _payload(arguments, repository, configuration)
    narrowed, skipped = concerns(service, composed) if "oberon" in composed else (composed, "")
    outcome = _tried(service, configuration, narrowed or composed, dry_run=arguments.dry_run)
    if arguments.dry_run:
        outcome = _unanswered(outcome)
    if arguments.json:
        output.as_json(_record(arguments, source, skipped, outcome))
    else:
        output.say(f"{source} to {service.service} ({service.broker}){', as a dry run' if arguments.dry_run else ''}")
        if skipped:
            output.say(f"  in earnest it would be {skipped}")
        show_details(outcome.details, answers=not arguments.dry_run)
        output.say(_verdict(outcome, dry_run=arguments.dry_run))
    return DONE if outcome.verdict is Verdict.DELIVERED else FAILED


def _payload(arguments: argparse.Namespace, repository: Repository, configuration: Configuration) -> tuple[dict[str, Any], str]:
    """A payload less `broker` and `service`, and what it is."""
    if not arguments.sample:
        with record.existing_outbox(arguments.state_dir or repository.state_dir(configuration)) as outbox:
            last = record.last_payload(outbox, repository.path)
        if last is not None:
            return last, "the last push"
        if arguments.last:
            raise ConfigError(
                "no push to it is in the record", origin=repository.path, remedy="leave --last out to send a sample"
            )
    name = arguments.sample or DEFAULT_SAMPLE[repository.scm]
    sample = samples.load(name)
    return {key: value for key, value in sample.items() if key not in ("broker", "service")}, f"the sample {name}"


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


def _verdict(outcome: Outcome, *, dry_run: bool) -> str:
    if outcome.verdict is Verdict.DELIVERED:
        note = f": {outcome.note}" if outcome.note else ""
        return "nothing was sent" if dry_run else f"delivered in {outcome.duration_s:.2f} s{note}"
    later = "; the worker would try it again later" if outcome.verdict is Verdict.RETRY else ""
    return f"error: failed after {outcome.duration_s:.2f} s: {outcome.reason}{later}"


def _record(arguments: argparse.Namespace, source: str, skipped: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "service": arguments.service,
        "payload": source,
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
