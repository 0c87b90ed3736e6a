"""The lanes of `githooks.reading` on one event: each has to tell the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from brokers.config import Settings
from githooks.reading import read
from payload.push import Event, Push
from tests.support.histories import event

LANES = ("dulwich", "git")
LATE = 4_000_000_000.0  # no file of a ref is younger

Move = tuple[str, str | None, str | None]
"""Ref, old and new node; None: none."""


def told(asked: Event, settings: Settings, *, lane: str | None = None, later: Sequence[Event] = ()) -> Push:
    """The push as `lane` tells it. If it is the last of them, or None, all have told the same, and so has what mixes them."""
    if lane in LANES[:-1]:
        return read(asked, replace(settings, git_reader=lane), later=later)
    found = {name: read(asked, replace(settings, git_reader=name), later=later) for name in (*LANES, "auto")}
    first = found[LANES[0]]
    for name, other in found.items():
        assert repr(other) == repr(first), f"{name} differs from {LANES[0]}"
    return first


def tell(path: Path, *moves: Move, lane: str | None = None, environment: dict[str, str] | None = None, **options: object) -> Push:
    """`told`, of a push that made `moves` in the repository at `path`, long ago; `options` are of `Settings`."""
    asked = event(path, moves, time=LATE, environment=environment or {})
    return told(asked, Settings(**options), lane=lane)  # type: ignore[arg-type]  # each as its setting has it


def nodes(push: Push) -> list[str]:
    """Full names of its commits."""
    return [commit.node for commit in push.commits]
