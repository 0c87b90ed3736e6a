"""What a monitor is told: the state directory in numbers, and their text in Prometheus' exposition format 0.0.4.

Names, units and types are as https://prometheus.io/docs/practices/naming asks: seconds and bytes; `_total` only what never
goes down. The record is pruned, so what is counted in it is a gauge; pushes and attempts are counted apart from it, in the
tables `repository` and `attempt_total`, and begin anew only with a new outbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from brokers.delivery import control, record
from brokers.delivery.outbox import FILE, Outbox
from brokers.delivery.outcome import State, Verdict
from brokers.delivery.rows import Spool
from payload import text

Labels = Mapping[str, str]
Samples = Iterable[tuple[Labels, float]]

UNREAD_STATES = (State.WAITING, State.LEASED, State.DEAD)
DELIVERY_STATES = tuple(state for state in State if state is not State.READ)
SWITCHERS = ("admin", "oberon")
"""Who switches a service off."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples."""

    name: str
    kind: Literal["counter", "gauge"]
    told: str
    """What it says, in one line."""
    samples: tuple[tuple[Labels, float], ...]


def of_machine(version: str, *, usable: bool) -> list[Family]:
    """What there is to say even where nothing can be read. `usable`: whether a push can be recorded."""
    return [
        _gauge("oberon_build_info", "Always 1; the version is the label's.", [({"version": version}, 1)]),
        _value(
            "oberon_state_usable", "Whether a push can be recorded in the state directory, as far as this user can tell.", usable
        ),
    ]


def of_state_dir(state_dir: str, spooled: Spool, *, worker: bool) -> list[Family]:
    """The spool, the worker, the size of the outbox."""
    files = {"waiting": spooled.waiting, "bad": spooled.bad}
    return [
        _value("oberon_worker_running", "Whether a worker runs; a hook starts one when it is needed.", worker),
        _gauge("oberon_spool_files", "Files in the spool; bad ones are no events.", _by("state", files)),
        _value(
            "oberon_spool_oldest_age_seconds", "Age of the oldest push that waits in the spool; 0 if none.", spooled.oldest_s or 0
        ),
        _value("oberon_outbox_size_bytes", "Size of the outbox with its journal.", _size_bytes(state_dir)),
    ]


def of_outbox(outbox: Outbox | None, spooled: Spool, now: float, *, per_repository: bool = False) -> list[Family]:
    """Pushes, deliveries, attempts, breakers, services that are off; zeros where there is no outbox yet.

    Deliveries and attempts are told per service, by its name, and broker; with `per_repository` also per repository, which are
    as many times more samples as there are repositories.
    """
    unread = record.counts(outbox, "count_events")
    due_at = record.overdue_since(outbox)
    overdue_s = 0.0 if due_at is None else max(0.0, now - due_at)
    oldest_s = record.oldest_waiting_s(outbox, spooled, now) or 0
    return [
        _counter("oberon_pushes_total", "Pushes recorded.", _pushes(outbox, per_repository=per_repository)),
        _gauge(
            "oberon_unread_pushes",
            "Pushes whose repository was not read yet; dead ones cannot be.",
            _by("state", {state: unread.get(state, 0) for state in UNREAD_STATES}),
        ),
        _value("oberon_oldest_waiting_age_seconds", "Age of the oldest push or delivery that waits; 0 if none does.", oldest_s),
        _value("oberon_overdue_seconds", "How long ago the first of what waits was due; 0 if nothing is late.", overdue_s),
        _gauge(
            "oberon_deliveries",
            "Deliveries in the record. Those delivered or skipped leave it after oberon.keepDays: this goes down, too.",
            _deliveries(outbox, per_repository=per_repository),
        ),
        *_attempts(outbox, per_repository=per_repository),
        *_breakers(outbox),
        *_disabled(outbox, per_repository=per_repository),
    ]


