"""Which state directory a command is about, and whether a push can be recorded there."""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from brokers.cli.arguments import STATE_VARIABLE
from brokers.cli.repository import Repository
from brokers.config import Configuration, Settings
from brokers.delivery import layout, statedir
from brokers.delivery.layout import name_of
from brokers.errors import ConfigError, PlacedError

MIN_FREE_BYTES = 1024 * 1024
"""With less there is no room for a push, the outbox's next pages and its journal."""

NOT_THERE = "not there yet; the first push makes it"


def of_machine(given: str | None) -> str:
    """For commands about no one repository: `given` (--state-dir), OBERON_STATE_DIR, git's global oberon.stateDir, the default."""
    return _named(given) or statedir.choose(machine_settings().state_dir, os.environ)


def of_repository(given: str | None, repository: Repository) -> str:
    """For commands that may be about one repository: likewise, but its own oberon.stateDir. Raises ConfigError."""
    return _named(given) or repository.state_dir(repository.configuration())


def _named(given: str | None) -> str | None:
    chosen = given or os.environ.get(STATE_VARIABLE)
    return os.path.abspath(chosen) if chosen else None  # noqa: PTH100 - links stay


def machine_settings() -> Settings:
    """What git's system and global configuration say; the defaults where there is no git, or its configuration is broken."""
    return machine_configuration().settings


def machine_configuration() -> Configuration:
    """The same with what is wrong in it."""
    from githooks import config

    try:
        return config.load(None)
    except ConfigError as error:
        return Configuration(Settings(), (), (error,))


# ------------------------------------------------------------------------------------------------------ whether it can be used


class Trouble(NamedTuple):
    """Why no push can be recorded in a state directory."""

    told: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.told}; {self.remedy}"


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is something at `path`, as far as this user can tell."""
    try:
        return Path(path).exists()
    except PermissionError:
        return False


def trouble(state_dir: str) -> Trouble | None:
    """Why this user cannot record a push there; None if nothing is in the way. Nothing is made."""
    quoted = shlex.quote(state_dir)
    place = Path(state_dir)
    nearest = next(folder for folder in (place, *place.parents) if is_there(folder))
    missing = nearest != place
    new = place / "spool" / "new"
    if not nearest.is_dir():
        told = f"{nearest} is not a directory"
        return Trouble(f"{state_dir} cannot be made: {told}" if missing else told, "name another directory as oberon.stateDir")
    if missing and not os.access(nearest, os.W_OK | os.X_OK):
        told = f"{state_dir} is not there, and {me()} cannot make it in {nearest}"
        return Trouble(told, f"install -d -m 700 -o {me()} {quoted}, or name another as oberon.stateDir")
    if only_adds(state_dir):
        return _no_space(place)
    if not missing and not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return _closed(place)
    if is_there(new) and not new.is_dir():
        return Trouble(f"{new} is not a directory", f"move it away: mv {shlex.quote(str(new))} {shlex.quote(str(new))}.old")
    if is_there(new) and not os.access(new, os.R_OK | os.W_OK | os.X_OK):
        return Trouble(f"{me()} cannot write to {new}", f"chown -R {me()} {shlex.quote(str(new.parent))}")
    return (None if missing else _unsafe(state_dir)) or _no_space(nearest)


def only_adds(state_dir: str) -> bool:
    """Whether it is a shared one, in which this user can record a push and see nothing."""
    new = Path(state_dir) / "spool" / "new"
    return statedir.is_shared(state_dir) and os.access(new, os.W_OK | os.X_OK) and not os.access(new, os.R_OK)


def require_sight(state_dir: str) -> None:
    """Raises PlacedError, which says who else to ask, where this user can record a push and see nothing."""
    if only_adds(state_dir):
        worker = name_of(layout.worker_uid(state_dir))
        told = f"it is shared: {me()} can add pushes to it, and not see what becomes of them"
        raise PlacedError(state_dir, f"{told}; run this as the worker's user, `sudo -u {worker} oberon ...`, or ask your admin")


def _closed(place: Path) -> Trouble:
    found = place.stat()
    if stat.S_IMODE(found.st_mode) == layout.PARTS[0].shared_mode:
        group = layout.group_of(found.st_gid)
        told = f"{place} is shared by the group {group}, and {me()} is not in it"
        return Trouble(told, f"usermod --append --groups {group} {me()}, and log in anew")
    told = f"{me()} cannot write to {place}, which is {name_of(found.st_uid)}'s"
    return Trouble(told, f"run this as the user the hooks run as, or chown -R {me()} {shlex.quote(str(place))}")


def _unsafe(state_dir: str) -> Trouble | None:
    """Why the worker does not begin there, or hooks do not write there."""
    worker_uid = layout.worker_uid(state_dir)
    if os.geteuid() not in (0, worker_uid) and not statedir.is_shared(state_dir):
        told = f"the spool in {state_dir} is {name_of(worker_uid)}'s, and not shared"
        group = layout.group_of(Path(state_dir).stat().st_gid)
        return Trouble(
            told, f"as root, for users of the group {group}: oberon init --group {group} --state-dir {shlex.quote(state_dir)}"
        )
    found = next((flaw for flaw in layout.flaws(state_dir, worker_uid) if flaw.unsafe), None)
    return None if found is None else Trouble(found.told, layout.remedy(state_dir, found))


def _no_space(folder: Path) -> Trouble | None:
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize >= MIN_FREE_BYTES:
        return None
    return Trouble(f"no space left in {folder}", "make room, or name a directory on another file system as oberon.stateDir")


def reported(found: Trouble | None) -> suppress:
    """Within it, what cannot be read because of a trouble that is told anyway is passed over."""
    return suppress(*((PlacedError, OSError) if found else ()))


def me() -> str:
    """This user's name."""
    return name_of(os.getuid())
