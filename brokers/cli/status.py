"""oberon status: what waits, is being read, failed or died. Fit for Nagios and its like: the exit code is the verdict."""

from __future__ import annotations

import argparse
import dataclasses
import time
from dataclasses import dataclass, field

from brokers.cli import arguments as common
from brokers.cli import listing, output, state
from brokers.cli.state import Trouble
from brokers.delivery import progress, record
from brokers.delivery.outcome import State
from brokers.delivery.record import Failing, Late, Reading, Spool

_SHOWN = (State.WAITING, State.LEASED, State.READ, State.DELIVERED, State.SKIPPED, State.DEAD)


@dataclass(frozen=True, slots=True)
class _Status:
    state_dir: str
    exists: bool
    trouble: Trouble | None
    now: float
    worker: bool = False
    spool: Spool = field(default_factory=Spool)
    pushes: dict[str, int] = field(default_factory=dict)
    deliveries: dict[str, int] = field(default_factory=dict)
    oldest_waiting_s: float | None = None
    overdue_s: float | None = None
    late: Late | None = None
    reading: list[Reading] = field(default_factory=list)
    failing: list[Failing] = field(default_factory=list)

    def elapsed_s(self, reading: Reading) -> float:
        """How long it has been going on."""
        return max(0.0, self.now - reading.started_at)

    @property
    def problems(self) -> list[str]:
        """What makes the exit code 1."""
        found = [] if self.trouble is None else [str(self.trouble)]
        if dead := self.deliveries.get(State.DEAD, 0):
            found.append(f"{listing.number(dead, 'delivery is', 'deliveries are')} dead: see `oberon deliveries --dead`")
        if dead := self.pushes.get(State.DEAD, 0):
            found.append(f"{listing.number(dead, 'push', 'pushes')} could not be read: see `oberon deliveries --dead`")
        if self.spool.bad:
            where = f"{self.state_dir}/spool/bad"
            found.append(f"{listing.number(self.spool.bad, 'spool file is', 'spool files are')} no event: look into {where}")
        if self.late is not None:
            told, remedy = listing.late(self.late, self.state_dir)
            found.append(f"{told}: {remedy}" if self.late.worker else f"{told}: `{remedy}`")
        return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon status`."""
    common.describe(
        parser,
        "Count pushes and deliveries by their state, tell how far a large push is read, and the last error of each service that\n"
        "has one.\n"
        "Exit code 1 if no push can be recorded, a push or delivery is dead or is stuck (due for 10 minutes, or for one where no\n"
        "worker runs), or a file of the spool cannot be parsed as an event; else 0: fit for monitoring.",
        """
        oberon status
        oberon status --json | jq .deliveries.waiting
        """,
    )
    common.json(parser)
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if no push can be recorded, or something is dead or stuck."""
    status = _look(state.of_machine(arguments.state_dir))
    if arguments.json:
        output.as_json(_record(status))
    else:
        _tell(status)
    return 1 if status.problems else 0


def _look(state_dir: str) -> _Status:
    trouble = state.trouble(state_dir)
    status = _Status(state_dir, state.is_there(state_dir), trouble, time.time())
    with state.reported(trouble):
        return _counted(status)
    return status


def _counted(status: _Status) -> _Status:
    now = status.now
    with record.existing_outbox(status.state_dir) as outbox:
        oldest_at, due_at = record.oldest_waiting_at(outbox), record.overdue_since(outbox)
        spooled = record.spooled(status.state_dir)
        worker = record.worker_runs(status.state_dir)
        ages = [age for age in (None if oldest_at is None else now - oldest_at, spooled.oldest_s) if age is not None]
        return dataclasses.replace(
            status,
            worker=worker,
            spool=spooled,
            pushes=record.counts(outbox, "count_events"),
            deliveries=record.counts(outbox, "count_deliveries"),
            oldest_waiting_s=max(ages, default=None),
            overdue_s=None if due_at is None else max(0.0, now - due_at),
            late=record.late(outbox, spooled, worker=worker, now=now),
            reading=record.readings(outbox, worker=worker, now=now),
            failing=record.failing(outbox),
        )


def _record(status: _Status) -> dict[str, object]:
    def rounded(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds, 1)

    return {
        "state_dir": status.state_dir,
        "exists": status.exists,
        "worker": status.worker,
        "spool": listing.spool_record(status.spool),
        "pushes": {name: status.pushes.get(name, 0) for name in ("waiting", "leased", "read", "dead")},
        "deliveries": {name: status.deliveries.get(name, 0) for name in ("waiting", "leased", "delivered", "skipped", "dead")},
        "oldest_waiting_s": rounded(status.oldest_waiting_s),
        "overdue_s": rounded(status.overdue_s),
        "reading": [
            {
                "repository": reading.repository,
                "event": reading.event,
                "commits_read": reading.commits_read,
                "commits_total": reading.commits_total,
                "elapsed_s": round(status.elapsed_s(reading), 1),
            }
            for reading in status.reading
        ],
        "failing": [
            {
                "repository": service.repository,
                "service": service.service,
                "state": service.state,
                "reason": service.reason,
                "delivery": service.id,
            }
            for service in status.failing
        ],
        "problems": status.problems,
    }


def _tell(status: _Status) -> None:
    def told(counted: dict[str, int]) -> str:
        return ", ".join(f"{counted[name]} {name}" for name in _SHOWN if counted.get(name)) or "none"

    oldest = "" if status.oldest_waiting_s is None else f"; the oldest that waits is {output.span(status.oldest_waiting_s)} old"
    output.table(
        ("", ""),
        [
            ("state", status.state_dir if status.exists or status.trouble else f"{status.state_dir}, {state.NOT_THERE}"),
            ("worker", "runs" if status.worker else "none runs; the next push starts one"),
            ("spool", f"{status.spool.waiting} waiting, {status.spool.bad} bad"),
            ("pushes", told(status.pushes)),
            ("deliveries", told(status.deliveries) + oldest),
        ],
    )
    if status.reading:
        output.say()
        output.table(
            ("READING", "EVENT", "FOR", "PROGRESS"),
            [
                (
                    reading.repository,
                    reading.event,
                    output.span(status.elapsed_s(reading)),
                    progress.told(reading.commits_read, reading.commits_total),
                )
                for reading in status.reading
            ],
        )
    if status.failing:
        output.say()
        rows = [
            (service.repository, service.service, service.state, str(service.id), service.reason) for service in status.failing
        ]
        output.table(("REPOSITORY", "SERVICE", "STATE", "ID", "LAST ERROR"), rows)
    for problem in status.problems:
        output.say(f"error: {problem}")