def exposition(families: Iterable[Family]) -> str:
    """Their text; metrics without samples are left out. Control characters in labels are told as escapes."""
    lines = []
    for family in families:
        if family.samples:
            lines += [f"# HELP {family.name} {_escaped(family.told)}", f"# TYPE {family.name} {family.kind}"]
        for labels, value in family.samples:
            told = ",".join(f'{name}="{_label(each)}"' for name, each in labels.items())
            lines.append(f"{family.name}{{{told}}} {_number(value)}" if told else f"{family.name} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


# --------------------------------------------------------------------------------------------------------------- the questions


def _pushes(outbox: Outbox | None, *, per_repository: bool) -> Samples:
    rows = outbox.ask("tally_pushes", per_repository=per_repository) if outbox else []
    return [(_place(row["repository"]), row["n"]) for row in rows] or ([] if per_repository else [({}, 0)])


def _deliveries(outbox: Outbox | None, *, per_repository: bool) -> Samples:
    rows = outbox.ask("tally_deliveries", per_repository=per_repository) if outbox else []
    counted = {(row["repository"], row["service"], row["broker"], row["state"]): row["n"] for row in rows}
    services = dict.fromkeys(key[:3] for key in counted)
    return [
        ({**_service(*service), "state": state}, counted.get((*service, state), 0))
        for service in services
        for state in DELIVERY_STATES
    ]


def _attempts(outbox: Outbox | None, *, per_repository: bool) -> list[Family]:
    rows = outbox.ask("tally_attempts", per_repository=per_repository) if outbox else []
    found = {(row["repository"], row["service"], row["broker"], row["outcome"]): row for row in rows}
    services = dict.fromkeys(key[:3] for key in found)
    # From 0 on, so that the first of a kind is a rise.
    every = [(*service, verdict) for service in services for verdict in Verdict]
    named = {key: {**_service(*key[:3]), "outcome": key[3]} for key in every}
    counted = [(named[key], found[key]["attempts"] if key in found else 0) for key in every]
    lasted = [(named[key], found[key]["duration_s"] if key in found else 0) for key in every]
    last = [(named[key], found[key]["last_at"]) for key in every if key in found]
    return [
        _counter("oberon_attempts_total", "Calls of a broker; outcome retry: failed, and tried again.", counted),
        _counter("oberon_attempt_duration_seconds_total", "How long they took.", lasted),
        _gauge("oberon_last_attempt_timestamp_seconds", "When the last of them ended.", last),
    ]


def _breakers(outbox: Outbox | None) -> list[Family]:
    opened = [each for each in control.breakers(outbox) if each.open_until is not None] if outbox else []
    return [
        _value("oberon_breakers_open", "Endpoints that fail, and are tried now and then only.", len(opened)),
        _gauge(
            "oberon_breaker_failing_since_timestamp_seconds",
            "Since when an endpoint fails whose breaker is open.",
            [({"endpoint": each.endpoint}, each.since) for each in opened],
        ),
        _gauge(
            "oberon_breaker_waiting_deliveries",
            "Deliveries that wait for an endpoint whose breaker is open.",
            [({"endpoint": each.endpoint}, each.waiting) for each in opened],
        ),
    ]


def _disabled(outbox: Outbox | None, *, per_repository: bool) -> list[Family]:
    off = control.disabled(outbox) if outbox else []
    since: dict[tuple[str, str, str], float] = {}
    for each in off:
        key = (each.repository if per_repository else "", each.name, each.by)
        since[key] = min(each.at, since.get(key, each.at))
    return [
        _gauge(
            "oberon_services_disabled",
            "Services that are switched off, by `oberon disable` or by Oberon itself.",
            _by("by", {who: sum(each.by == who for each in off) for who in SWITCHERS}),
        ),
        _gauge(
            "oberon_service_disabled_timestamp_seconds",
            "Since when a service is switched off.",
            [({**_place(place), "service": name, "by": who}, at) for (place, name, who), at in since.items()],
        ),
    ]


def _size_bytes(state_dir: str) -> int:
    size = 0
    for suffix in ("", "-wal"):
        try:
            size += Path(state_dir, FILE + suffix).stat().st_size
        except FileNotFoundError:
            pass  # not there yet, or the last to have it open took it away
    return size


# ------------------------------------------------------------------------------------------------------------------ their text


def _gauge(name: str, told: str, samples: Samples) -> Family:
    return Family(name, "gauge", told, tuple(samples))


def _counter(name: str, told: str, samples: Samples) -> Family:
    return Family(name, "counter", told, tuple(samples))


def _value(name: str, told: str, value: float) -> Family:
    return _gauge(name, told, [({}, value)])


def _by(label: str, counted: Mapping[str, float]) -> Samples:
    return [({label: name}, value) for name, value in counted.items()]


def _place(repository: str) -> Labels:
    return {"repository": repository} if repository else {}


def _service(repository: str, service: str, broker: str) -> Labels:
    return {**_place(repository), "service": service, "broker": broker}


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(float(value), 3))


def _escaped(told: str) -> str:
    return told.replace("\\", "\\\\").replace("\n", "\\n")


def _label(value: str) -> str:
    return _escaped(text.visible(text.repair(value))).replace('"', '\\"')
