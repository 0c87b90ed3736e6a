"""The breaker of each endpoint: one that fails is left alone, and tried now and then until it is back.

After OPENS_AFTER failures in a row it opens: what waits for the endpoint is *parked*, which is to say due when the breaker lets the
next one through. That one is the probe, FIRST_PROBE_S later; each that fails doubles the wait, to LONGEST_PROBE_S at most. The
first that succeeds closes the breaker: all that was parked is due, and goes out oldest first, at most DRAINING at once, until
none is left of what waited then; what failed before and had longer to wait than the breaker keeps its own time. Nothing is dropped; what is too old meanwhile ends as dead like any other (`maxAge`).

Counted is what speaks of the endpoint (`Outcome.reached`): no connection, time-outs, broken answers, 5xx. A service that is
refused, by 404 say, says nothing against the others at that host.

Functions over a transaction of the outbox (`Database.write`); `run` runs a statement by its name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

Run = Callable[..., sqlite3.Cursor]

OPENS_AFTER = 5
FIRST_PROBE_S = 10.0
LONGEST_PROBE_S = 3600.0
DRAINING = 4


def wait_s(probes: int) -> float:
    """Seconds until the next probe, when `probes` of them have been made since the breaker opened."""
    return min(LONGEST_PROBE_S, FIRST_PROBE_S * 2.0 ** min(probes, 16))


def claimed(run: Run, endpoint: str, now: float) -> None:
    """A delivery to `endpoint` is under way: if its breaker is open that is the probe, and the others wait for the next."""
    row = run("begin_probe", endpoint=endpoint).fetchone() if endpoint else None
    if row is not None:
        _open(run, endpoint, now + wait_s(row["probes"]))


def noted(run: Run, endpoint: str, now: float, *, reached: bool | None) -> None:
    """What an attempt tells of `endpoint`; None: nothing, as '' for an endpoint that nobody named."""
    if not endpoint or reached is None:
        return
    if reached:
        _up(run, endpoint, now)
    else:
        _down(run, endpoint, now)


def _down(run: Run, endpoint: str, now: float) -> None:
    row = run("note_endpoint_down", endpoint=endpoint, now=now).fetchone()
    if row["open_until"] is not None or row["failures"] >= OPENS_AFTER:
        _open(run, endpoint, now + wait_s(row["probes"]))


def _up(run: Run, endpoint: str, now: float) -> None:
    row = run("note_endpoint_up", endpoint=endpoint).fetchone()
    if row is None:
        return
    if row["open_until"] is not None:
        run("close_breaker", endpoint=endpoint, now=now)
        run("let_go", endpoint=endpoint, now=now, until=row["open_until"])
    run("forget_breaker", endpoint=endpoint, now=now)


def _open(run: Run, endpoint: str, until: float) -> None:
    run("open_breaker", endpoint=endpoint, until=until)
    run("park", endpoint=endpoint, until=until)
