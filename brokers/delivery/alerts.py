"""Alerts: when something is given up or switched off, the service that `oberon.alert` names is told, as of a push.

An alert is an event of Oberon's own. It has no refs and the sequence number 0, `Event.alert` says what it is about, and it is
read and delivered like a push: so it is retried, recorded, and lost as little as one. About one service there is at most one
alert in EVERY_S; it says how many were given up since the last. About an alert there is none: the log and `oberon status` tell.
"""

from __future__ import annotations

import json
import logging
import math
import shlex
from dataclasses import replace
from typing import Any

from brokers.config import Configuration
from brokers.delivery.breaker import Run
from brokers.delivery.claims import path_text
from brokers.delivery.spool import new_id
from payload.push import Event, Push, Repository
from payload.text import visible

DEAD, DISABLED, UNREAD = "dead", "disabled", "unread"
"""What an alert is about: a delivery, a service that was switched off, a push that cannot be read."""

EVERY_S = 3600.0

log = logging.getLogger("oberon.worker")


def enter(
    run: Run, scm: str, repository: str, kind: str, service: str, reason: str, now: float, *, about_alert: bool = False
) -> None:
    """In the transaction in which it happened. `service` is '' for a push that cannot be read; `reason` is one line.

    Nothing is entered for a repository whose configuration named no service for alerts when reading a push last began.
    """
    if about_alert:
        log.error("an alert could not be delivered by %s of %s: %s", *map(visible, (service, repository, reason)))
        return
    names = {"repository": path_text(repository), "service": service}
    if not run("wants_alerts", repository=names["repository"]).fetchone():
        return
    last = run("alerted_at", **names).fetchone()
    last_at = 0.0 if last is None or last["alerted_at"] is None else last["alerted_at"]
    if kind != DISABLED and now - last_at < EVERY_S and last_at <= now:
        return
    run("note_alert", **names, now=now)
    dead = run("count_dead_since", **names, since=last_at or math.nextafter(now, 0.0)).fetchone()["n"]
    alert = {
        "kind": kind,
        "service": service,
        "reason": reason,
        "deliveries": dead,
        "text": text_of(kind, repository, service, reason, dead),
    }
    event = Event(new_id(), scm, repository, now, "oberon", "local", alert=alert)
    run(
        "add_event",
        id=event.id,
        repository=path_text(repository),
        sequence=0,
        record=json.dumps(event.to_record()),
        only=None,
        state="waiting",
        attempts=0,
        now=now,
        lease=None,
        until=None,
    )


def text_of(kind: str, repository: str, service: str, reason: str, dead: int) -> str:
    """For people: what happened, why, and the way out; two lines."""
    what, remedy = {
        DEAD: (
            f"{dead} {'delivery' if dead == 1 else 'deliveries'} to {service} of {repository} given up",
            "oberon deliveries --dead; oberon redeliver ID",
        ),
        DISABLED: (f"{service} of {repository} was switched off", f"oberon enable {shlex.quote(service)}"),
        UNREAD: (f"a push to {repository} cannot be read", "oberon deliveries --dead; oberon redeliver ID"),
    }[kind]
    return f"{visible(what)}: {visible(reason)}\n{visible(remedy)}"


def place_of(run: Run, event: str) -> Event:
    """The event of that id, as it was recorded."""
    return Event.from_record(json.loads(run("place_of", id=event).fetchone()["record"]))


def push_of(event: Event, configuration: Configuration) -> Push:
    """The push that stands for an alert where the repository itself cannot be read."""
    settings = configuration.settings
    repository = Repository.named(
        event.scm, event.path, owner=settings.owner, name=settings.name, slug=settings.slug, canon_url=settings.canon_url
    )
    return Push(event, repository, event.login, (), (), 0)


def addressee(configuration: Configuration, alert: dict[str, Any]) -> str | None:
    """The service that is told of `alert`; None where none is, or it is about that one."""
    name = configuration.settings.alert
    return None if name is None or name == alert["service"] or configuration.service(name) is None else name


def without_alert(event: Event) -> Event:
    """For the readers, which know nothing of alerts."""
    return replace(event, alert={})
