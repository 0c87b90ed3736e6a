"""oberon reconcile: find the pushes that no hook could record."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from brokers.cli import arguments as common
from brokers.cli import listing, output
from brokers.cli.repository import Repository, find
from brokers.cli.sources import by_scm
from brokers.delivery import intake, reconcile, statedir, wake
from brokers.delivery.claims import path_text
from brokers.delivery.outbox import Outbox
from brokers.delivery.reconcile import Look, Lost
from brokers.errors import ConfigError
from payload.push import Event

WAIT_S = 5.0
NODE_DIGITS = 12

_Looked = tuple[Look | None, tuple[Lost, ...], list[Event], int]
"""How it compares, what is missing, the events recorded for that, and how many files were taken from the spool."""
_NOTHING: _Looked = (None, (), [], 0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon reconcile`."""
    common.describe(
        parser,
        "Compare a repository with the pushes recorded of it, and record those that are missing, because their hook was killed\n"
        "before it could write. The worker does the same when it starts, and every six hours. A push that is under way looks\n"
        "missing too, so what differs is looked at twice. Pushes of one branch, lost one after another, become one; who pushed\n"
        "is not known.\n"
        "What came without a push, but not by `git commit` or `hg commit` in the repository itself, is found as well: after\n"
        "copying, restoring or mirroring it, and after a time without its hook, say --accept.",
        """
        oberon reconcile /srv/git/app.git
        oberon reconcile /srv/git/app.git --dry-run
        oberon reconcile /srv/hg/app --accept
        """,
    )
    common.repo(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what is missing, and record nothing")
    parser.add_argument("--accept", action="store_true", help="record nothing: from now on the present counts as known")
    common.wait(parser, WAIT_S, f"between the two looks; default: {WAIT_S:g}s, where the worker takes 30s")
    common.json(parser)
    common.state_dir(parser, of_repository=True)


def run(arguments: argparse.Namespace) -> int:
    """0, whether something was missing or not."""
    if arguments.dry_run and arguments.accept:
        raise ConfigError("--dry-run changes nothing, --accept does: one or the other", remedy="leave either out")
    repository = find(arguments.repo)
    state_dir = arguments.state_dir or repository.state_dir(repository.configuration())
    look, lost, events, took_in = _NOTHING
    if (Path(state_dir) / "spool" / "new").is_dir():
        with Outbox.open(state_dir, time.time) as outbox:
            look, lost, events, took_in = _looked(arguments, outbox, state_dir, repository)
    worker = wake.wake(state_dir, os.environ) if events or took_in else None
    if arguments.json:
        output.as_json(
            {
                "repository": repository.path,
                "compared": look.compared if look else 0,
                "unwanted": look.unwanted if look else "",
                "known": look is not None,
                "lost": [{"ref": each.ref or None, "old": each.old, "new": each.new} for each in lost],
                "events": [event.id for event in events],
                "dry_run": arguments.dry_run,
                "worker": worker,
            }
        )
        return 0
    if look is None:
        output.say("no push of it was recorded yet: there is nothing to compare it with")
    else:
        _tell(look, lost, events, worker if events else None)
    return 0


def _looked(arguments: argparse.Namespace, outbox: Outbox, state_dir: str, repository: Repository) -> _Looked:
    place = path_text(repository.path)
    source = by_scm(trusted_only=statedir.is_shared(state_dir))[repository.scm]
    took_in = intake.take_all_in(outbox, state_dir)
    like = reconcile.newest(outbox, place)
    if like is None:
        return None, (), [], took_in
    how = {"accept": arguments.accept, "keep": not arguments.dry_run}
    look = reconcile.look(outbox, place, like, source, **how)
    if not look.lost:
        return look, (), [], took_in
    time.sleep(arguments.wait)
    took_in += intake.take_all_in(outbox, state_dir)
    later = reconcile.look(outbox, place, like, source, **how)
    lost = look.again(later)
    events = [] if arguments.dry_run else reconcile.record(outbox, state_dir, place, later, lost)
    return later, lost, events, took_in


def _tell(look: Look, lost: tuple[Lost, ...], events: list[Event], worker: str | None) -> None:
    if look.unwanted:
        output.say(f"not compared: {look.unwanted}")
        return
    what = ("changeset", "changesets") if look.like.scm == "hg" else ("ref", "refs")
    output.say(f"compared {listing.number(look.compared, *what)}: {f'{len(lost)} missing' if lost else 'nothing is missing'}")
    for each in lost:
        name = f"{each.ref}: " if each.ref else ""
        output.say(f"  {name}{_short(each.old)}..{_short(each.new)}")
    if events:
        output.say(f"recorded as {listing.number(len(events), 'push', 'pushes')}; {listing.WAKED[worker or '']}")


def _short(node: str) -> str:
    return node[:NODE_DIGITS] if node.strip("0") else "none"
