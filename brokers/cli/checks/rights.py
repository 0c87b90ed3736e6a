"""Whether a state directory's owners and modes let its users do what they have to, and no more."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from brokers.cli import state as place
from brokers.cli.checks import Check, error, ok, settings, warning
from brokers.cli.repository import Repository
from brokers.cli.sources import by_scm
from brokers.delivery import layout, statedir, wake
from brokers.delivery.layout import group_of, name_of
from brokers.errors import ConfigError

LOOKED_AT = "state directory"


def from_inside(state_dir: str) -> Iterator[Check]:
    """As the worker's user, or root: every part of it."""
    worker_uid = layout.worker_uid(state_dir)
    worker = name_of(worker_uid)
    shared = layout.is_meant_to_be_shared(state_dir)
    found = list(layout.flaws(state_dir, worker_uid))
    for flaw in found:
        yield (error if flaw.unsafe or shared else warning)(LOOKED_AT, flaw.told, layout.remedy(state_dir, flaw))
    if shared and (exposed := _exposed(state_dir, worker)):
        yield exposed
    elif os.geteuid() != worker_uid:
        told = f"{state_dir} is {worker}'s, and you are {place.me()}"
        yield warning(LOOKED_AT, told, f"run this as the user the worker runs as: su {worker}")
    elif not found:
        yield ok(LOOKED_AT, _told(state_dir, worker, shared=shared))


def from_outside(state_dir: str) -> Iterator[Check]:
    """As one of those who share it: they can record a push, and see nothing of what is there."""
    worker = name_of(layout.worker_uid(state_dir))
    told = f"{_told(state_dir, worker, shared=True)}; what waits and what failed, only {worker} can see"
    yield ok(LOOKED_AT, told)
    listens = wake.wake(state_dir, os.environ)
    if listens == "woken":
        yield ok("worker", f"one runs for {state_dir}")
    elif listens == "absent":
        yield no_worker(state_dir)
    else:
        yield warning("worker", f"{place.me()} may not wake it: {state_dir}/{wake.SOCKET} is closed", "restart the worker")


def of_repository(repository: Repository, state_dir: str) -> Iterator[Check]:
    """Whether the worker of a shared state directory may go by the repository's settings; as the worker's user only."""
    if not statedir.is_shared(state_dir) or os.geteuid() != layout.worker_uid(state_dir):
        return
    try:
        by_scm(trusted_only=True)[repository.scm].configuration(repository.path)
    except ConfigError as problem:
        yield settings.of_problem(problem)


def no_worker(state_dir: str) -> Check:
    """Where hooks start none."""
    worker = name_of(layout.worker_uid(state_dir))
    remedy = f"as a service: systemctl enable --now oberon-worker.service; or, as {worker}: oberon run"
    told = "none runs, and in a shared state directory hooks start none: pushes are recorded, and wait"
    return error("worker", told, f"{remedy} --state-dir {shlex.quote(state_dir)}")


def _exposed(state_dir: str, worker: str) -> Check | None:
    gids = (Path(state_dir, "spool", "new").stat().st_gid, Path(state_dir).stat().st_gid)
    exposed = layout.exposure(worker, *gids)
    return None if exposed is None else error(LOOKED_AT, *exposed)


def _told(state_dir: str, worker: str, *, shared: bool) -> str:
    found = Path(state_dir).stat()
    mode = stat.S_IMODE(found.st_mode)
    if shared:
        return f"{state_dir}, mode {mode:o}, shared by the group {group_of(found.st_gid)}, {worker} delivers"
    return f"{state_dir}, mode {mode:o}, {worker}'s"
