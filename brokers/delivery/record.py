"""What the state directory tells: deliveries, attempts, pushes not yet read, the spool, the worker. It changes nothing.

Each answer is a typed row (`rows.py`) of a question in `queries.sql`. Times are Unix seconds.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brokers.delivery import spool, wake
from brokers.delivery.outbox import FILE, MAX_LATER, Outbox
from brokers.delivery.outcome import State
from brokers.delivery.rows import Attempt, Delivery, Failing, LastPush, Late, Reading, Spool, UnreadPush
from payload.push import Event

NO_LIMIT = -1  # SQLite's
UNFINISHED = frozenset({State.WAITING, State.PARKED, State.DISABLED, State.LEASED})
STUCK_S = 600.0
"""What is due for so long although a worker runs is stuck."""
UNATTENDED_S = 60.0
"""What is due for so long while no worker runs will wait for the next push; a hook starts one within a second."""


@contextmanager
def existing_outbox(state_dir: str) -> Iterator[Outbox | None]:
    """The outbox of `state_dir`; None where there is none yet, and none is made. Raises OutboxError."""
    if not (Path(state_dir) / FILE).exists():
        yield None
        return
    with Outbox.open(state_dir, time.time) as outbox:
        yield outbox


def deliveries(
    outbox: Outbox | None,
    *,
    repository: str | None = None,
    service: str | None = None,
    state: str | None = None,
    failed: bool = False,
    since: float | None = None,
    most: int = NO_LIMIT,
) -> list[Delivery]:
    """Newest first. `failed`: those that failed and are not delivered since, dead ones too; `since`: entered at or after it."""
    if outbox is None:
        return []
    asked = {"repository": in_outbox(repository), "service": service, "state": state, "failed": failed, "since": since}
    return [Delivery.of(row) for row in outbox.ask("list_deliveries", **asked, most=most)]


def unread(outbox: Outbox | None, repository: str | None = None, most: int = NO_LIMIT) -> list[UnreadPush]:
    """Pushes not yet read, newest first; those that cannot be read are `dead`."""
    rows = outbox.ask("list_unread", repository=in_outbox(repository), most=most) if outbox else []
    return [UnreadPush.of(row) for row in rows]


def readings(outbox: Outbox | None, *, worker: bool, now: float) -> list[Reading]:
    """What a worker is reading, oldest first; nothing where none runs (`worker`), though one that was killed left its notes."""
    return [Reading.of(row) for row in outbox.ask("list_readings", now=now)] if outbox and worker else []


def delivery(outbox: Outbox | None, number: int) -> tuple[Delivery, dict[str, Any], dict[str, Any] | None] | None:
    """A delivery, the facts of its push (`Event.to_record`) and the payload less `broker` and `service`; None if there is none."""
    rows = outbox.ask("show_delivery", id=number) if outbox else []
    if not rows:
        return None
    payload = rows[0]["payload"]
    return Delivery.of(rows[0]), json.loads(rows[0]["record"]), None if payload is None else json.loads(payload)


def unread_push(outbox: Outbox | None, event: str) -> UnreadPush | None:
    """The push of that id, if it is in the outbox and not read."""
    return next((push for push in unread(outbox) if push.id == event), None)


def deliveries_of(outbox: Outbox | None, event: str) -> list[int]:
    """The numbers of a push's deliveries."""
    return [row["id"] for row in outbox.ask("deliveries_of", id=event)] if outbox else []


def attempts(outbox: Outbox, number: int) -> list[Attempt]:
    """A delivery's attempts, oldest first."""
    return [
        Attempt(
            row["number"], row["started_at"], row["duration_s"], row["outcome"], row["reason"], json.loads(row["details"] or "{}")
        )
        for row in outbox.ask("attempts_of", id=number)
    ]


