"""Deliveries and pushes as the commands print them: rows and one-line notes for people, records for --json."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from brokers.cli import output
from brokers.delivery.control import Breaker, DisabledService
from brokers.delivery.outcome import State
from brokers.delivery.record import UNFINISHED
from brokers.delivery.rows import Delivery, Late, Spool, UnreadPush

WHO = {"admin": "an admin", "oberon": "Oberon"}
"""`DisabledService.by` -> the words for it."""
WAKED = {
    "woken": "the worker was told",
    "started": "a worker was started",
    "left": "a worker runs, and looks every 5 s",
    "absent": "no worker runs, and in a shared state directory none is started; see `oberon doctor`",
}
"""What `wake.wake` returns -> the words for it."""
HEADS = ("ID", "PUSH", "REPOSITORY", "SERVICE", "STATE", "TRIES", "WHEN", "REASON OR NOTE")


def row(delivery: Delivery) -> tuple[str, ...]:
    """The cells under HEADS."""
    return (
        str(delivery.id),
        f"#{delivery.sequence}" if delivery.sequence else "alert",
        delivery.repository,
        delivery.service,
        delivery.state,
        str(delivery.attempts),
        output.local(delivery.finished_at or delivery.created_at),
        told(delivery),
    )


def told(delivery: Delivery) -> str:
    """What there is to say of its state: the note of a delivered one, what another waits for, the reason."""
    last = f"; last: {delivery.reason}" if delivery.reason else ""
    match delivery.state:
        case State.DELIVERED:
            return delivery.note
        case State.WAITING if delivery.attempts:
            return f"{delivery.reason}; again at {output.local(delivery.next_at)}"
        case State.PARKED:
            return f"until {delivery.endpoint} answers{last}"
        case State.DISABLED:
            return f"until `oberon enable {shlex.quote(delivery.service)}`{last}"
    return delivery.reason


def aside(path: Path) -> tuple[str, str]:
    """A corrupt outbox that was set aside, and what there is to do about it."""
    told = f"a corrupt outbox was set aside as {path}; the record in it is missing here"
    return told, f"see worker.log and the disk; `sqlite3 FILE .recover` reads it; then: rm {shlex.quote(str(path))}*"


def as_record(delivery: Delivery) -> dict[str, Any]:
    """For --json."""
    return {
        "id": delivery.id,
        "event": delivery.event,
        "sequence": delivery.sequence,
        "repository": delivery.repository,
        "service": delivery.service,
        "broker": delivery.broker,
        "endpoint": delivery.endpoint,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "repeats": delivery.repeats,
        "created_at": output.iso(delivery.created_at),
        "next_at": output.iso(delivery.next_at) if delivery.state == State.WAITING else None,
        "expires_at": output.iso(delivery.expires_at) if delivery.state in UNFINISHED else None,
        "finished_at": output.iso(delivery.finished_at),
        "reason": delivery.reason,
        "note": delivery.note,
    }


def push_record(push: UnreadPush) -> dict[str, Any]:
    """For --json: a push that is not read."""
    return {
        "event": push.id,
        "sequence": push.sequence,
        "repository": push.repository,
        "state": push.state,
        "attempts": push.attempts,
        "created_at": output.iso(push.created_at),
        "next_at": output.iso(push.next_at) if push.state == State.WAITING else None,
        "reason": push.reason,
    }


def spool_record(spool: Spool) -> dict[str, Any]:
    """For --json."""
    return {"waiting": spool.waiting, "bad": spool.bad, "oldest_s": None if spool.oldest_s is None else round(spool.oldest_s, 1)}


def off(service: DisabledService) -> str:
    """That a service is switched off: where, by whom, since when and why, in one line."""
    why = f": {service.why}" if service.why else ""
    since = f"by {WHO[service.by]} since {output.local(service.at)}"
    return f"{service.name} is switched off for {where(service.repository)} {since}{why}"


def where(repository: str | None) -> str:
    """The repositories for which a service is switched: the one, or (None or '') all."""
    return repository or "all repositories"


def enabling(service: DisabledService) -> str:
    """The command that switches it on."""
    return switch("enable", service.name, service.repository)


def switch(command: str, service: str, repository: str | None) -> str:
    """`oberon COMMAND SERVICE`, to be typed; `repository` None or '': of all."""
    return f"oberon {command} {shlex.quote(service)}" + (f" --repo {shlex.quote(repository)}" if repository else "")


def off_record(service: DisabledService) -> dict[str, Any]:
    """For --json; `repository` is null if it is off for all."""
    return {
        "service": service.name,
        "repository": service.repository or None,
        "by": service.by,
        "since": output.iso(service.at),
        "why": service.why,
    }


def failing(breaker: Breaker) -> str:
    """That an endpoint whose breaker is open fails, and when it is tried, in one line."""
    return f"{fails(breaker)}; next try at {output.local(breaker.open_until)}"


def fails(breaker: Breaker) -> str:
    """That it fails, and since when."""
    return f"{breaker.endpoint} fails since {output.local(breaker.since)}, {number(breaker.failures, 'time', 'times')} in a row"


def breaker_record(breaker: Breaker) -> dict[str, Any]:
    """For --json."""
    return {
        "endpoint": breaker.endpoint,
        "failures": breaker.failures,
        "since": output.iso(breaker.since),
        "next_try_at": output.iso(breaker.open_until),
        "failed_tries": breaker.probes,
        "waiting": breaker.waiting,
    }


def late(found: Late, state_dir: str) -> tuple[str, str]:
    """What is late, in one line, and the command that mends it, or where to look."""
    due = f"{number(found.count, 'push or delivery is', 'pushes or deliveries are')} due since {output.local(found.since)}"
    if found.worker:
        return f"{due}, though a worker runs", f"see {state_dir}/worker.log"
    return f"{due}, and no worker runs", f"oberon run --drain --state-dir {shlex.quote(state_dir)}"


def number(count: int, one: str, many: str) -> str:
    """`1 push`, `2 pushes`."""
    return f"{count} {one if count == 1 else many}"
