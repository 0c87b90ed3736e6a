"""Whose turn it is: deliveries that are due, claimed many at a time in one transaction.

Functions over a transaction of the outbox (`Database.write`); `run` runs a statement by its name. Each row that SQLite gives, as
each statement, lets the pool's threads have the interpreter, and waits to get it back: so all rows come as one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Container, Iterable
from typing import Any, NamedTuple

from brokers.delivery import breaker
from brokers.delivery.breaker import Run
from brokers.delivery.claims import DeliveryClaim

AHEAD_CHARS = 16 * 1024 * 1024
"""Of the payloads of one turn: what is claimed ahead is kept in memory. What a thread is free for is claimed however long it is."""


class _Due(NamedTuple):
    next_at: float
    id: int
    endpoint: str
    is_suspect: bool
    """A worker was killed with it."""


def claim(
    run: Run,
    now: float,
    lease: str,
    *,
    lease_s: float,
    per_endpoint: int,
    most: int,
    quick: Collection[str] = (),
    ahead: int = 0,
) -> list[DeliveryClaim]:
    """At most `most` deliveries, those that have been due longest, in that order, each under a lease that begins with `lease`.

    Passed over are those of services that are switched off, those whose endpoint has `per_endpoint` under lease already ('' is
    no endpoint) or an open breaker, and `ordered` ones behind a push that is unread or unfinished. One that a worker was killed
    with comes last, or alone. Beyond `most` come `ahead` more, of endpoints that are `quick`: whose share is greater by as many.
    """
    room = most + ahead if quick else most
    left = defaultdict(lambda: per_endpoint, dict.fromkeys(quick, per_endpoint + ahead))
    left[""] = most
    probed = set()
    for endpoint, busy, by_breaker, probes in json.loads(run("shares", now=now, draining=breaker.DRAINING).fetchone()["shares"]):
        left[endpoint] = (left[endpoint] if by_breaker is None else min(per_endpoint, by_breaker)) - busy
        if probes:
            probed.add(endpoint)
    turn: list[_Due] = []
    while len(turn) < room and not (turn and turn[-1].is_suspect):
        asked = {"now": now, "full": json.dumps([endpoint for endpoint, share in left.items() if share <= 0])}
        rows = json.loads(run("due_deliveries", **asked, most=room).fetchone()["due"])
        rows += json.loads(run("due_in_line", **asked).fetchone()["due"])
        more = _in_turn({_Due(*row) for row in rows}.difference(turn), left, most - len(turn), room - len(turn), quick)
        if not more:
            break
        turn += more
    if len(turn) > most:
        del turn[max(most, _fitting(run, turn)) :]
    claims = _claimed(run, turn, lease, now + lease_s, probed) if turn else []
    for claim in claims:
        if claim.is_probe:
            breaker.claimed(run, claim.endpoint, now)
    return claims


def _in_turn(due: Iterable[_Due], left: dict[str, int], most: int, room: int, quick: Collection[str]) -> list[_Due]:
    """Of what is due `most`, of `quick` endpoints up to `room`, and as much as is `left` to its endpoint, which becomes less; up
    to the first that a worker was killed with.
    """
    turn: list[_Due] = []
    for one in sorted(due):
        if left[one.endpoint] > 0 and len(turn) < (room if one.endpoint in quick else most):
            left[one.endpoint] -= 1
            turn.append(one)
            if one.is_suspect:
                break
    return turn


def _fitting(run: Run, turn: list[_Due]) -> int:
    """How many of them have payloads of AHEAD_CHARS together."""
    n: int = run("count_fitting", ids=json.dumps([due.id for due in turn]), chars=AHEAD_CHARS).fetchone()["n"]
    return n


def _claimed(run: Run, turn: list[_Due], lease: str, until: float, probed: Container[str]) -> list[DeliveryClaim]:
    ids = json.dumps([due.id for due in turn])
    run("claim_deliveries", ids=ids, lease=lease, until=until)
    lines: str = run("claimed_deliveries", ids=ids).fetchone()["lines"]
    claims = {claim.id: claim for claim in (_claim(line, probed) for line in lines.split("\n"))}
    return [claims[due.id] for due in turn]


def _claim(line: str, probed: Container[str]) -> DeliveryClaim:
    """From a line of `claimed_deliveries`; `probed` are the endpoints whose open breaker lets one through."""
    columns, event, payload = line.split("\t")
    row: dict[str, Any] = json.loads(columns)
    record = json.loads(event)
    return DeliveryClaim(
        scheduled_attempts=row["attempts"] - row.pop("schedule_from"),
        **row,
        scm=record["scm"],
        repository=record["path"],
        payload=payload,
        is_alert="alert" in record,
        is_probe=row["endpoint"] in probed,
    )
