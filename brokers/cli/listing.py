"""Deliveries and pushes as the commands print them: rows and one-line notes for people, records for --json."""

from __future__ import annotations

import shlex
from typing import Any

from brokers.cli import output
from brokers.delivery.outcome import State
from brokers.delivery.record import Delivery, Late, Spool, UnreadPush

HEADS = ("ID", "PUSH", "REPOSITORY", "SERVICE", "STATE", "TRIES", "WHEN", "REASON OR NOTE")


def row(delivery: Delivery) -> tuple[str, ...]:
    """The cells under HEADS."""
    return (
        str(delivery.id),
        f"#{delivery.sequence}",
        delivery.repository,
        delivery.service,
        delivery.state,
        str(delivery.attempts),
        output.local(delivery.finished_at or delivery.created_at),
        told(delivery),
    )


def told(delivery: Delivery) -> str:
    """What there is to say of its state: the note of a delivered one, the reason of another, when it is due."""
    if delivery.state == State.DELIVERED:
        return delivery.note
    if delivery.state == State.WAITING and delivery.attempts:
        return f"{delivery.reason}; again at {output.local(delivery.next_at)}"
    return delivery.reason


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


def late(found: Late, state_dir: str) -> tuple[str, str]:
    """What is late, in one line, and the command that mends it, or where to look."""
    due = f"{number(found.count, 'push or delivery is', 'pushes or deliveries are')} due since {output.local(found.since)}"
    if found.worker:
        return f"{due}, though a worker runs", f"see {state_dir}/worker.log"
    return f"{due}, and no worker runs", f"oberon run --drain --state-dir {shlex.quote(state_dir)}"


def number(count: int, one: str, many: str) -> str:
    """`1 push`, `2 pushes`."""
    return f"{count} {one if count == 1 else many}"
