"""An hg server with both hooks in place, and the events they leave, which no worker takes."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brokers.delivery import spool, wake
from payload.push import Event
from tests.support.hg import HgServer

CHANGEGROUP = "changegroup.oberon = python:hghooks.changegroup.hook\n"
BOOKMARKS = "txnclose-bookmark.oberon = python:hghooks.bookmarks.hook\n"


def hook_into(server: HgServer, state_dir: Path, *, hooks: str = CHANGEGROUP + BOOKMARKS, settings: str = "") -> None:
    """Both hooks, or `hooks`, and `[oberon]` with the state directory and `settings`."""
    server.hgrc(f"[hooks]\n{hooks}[oberon]\nstateDir = {state_dir}\n{settings}")


@contextmanager
def no_worker(state_dir: Path) -> Iterator[None]:
    """The worker's lock is held meanwhile, so that events stay in the spool to be looked at."""
    state_dir.mkdir(mode=0o700, exist_ok=True)
    with (state_dir / wake.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def events(state_dir: Path) -> list[Event]:
    """What the hooks wrote down, oldest first; without what they noted, for nobody."""
    return [Event.from_record(record) for record in _records(state_dir) if record.get("only") != []]


def noted(state_dir: Path) -> list[Event]:
    """The changegroups that they noted, for nobody."""
    return [Event.from_record(record) for record in _records(state_dir) if record.get("only") == []]


def _records(state_dir: Path) -> list[dict[str, Any]]:
    if not (state_dir / "spool" / "new").exists():
        return []
    return [spool.load(path) for path in spool.waiting(str(state_dir))]
