"""What every repository of this machine needs: Python, git and hg, the state directory, the worker."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from brokers.cli import listing
from brokers.cli import state as place
from brokers.cli.checks import Check, error, ok, rights, warning
from brokers.cli.versions import own_version, version_of
from brokers.delivery import disk, record, salvage, statedir, surroundings, wake
from brokers.delivery.outbox import OutboxError

ASK_TIMEOUT_S = 30


def python() -> Iterator[Check]:
    """The Python that runs this, and what it has installed."""
    versions = ", ".join(f"{name} {version_of(name) or 'missing'}" for name in ("dulwich", "mercurial", "requests", "urllib3"))
    release = ".".join(map(str, sys.version_info[:3]))
    yield ok("python", f"{sys.executable} {release}, Oberon {own_version()}, {versions}")


def git(*, needed: bool) -> Iterator[Check]:
    """The git on PATH."""
    yield from _program("git", ["git", "version"], needed=needed)


def hg(*, needed: bool) -> Iterator[Check]:
    """The hg on PATH, and whether the Python that runs it can run the hook."""
    found = shutil.which("hg")
    if found is None:
        if needed:
            yield warning(
                "hg", "there is no hg on PATH", "if the server's hg is elsewhere, put its folder on PATH and look again"
            )
        else:
            yield ok("hg", "there is none on PATH, and none is needed for git repositories")
        return
    yield from _program("hg", ["hg", "version", "-q"], needed=needed)
    if needed:
        yield from _hg_python(found)


def _program(name: str, command: list[str], *, needed: bool) -> Iterator[Check]:
    found = shutil.which(command[0])
    if found is None:
        if needed:
            yield error(name, f"there is no {name} on PATH", f"install {name}, or put its folder on PATH")
        else:
            yield ok(name, "there is none on PATH, and none is needed for Mercurial repositories")
        return
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, cwd="/", check=False)
    except (OSError, subprocess.TimeoutExpired) as reason:
        yield error(name, f"{found} cannot be run: {reason}", f"see why `{shlex.join(command)}` fails")
        return
    told = (done.stdout.strip() or done.stderr.strip()).splitlines()
    if done.returncode:
        yield error(name, f"{found} fails: {told[-1] if told else done.returncode}", f"see why `{shlex.join(command)}` fails")
    else:
        yield ok(name, f"{found}, {told[0] if told else ''}")


def _hg_python(found: str) -> Iterator[Check]:
    from hghooks import install

    python = install.hg_python(found)
    if python is None:
        yield warning("hg's python", f"{found} does not say which Python runs it", "see that it can import hghooks")
        return
    reason = install.imports_in(python)
    if reason is None:
        yield ok("hg's python", f"{python} can import the hook")
    else:
        remedy = f"install Oberon for it: {shlex.quote(python)} -m pip install oberon-brokers"
        yield error("hg's python", f"{python} cannot import the hook: {reason}", remedy)


# ----------------------------------------------------------------------------------------------------------------- state


def state(state_dir: str) -> Iterator[Check]:
    """The state directory: there or to be made, ours, private; what lies in it; the worker."""
    looked_at = "state directory"
    trouble = place.trouble(state_dir)
    if trouble is not None:
        yield error(looked_at, trouble.told, trouble.remedy)
    if place.only_adds(state_dir):
        yield from rights.from_outside(state_dir)
        return
    if not place.is_there(state_dir):
        if trouble is None:
            yield ok(looked_at, f"{state_dir} is {place.NOT_THERE}")
        yield from _worker(state_dir)
        return
    if not (Path(state_dir).is_dir() and os.access(state_dir, os.R_OK | os.W_OK | os.X_OK)):
        return
    if trouble is None:
        yield from rights.from_inside(state_dir)
    with place.reported(trouble):
        yield from _spool(state_dir)
        yield from _outbox(state_dir)
    yield from _worker(state_dir)


def _spool(state_dir: str) -> Iterator[Check]:
    spooled = record.spooled(state_dir)
    if spooled.bad:
        bad = Path(state_dir) / "spool" / "bad"
        told = f"{spooled.bad} in {bad} could not be read as events, and were not delivered"
        yield warning("spool", told, f"look into them, then: rm {shlex.quote(str(bad))}/*")
    else:
        yield ok("spool", f"{spooled.waiting} waiting")


def _outbox(state_dir: str) -> Iterator[Check]:
    quoted = shlex.quote(state_dir)
    for path in salvage.lying_aside(state_dir):
        yield error("outbox", *listing.aside(path))
    if (kind := disk.remote_type(state_dir)) is not None:
        told = f"{state_dir} is on {kind}, which several machines share: there SQLite cannot see to it that no two write at once"
        yield warning("outbox", told, "name a directory on a local disk as oberon.stateDir")
    try:
        with record.existing_outbox(state_dir) as outbox:
            dead = record.counts(outbox, "count_deliveries").get("dead", 0) + record.counts(outbox, "count_events").get("dead", 0)
            late = record.late(outbox, record.spooled(state_dir), worker=_runs(state_dir) is not False, now=time.time())
    except OutboxError as reason:
        yield error("outbox", str(reason), f"see `oberon status --state-dir {quoted}`")
        return
    if late is not None:
        yield error("outbox", *listing.late(late, state_dir))
    if dead:
        yield warning("outbox", f"{dead} were given up", f"oberon deliveries --dead --state-dir {quoted}")
    elif late is None:
        yield ok("outbox", "nothing is dead, nothing is late")


def _runs(state_dir: str) -> bool | None:
    """Whether a worker runs; None if this user may not see it."""
    try:
        return record.worker_runs(state_dir)
    except PermissionError:
        return None


def _worker(state_dir: str) -> Iterator[Check]:
    runs = _runs(state_dir)
    if runs is None:
        yield warning("worker", f"{place.me()} may not see whether one runs", "run this as the user the hooks run as")
        return
    if runs:
        yield ok("worker", f"one runs for {state_dir}")
        return
    if statedir.is_shared(state_dir):
        yield rights.no_worker(state_dir)
        return
    # What hooks start, but for `run` and what follows it.
    command = wake.command(state_dir)
    command[command.index("run") :] = ["--version"]
    reason = _start_problem(command)
    if reason is None:
        yield ok("worker", "none runs; the next push starts one")
    else:
        yield error("worker", f"none runs, and none can be started: {reason}", f"see why this fails: {shlex.join(command)}")


def _start_problem(command: list[str]) -> str | None:
    """Why a command fails in the environment in which hooks start a worker; None if it works."""
    environment = surroundings.child_environment(os.environ)
    try:
        done = subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as reason:
        return str(reason)
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"exit code {done.returncode}"
