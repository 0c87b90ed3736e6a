"""Whose turn it is: deliveries that are due, claimed many at a time in one transaction.

Functions over a transaction of the outbox (`Database.write`); `run` runs a statement by its name.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence

from brokers.delivery import breaker
from brokers.delivery.breaker import Run
from brokers.delivery.claims import DeliveryClaim


def claim(run: Run, now: float, lease: str, *, lease_s: float, per_endpoint: int, most: int) -> list[DeliveryClaim]:
    """At most `most` deliveries, those that have been due longest, in that order, each under a lease that begins with `lease`.

    Passed over are those of services that are switched off, those whose endpoint has `per_endpoint` under lease already ('' is
    no endpoint) or an open breaker, and `ordered` ones behind a push that is unread or unfinished. One that a worker was killed
    with comes last, or alone.
    """
    claims: list[DeliveryClaim] = []
    while len(claims) < most and not (claims and claims[-1].interrupted):
        shares = {"per_endpoint": per_endpoint, "draining": breaker.DRAINING}
        rows = _in_turn(run("due_deliveries", now=now, most=most - len(claims), **shares).fetchall())
        if not rows:
            break
        claims += _claimed(run, rows, lease, now + lease_s)
        for row in rows:
            if row["probes"]:
                breaker.claimed(run, row["endpoint"], now)
    return claims


def _in_turn(due: Sequence[sqlite3.Row]) -> list[sqlite3.Row]:
    """Of what is due, as much as its endpoints' shares allow, up to the first that a worker was killed with."""
    taken: Counter[str] = Counter()
    rows = []
    for row in due:
        if row["share"] is not None and taken[row["endpoint"]] >= row["share"]:
            continue
        taken[row["endpoint"]] += 1
        rows.append(row)
        if row["suspect"]:
            break
    return rows


def _claimed(run: Run, rows: Sequence[sqlite3.Row], lease: str, until: float) -> list[DeliveryClaim]:
    ids = [row["id"] for row in rows]
    claimed = {row["id"]: row for row in run("claim_deliveries", ids=json.dumps(ids), lease=lease, until=until)}
    return [_claim(claimed[number]) for number in ids]


def _claim(row: sqlite3.Row) -> DeliveryClaim:
    record = json.loads(row["record"])
    return DeliveryClaim(
        id=row["id"],
        event=row["event"],
        scm=record["scm"],
        repository=record["path"],
        service=row["service"],
        endpoint=row["endpoint"],
        attempts=row["attempts"],
        scheduled_attempts=row["attempts"] - row["schedule_from"],
        repeats=row["repeats"],
        created_at=row["created_at"],
        payload=row["payload"],
        lease=row["lease"],
        interrupted=row["interrupted"],
        is_alert="alert" in record,
    )
