"""What follows from how a delivery ended, in the transaction that writes it down: for its endpoint, its service, and who is told.

Functions over a transaction of the outbox; `run` runs a statement by its name.
"""

from __future__ import annotations

import logging

from brokers.delivery import alerts, breaker
from brokers.delivery.breaker import Run
from brokers.delivery.claims import DeliveryClaim, path_text
from brokers.delivery.outcome import Outcome, State, Verdict
from payload.text import visible

FAILING_AT_MOST_S = 120 * 3600.0
"""A service that failed for so long, and to which nothing was delivered meanwhile, is switched off."""
TROUBLE_APART_S = 24 * 3600.0
"""Failures further apart, twice the longest wait between two attempts, do not belong together."""

log = logging.getLogger("oberon.worker")


def follow(run: Run, claim: DeliveryClaim, outcome: Outcome, state: State, now: float) -> None:
    """After an attempt; `state` is the one that the delivery is in now."""
    breaker.noted(run, claim.endpoint, now, reached=outcome.reached)
    names = {"repository": path_text(claim.repository), "service": claim.service}
    if outcome.verdict is Verdict.DELIVERED:
        run("note_service_up", **names)
        return
    if outcome.verdict is Verdict.SKIPPED:
        return
    why = ""
    standing = run("note_service_down", **names, now=now, apart=TROUBLE_APART_S).fetchone() if outcome.called else None
    if standing is None:
        pass  # not the service has failed, but its configuration or the time there was
    elif outcome.gone:
        why = outcome.reason
        run("give_up_waiting", **names, reason=f"given up: {why}", now=now)
    elif now - standing["failing_since"] >= FAILING_AT_MOST_S:
        why = f"nothing was delivered for {FAILING_AT_MOST_S / 3600:g} h; last: {outcome.reason}"
    if why and standing is not None and standing["disabled_at"] is None:
        run("disable", **names, now=now, by="oberon", why=why)
        run("hold_back", **names, now=now)
        log.error(
            "switched off %s of %s: %s; `oberon enable` switches it on", *map(visible, (claim.service, claim.repository, why))
        )
        alerts.enter(run, claim.scm, claim.repository, alerts.DISABLED, claim.service, why, now, about_alert=claim.is_alert)
    elif state is State.DEAD:
        alerts.enter(
            run, claim.scm, claim.repository, alerts.DEAD, claim.service, outcome.reason, now, about_alert=claim.is_alert
        )


def expire(run: Run, now: float) -> int:
    """End what has waited for longer than its `maxAge`; how many."""
    expired = run("expire", now=now).fetchall()
    told = {}
    for row in expired:
        told[row["repository"], row["service"]] = row
    for row in told.values():
        event = alerts.place_of(run, row["event"])
        alerts.enter(run, event.scm, event.path, alerts.DEAD, row["service"], row["reason"], now, about_alert=bool(event.alert))
    return len(expired)