def last_push(outbox: Outbox | None, repository: str) -> LastPush | None:
    """The newest push of a repository that was read; None if there is none."""
    place = in_outbox(repository)
    rows = outbox.ask("last_push", repository=place) if outbox else []
    if outbox is None or not rows:
        return None
    row = rows[0]
    later = outbox.ask("events_after", repository=place, sequence=row["sequence"], most=MAX_LATER)
    return LastPush(
        Event.from_record(json.loads(row["record"])),
        row["sequence"],
        json.loads(row["payload"]),
        tuple(Event.from_record(json.loads(each["record"])) for each in later),
    )


def counts(outbox: Outbox | None, question: str) -> dict[str, int]:
    """How many in each state; `question` is `count_deliveries` or `count_events`."""
    return {row["state"]: row["n"] for row in outbox.ask(question)} if outbox else {}


def failing(outbox: Outbox | None) -> list[Failing]:
    """The services whose newest failure is not mended."""
    return [Failing.of(row) for row in outbox.ask("last_failures")] if outbox else []


def service_names(outbox: Outbox | None, repository: str | None = None) -> list[str]:
    """Of the services that the pushes of a repository (None: of any) ever went to, or that were switched off; in order."""
    rows = outbox.ask("service_names", repository=in_outbox(repository)) if outbox else []
    return [row["name"] for row in rows]


def oldest_waiting_s(outbox: Outbox | None, spooled: Spool, now: float) -> float | None:
    """How old the oldest push or delivery is that still waits, in the outbox or the spool; None if none does."""
    questions = ("count_deliveries", "count_events")
    rows = [row for question in questions for row in outbox.ask(question)] if outbox else []
    ages = [now - row["oldest"] for row in rows if row["state"] in UNFINISHED]
    return max([*ages, *([] if spooled.oldest_s is None else [spooled.oldest_s])], default=None)


def late(outbox: Outbox | None, spooled: Spool, *, worker: bool, now: float) -> Late | None:
    """What should have been delivered long ago: STUCK_S where a `worker` runs, UNATTENDED_S where none does; None if nothing."""
    spooled_at = None if spooled.oldest_s is None else now - spooled.oldest_s
    since = min((at for at in (overdue_since(outbox), spooled_at) if at is not None), default=now)
    if now - since <= (STUCK_S if worker else UNATTENDED_S):
        return None
    due: int = outbox.ask("count_due", now=now)[0]["n"] if outbox else 0
    return Late(due + spooled.waiting, since, worker)


def overdue_since(outbox: Outbox | None) -> float | None:
    """When the first of what is waiting was due; later than now if nothing is late; None if nothing waits."""
    return outbox.next_due_at() if outbox else None


def ended_since(outbox: Outbox, since: float) -> dict[str, int]:
    """How many deliveries ended at or after `since`, by state, and how many still wait."""
    return {row["state"]: row["n"] for row in outbox.ask("ended_since", since=since)}


def spooled(state_dir: str) -> Spool:
    """What lies in the spool of `state_dir`; nothing where there is none. Raises OSError if it may not be listed."""
    if not (Path(state_dir) / "spool").is_dir():
        return Spool()
    waiting = spool.waiting(state_dir)
    oldest_at = None
    if waiting:
        try:
            oldest_at = Path(waiting[0]).lstat().st_mtime
        except FileNotFoundError:
            pass  # the worker took it in meanwhile
    bad = sum(1 for _ in (Path(state_dir) / "spool" / "bad").iterdir())
    return Spool(len(waiting), bad, None if oldest_at is None else max(0.0, time.time() - oldest_at))


def worker_runs(state_dir: str) -> bool:
    """Whether a worker holds the lock of `state_dir`. Raises PermissionError if it may not be asked."""
    lock = Path(state_dir) / wake.LOCK
    if lock.exists() and not os.access(lock, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(lock))
    return wake.is_held(str(lock))


def in_outbox(path: str | None) -> str | None:
    """A repository's path as the outbox has it."""
    return None if path is None else os.fsencode(path).decode("utf-8", "backslashreplace")
