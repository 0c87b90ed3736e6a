"""What the recorded pushes make of a repository's refs, in whatever order they came in.

A push from OLD to NEW adds one to NEW's balance and takes one from OLD's, beginning with one for the node where the ref was
when it was first heard of. So the balances of a ref add up to one; and as every push that left a node but the last came from
a push that led to it, all of them are 0 but that of the node where the ref stands, which is 1. Where it stands elsewhere, or
others are not 0, pushes are missing: from where there is too much to where there is too little.

Where a ref was before the first push that is known of it is a guess until SETTLED_S later: a push from before may come in
after it. `guessed` are the nodes that may be it, `start` the one that counts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from brokers.delivery.breaker import Run
from brokers.delivery.claims import path_text
from payload.push import Event

Move = tuple[str, str, str]
"""Ref, old and new node."""

NONE = "0" * 40  # also in SHA-256 repositories
SKEW_S = 10.0
"""The hooks of two pushes may run in another order than the pushes did, and so much apart at most."""
MOST_GUESSES = 8  # of one ref; hooks of more pushes do not run all at once
SETTLED_S = 3600.0


@dataclass(slots=True)
class RefState:
    """The rows of one ref."""

    balances: dict[str, int] = field(default_factory=dict)
    guessed: set[str] = field(default_factory=set)
    start: str | None = None
    """None once it is no guess any more."""

    def residue(self, node: str) -> tuple[list[str], list[str]]:
        """Where there is too much, and where too little, for a ref that stands at `node`; as many of each, none if all is told.

        A node that is too much by two is there twice.
        """
        found = dict(self.balances)
        found[node] = found.get(node, 0) - 1
        surplus = [each for each, count in found.items() for _ in range(count)]
        deficit = [each for each, count in found.items() for _ in range(-count)]
        return surplus, deficit

    def misguessed(self, surplus: Iterable[str], deficit: Iterable[str]) -> list[tuple[str, str]]:
        """(from, to) of where the start was taken to be, and was not: no push is missing there."""
        too_much = [each for each in surplus if each in self.guessed]
        too_little = [each for each in deficit if each in self.guessed and self.balances.get(each, 0) < 0]
        return list(zip(too_much, too_little, strict=False))


def keep(run: Run, repository: str, event: Event) -> None:
    """Count in what `event` says; within the transaction that enters it, for it must be counted once."""
    if event.scm == "hg":
        if event.first is not None:
            run("add_changegroup", repository=repository, first=event.first, last=event.last or event.first)
        return
    moves = [(path_text(update.ref), plain(update.old), plain(update.new)) for update in event.refs]
    if not moves:
        return
    base = run("baseline_of", repository=repository).fetchone()
    begin(run, repository, [(ref, old) for ref, old, _ in moves], event.time, base["refs"].split() if base else ())
    shift(run, repository, moves)
    asked = json.dumps([move[0] for move in moves])
    olds = {ref: old for ref, old, _ in moves}
    early = {"time": event.time, "skew_s": SKEW_S, "most": MOST_GUESSES}
    for row in run("early_refs", repository=repository, refs=asked, **early).fetchall():
        place = {"repository": repository, "ref": row["ref"], "node": olds[row["ref"]]}
        if event.time < row["since"]:
            run("unstart_ref", **{**place, "node": row["node"]}, guessed=row["since"] - event.time <= SKEW_S)
            run("start_ref", **place, time=event.time)
        else:
            run("guess_ref", **place)
    run("tidy_refs", repository=repository, refs=asked)


def begin(run: Run, repository: str, places: Sequence[tuple[str, str]], time: float, known: Sequence[str] = ()) -> None:
    """Of refs that have no rows yet: (ref, node) where each was at `time`. Those that begin as one of `known` were not there."""
    run(
        "begin_refs",
        repository=repository,
        places=json.dumps(places),
        known=json.dumps([prefix for prefix in known if prefix]),
        none=NONE,
        time=time,
    )


def shift(run: Run, repository: str, moves: Iterable[Move]) -> None:
    """Count moves of refs."""
    add(run, repository, [each for ref, old, new in moves for each in ((ref, old, -1), (ref, new, 1))])


def add(run: Run, repository: str, balances: Sequence[tuple[str, str, int]]) -> None:
    """Add (ref, node, balance) to what is there."""
    run("add_balances", repository=repository, balances=json.dumps(balances))


def states(rows: Iterable[sqlite3.Row]) -> dict[str, RefState]:
    """By ref, as `path_text` has it; from the rows of `ref_rows`."""
    found: dict[str, RefState] = {}
    for row in rows:
        state = found.setdefault(row["ref"], RefState())
        state.balances[row["node"]] = row["balance"]
        if row["guessed"]:
            state.guessed.add(row["node"])
        if row["since"] is not None:
            state.start = row["node"]
    return found


def plain(node: str) -> str:
    """A node as it is kept: no node is NONE, whatever its length."""
    return node if node.strip("0") else NONE
