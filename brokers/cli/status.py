"""oberon status: what waits, is being read, failed or died. Fit for Nagios and its like: the exit code is the verdict."""

from __future__ import annotations

import argparse
import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path

from brokers.cli import arguments as common
from brokers.cli import listing, output, state
from brokers.cli.state import Trouble
from brokers.delivery import control, progress, record, salvage, statedir
from brokers.delivery.control import Breaker, DisabledService
from brokers.delivery.outcome import State
from brokers.delivery.rows import Failing, Late, Reading, Spool

_PUSHES = (State.WAITING, State.LEASED, State.READ, State.DEAD)
_DELIVERIES = (State.WAITING, State.LEASED, State.PARKED, State.DISABLED, State.DELIVERED, State.SKIPPED, State.DEAD)
_NONE_RUNS = ("none runs; the next push starts one", "none runs, and in a shared state directory hooks start none")
_FINE = "ok: what was recorded is delivered, or on its way"


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
    breakers: list[Breaker] = field(default_factory=list)
    """Those that are open."""
    disabled: list[DisabledService] = field(default_factory=list)
    aside: list[Path] = field(default_factory=list)
    """Corrupt outboxes that were set aside."""

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
        found += [f"{told}: {remedy}" for told, remedy in map(listing.aside, self.aside)]
        if self.spool.bad:
            where = f"{self.state_dir}/spool/bad"
            found.append(f"{listing.number(self.spool.bad, 'spool file is', 'spool files are')} no event: look into {where}")
        if self.late is not None:
            told, remedy = listing.late(self.late, self.state_dir)
            found.append(f"{told}: {remedy}" if self.late.worker else f"{told}: `{remedy}`")
        found += [f"{listing.off(each)}; `{listing.enabling(each)}`" for each in self.disabled if each.by != "admin"]
        return found

    @property
    def warnings(self) -> list[str]:
        """What is not as it should be, but is seen to, or was wanted."""
        found = [f"{listing.off(each)}; `{listing.enabling(each)}`" for each in self.disabled if each.by == "admin"]
        for each in self.breakers:
            waiting = listing.number(each.waiting, "delivery waits", "deliveries wait")
            told = (
                f"{listing.failing(each)}; {waiting} for it" if each.waiting else f"{listing.fails(each)}; nothing waits for it"
            )
            found.append(told)
        return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon status`."""
    common.describe(
        parser,
        "Count pushes and deliveries by their state, tell how far a large push is read, which endpoints fail, which services\n"
        "are switched off, and the last error of each service that has one.\n"
        "Exit code 1 if no push can be recorded, a push or delivery is dead or is stuck (due for 10 minutes, or for one where\n"
        "no worker runs), a file of the spool cannot be parsed as an event, or Oberon has switched a service off. Else 0; a\n"
        "warning does not change it: an endpoint that fails and is tried now and then, with what is parked for it, or a service\n"
        "that an admin has switched off. The first line is the worst of it: fit for Nagios and its like.",
        """
        oberon status
        oberon status --json | jq .deliveries.waiting
        """,
    )
    common.json(parser)
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if no push can be recorded, or something is dead or stuck."""
    state_dir = state.of_machine(arguments.state_dir)
    state.require_sight(state_dir)
    status = _look(state_dir)
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
        due_at = record.overdue_since(outbox)
        spooled = record.spooled(status.state_dir)
        worker = record.worker_runs(status.state_dir)
        return dataclasses.replace(
            status,
            worker=worker,
            spool=spooled,
            pushes=record.counts(outbox, "count_events"),
            deliveries=record.counts(outbox, "count_deliveries"),
            oldest_waiting_s=record.oldest_waiting_s(outbox, spooled, now),
            overdue_s=None if due_at is None else max(0.0, now - due_at),
            late=record.late(outbox, spooled, worker=worker, now=now),
            reading=record.readings(outbox, worker=worker, now=now),
            failing=record.failing(outbox),
            aside=salvage.lying_aside(status.state_dir),
            breakers=[each for each in control.breakers(outbox) if each.open_until is not None] if outbox else [],
            disabled=control.disabled(outbox) if outbox else [],
        )


def _record(status: _Status) -> dict[str, object]:
    def rounded(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds, 1)

    return {
        "state_dir": status.state_dir,
        "exists": status.exists,
        "worker": status.worker,
        "spool": listing.spool_record(status.spool),
        "pushes": {name.value: status.pushes.get(name, 0) for name in _PUSHES},
        "deliveries": {name.value: status.deliveries.get(name, 0) for name in _DELIVERIES},
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
        "breakers": [listing.breaker_record(each) for each in status.breakers],
        "disabled": [listing.off_record(each) for each in status.disabled],
        "problems": status.problems,
        "warnings": status.warnings,
    }


def _tell(status: _Status) -> None:
    def told(counted: dict[str, int], states: tuple[State, ...]) -> str:
        return ", ".join(f"{counted[name]} {name}" for name in states if counted.get(name)) or "none"

    for level, lines in (("error", status.problems), ("warning", status.warnings)):
        for line in lines:
            output.say(f"{level}: {line}")
    if not (status.problems or status.warnings):
        output.say(_FINE)
    oldest = "" if status.oldest_waiting_s is None else f"; the oldest that waits is {output.span(status.oldest_waiting_s)} old"
    output.table(
        ("", ""),
        [
            ("state", status.state_dir if status.exists or status.trouble else f"{status.state_dir}, {state.NOT_THERE}"),
            ("worker", "runs" if status.worker else _NONE_RUNS[statedir.is_shared(status.state_dir)]),
            ("spool", f"{status.spool.waiting} waiting, {status.spool.bad} bad"),
            ("pushes", told(status.pushes, _PUSHES)),
            ("deliveries", told(status.deliveries, _DELIVERIES) + oldest),
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
