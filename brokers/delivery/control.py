"""Switching services off and on, and what the breakers say. Functions over an open outbox."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from brokers.delivery.breaker import Run
from brokers.delivery.claims import path_text
from brokers.delivery.outbox import Outbox


@dataclass(frozen=True, slots=True)
class DisabledService:
    """A service that is switched off."""

    repository: str
    """'' stands for all."""
    name: str
    at: float
    by: str
    """`admin` or `oberon`."""
    why: str


@dataclass(frozen=True, slots=True)
class Breaker:
    """An endpoint that has failed since it was last reached."""

    endpoint: str
    failures: int
    """In a row."""
    since: float
    open_until: float | None
    """From then on one is tried; None: closed."""
    probes: int
    waiting: int
    """How many deliveries wait for it."""


def disable(outbox: Outbox, service: str, repository: str | None, why: str) -> int:
    """Switch a service off, in one repository or (None) in all; how many deliveries that holds back. They are kept until it is
    enabled, or are too old (`maxAge`).
    """
    with outbox.write() as run:
        run("disable", repository=path_text(repository), service=service, now=outbox.now, by="admin", why=why)
        return len(_held(run, service, repository, outbox.now))


def enable(outbox: Outbox, service: str, repository: str | None) -> int:
    """Switch a service on again, in one repository or (None) in all; how many deliveries that lets go.

    One that is switched off for all repositories stays off in each until it is enabled for all. What is let go is due now,
    and if the breaker of its endpoint is open, so is the next probe.
    """
    now = outbox.now
    with outbox.write() as run:
        run("enable", repository=path_text(repository), service=service)
        released = _held(run, service, repository, now)
        for delivery in {row["endpoint"]: row["id"] for row in released}.values():
            run("probe_now", id=delivery, now=now)
        return len(released)


def _held(run: Run, service: str, repository: str | None, now: float) -> list[sqlite3.Row]:
    return run("hold_back", repository=path_text(repository), service=service, now=now).fetchall()


def disabled(outbox: Outbox) -> list[DisabledService]:
    """The services that are switched off."""
    return [DisabledService(*row) for row in outbox.ask("disabled_services")]


def breakers(outbox: Outbox) -> list[Breaker]:
    """The endpoints that fail."""
    return [Breaker(*row) for row in outbox.ask("list_breakers")]
