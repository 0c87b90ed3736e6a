"""oberon payload: what a push would tell the brokers. A dry run of reading; nothing is recorded or sent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from brokers.cli import arguments as common
from brokers.cli import configured, output, progress_line, revisions
from brokers.cli.repository import Repository, find
from brokers.cli.sources import by_scm
from brokers.config import Configuration, ServiceSettings
from brokers.delivery.expansion import composed_of, composer, needs_of
from brokers.delivery.filters import concerns
from brokers.errors import ConfigError
from payload import dialects
from payload.push import Event, Push

_WORDS = {"git": ("OLD", "NEW", "REF"), "hg": ("FIRST", "LAST")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon payload`."""
    parser.usage = "oberon payload [options] REPO OLD NEW REF\n       oberon payload [options] REPO FIRST LAST"
    common.describe(
        parser,
        "Print, as JSON, the payload of a push: of one that was, or could have been. The repository is\n"
        "read as the worker would read it now; nothing is recorded, nobody is told. Without --service,\n"
        "`broker` and `service` are empty.\n"
        "\n"
        "git: the push is taken to have come when NEW was committed. 0 as OLD makes REF a new one: what\n"
        "other refs hold already is new to nobody, and its commits are not among those of the push.\n"
        "hg: a push that moves bookmarks and brings no changeset cannot be named here.",
        """
        oberon payload /srv/git/app.git main~3 main refs/heads/main
        oberon payload /srv/git/app.git 0 v1.0 refs/tags/v1.0
        oberon payload /srv/hg/app 17 tip
        oberon payload /srv/hg/app -- -1 -1
        oberon payload . HEAD~1 HEAD main --dialect bitbucket
        oberon payload --lines /srv/git/app.git 0 main main | jq -r .message
        """,
    )
    common.repo(parser)
    parser.add_argument(
        "revisions",
        metavar="OLD NEW REF / FIRST LAST",
        nargs="+",
        help="git: OLD NEW REF, revisions before and after (0: none) and the ref that moved; "
        "hg: FIRST LAST, the changesets of the push",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--dialect", choices=sorted(dialects.REQUESTS), help="as that service's webhooks wrote it")
    which.add_argument(
        "--lines",
        action="store_true",
        help="its commits only, one JSON object a line, oldest first, however many (no maxCommits)",
    )
    which.add_argument("--service", metavar="NAME", help="as this service gets it: its filters, its settings (secrets masked)")


def run(arguments: argparse.Namespace) -> int:
    """0."""
    repository = find(arguments.repo)
    words = _WORDS[repository.scm]
    if len(arguments.revisions) != len(words):
        raise ConfigError(f"{repository.scm} needs {' '.join(words)} after the repository", remedy="see `oberon payload --help`")
    push_of: dict[str, Callable[..., Event]] = {"git": revisions.git_push, "hg": revisions.hg_push}
    event = push_of[repository.scm](repository, *arguments.revisions)
    configuration = repository.configuration()
    service = named_service(arguments.service, configuration) if arguments.service else None
    for problem in (*configuration.problems, *(configured.problems_of(service, configuration) if service else ())):
        output.warn(problem)
    _warn_of_refs(event, configuration)
    if arguments.lines:
        _print_lines(repository, configuration, event)
        return 0
    composed = _composed(repository, configuration, event)
    if arguments.dialect:
        shown = _as_dialect(arguments.dialect, composed)
    elif service is not None:
        shown = _for_service(service, configuration, composed)
    else:
        shown = {"broker": "", "service": {}, **composed}
    output.as_json(shown)
    return 0


def _as_dialect(name: str, composed: dict[str, Any]) -> Any:
    """The body, or where the service names its events the list of its requests."""
    requests = dialects.REQUESTS[name](composed)
    if len(requests) == 1 and not requests[0].event:
        return requests[0].body
    return [{"event": request.event, "headers": dict(request.headers), "body": request.body} for request in requests]


def _composed(repository: Repository, configuration: Configuration, event: Event) -> dict[str, Any]:
    with progress_line.shown() as progress:
        push = by_scm()[repository.scm].read(event, configuration.settings, needs_of(configuration), progress=progress)
    return composed_of(push, configuration.settings, None)


def _print_lines(repository: Repository, configuration: Configuration, event: Event) -> None:
    """Each commit as it is read; a line has the keys of the payload's commit, and under `oberon` those of `oberon.commits`."""
    settings = replace(configuration.settings, max_commits=sys.maxsize)
    compose = composer(settings)
    source = by_scm()[repository.scm]
    with (
        progress_line.shown(wanted=not sys.stdout.isatty()) as progress,
        source.opened(event, settings, needs_of(configuration), progress) as reading,
    ):
        for commit in reading.commits:
            composed = compose(Push(event, reading.repository, reading.user, (), (commit,), 1))
            output.as_json_line({**composed["commits"][0], "oberon": composed["oberon"]["commits"][commit.node]})


def _warn_of_refs(event: Event, configuration: Configuration) -> None:
    """Say of what moved in git what the reader leaves out."""
    beginnings = configuration.settings.refs
    for update in event.refs:
        if not update.ref.startswith(beginnings):
            listed = f"({' '.join(beginnings)})" if beginnings else "(it is empty)"
            output.warn(f"{update.ref} begins with none of oberon.refs {listed}: a push to it tells nobody")


def _for_service(service: ServiceSettings, configuration: Configuration, composed: dict[str, Any]) -> dict[str, Any]:
    narrowed, skipped = concerns(service, composed)
    if narrowed is None:
        raise ConfigError(f"{service.service} would not get this push", remedy=skipped)
    return {"broker": service.broker, "service": configured.masked_fields(service, configuration), **narrowed}


def named_service(name: str, configuration: Configuration) -> ServiceSettings:
    """The service of that name. Raises ConfigError that lists those there are."""
    service = configuration.service(name)
    if service is None:
        known = ", ".join(service.service for service in configuration.services)
        raise ConfigError(f"there is no service {name!r}", remedy=f"there are: {known}" if known else "none is configured")
    return service
