"""Who may do what in a state directory: what `oberon init` makes and mends, the worker minds, and `oberon doctor` tells.

Private, it is all its user's alone (700, files 600). Shared, by `oberon init --group G`, for hooks that run as the many
users of the group G, and a worker that runs as one user:

    STATE_DIR/        2710  worker : G                members pass, and do not list; what is made here is of the group G
    STATE_DIR/spool/   710  worker : G
    spool/new, tmp    3733  worker : worker's group   who has come so far may add, and not list; sticky: not remove, not rename
    spool/bad          700  worker : worker's group
    a spool file       640  pusher : worker's group   from the directory (setgid), so that only the worker reads it
    oberon.sock        660  worker : G                members may wake the worker
    other files        600  worker

The outer two directories are the gate: whoever is not in G does not get past them. So the drop boxes themselves need not
be of the group G, and the files in them are not: a file of that group could be read by each member who knew its name, and
one that the group may not read, not by a worker in that group - where it often has to be, to read the repositories. As in
Postfix (`maildrop`), nobody but the worker needs to be trusted with what others have pushed.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from brokers.delivery.database import FILE
from brokers.delivery.statedir import DROP_BOX_MODE, PRIVATE_MODE, is_shared
from brokers.delivery.wake import LOCK
from brokers.errors import PlacedError

FILE_MODE = 0o600
SOCKET_MODE = 0o660
LOG = "worker.log"
LOADED = "brokers.json"


class UnsafeStateError(PlacedError):
    """A state directory in which the worker does not begin: others could make it deliver, or lose, what they like."""


@dataclass(frozen=True, slots=True)
class Part:
    """One directory of a state directory: `name` below it, '' for itself."""

    name: str
    shared_mode: int
    of_group: bool
    """Whether, shared, it is of the pushers' group; else of the worker's own."""

    def mode(self, *, shared: bool) -> int:
        """Its mode bits."""
        return self.shared_mode if shared else PRIVATE_MODE


PARTS = (
    Part("", 0o2710, of_group=True),
    Part("spool", 0o710, of_group=True),
    Part("spool/tmp", DROP_BOX_MODE, of_group=False),
    Part("spool/bad", PRIVATE_MODE, of_group=False),
    Part("spool/new", DROP_BOX_MODE, of_group=False),  # the last: that it is there says that the others are
)
"""In the order in which they are made."""

FILES = (FILE, f"{FILE}-wal", f"{FILE}-shm", LOCK, LOG, LOADED)
"""Those of the worker alone, where they are there."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in a state directory that is not as it should be."""

    path: str
    told: str
    unsafe: bool = False
    """Whether others can do harm by it: then the worker does not begin."""


def require_safe(state_dir: str) -> None:
    """Of the worker, when it begins. Raises UnsafeStateError, naming the way out, or OSError."""
    for flaw in flaws(state_dir, os.geteuid()):
        if flaw.unsafe:
            raise UnsafeStateError(state_dir, f"{flaw.told}; see `oberon doctor --state-dir {shlex.quote(state_dir)}`")


def flaws(state_dir: str, worker_uid: int) -> Iterator[Flaw]:
    """What is wrong with the state directory of a worker that runs as `worker_uid`; what is not there yet is not wrong.

    Raises OSError if it may not be looked at.
    """
    whole = _Whole(
        shared=is_meant_to_be_shared(state_dir),
        gate_is_open=all(_others_pass(Path(state_dir) / part.name) for part in PARTS if part.of_group),
        worker_uid=worker_uid,
        pushers_gid=Path(state_dir).stat().st_gid,
    )
    for part in PARTS:
        path = str(Path(state_dir) / part.name)
        found = _at(path, follow=not part.name)
        if found is not None:
            yield from _of_directory(path, found, part, whole)
    for name in FILES:
        path = str(Path(state_dir) / name)
        found = _at(path, follow=True)
        if found is not None:
            yield from _of_file(path, found, worker_uid)


@dataclass(frozen=True, slots=True)
class _Whole:
    """What is judged of one part by the others."""

    shared: bool
    gate_is_open: bool
    worker_uid: int
    pushers_gid: int


def _of_directory(path: str, found: os.stat_result, part: Part, whole: _Whole) -> Iterator[Flaw]:
    mode, wanted = stat.S_IMODE(found.st_mode), part.mode(shared=whole.shared)
    if not stat.S_ISDIR(found.st_mode):
        yield Flaw(path, f"{path} is {'a symbolic link' if stat.S_ISLNK(found.st_mode) else 'not a directory'}", unsafe=True)
        return
    if found.st_uid != whole.worker_uid:
        # The directory itself may be a mount's, or made by root; what lies in it is the worker's.
        unsafe = whole.shared or bool(part.name)
        yield Flaw(path, _not_the_workers(path, found, whole.worker_uid), unsafe)
    if mode & stat.S_IWOTH and (whole.gate_is_open or mode != wanted):
        yield Flaw(path, f"{path} may be written by everybody (mode {mode:o})", unsafe=True)
    elif mode != wanted and (whole.shared or mode & ~PRIVATE_MODE):
        yield Flaw(path, f"{path} has mode {mode:o}, and should have {wanted:o}")
    if whole.shared and (found.st_gid == whole.pushers_gid) != part.of_group:
        wrong = f"{path} is of the group {group_of(found.st_gid)}"
        pushers = group_of(whole.pushers_gid)
        yield Flaw(
            path, f"{wrong}, and should be of {pushers}" if part.of_group else f"{wrong}, which could read what lies there"
        )


def _of_file(path: str, found: os.stat_result, worker_uid: int) -> Iterator[Flaw]:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != worker_uid:
        yield Flaw(path, _not_the_workers(path, found, worker_uid))
    elif mode & ~FILE_MODE:
        yield Flaw(path, f"{path} has mode {mode:o}, and should have {FILE_MODE:o}")


def is_meant_to_be_shared(state_dir: str) -> bool:
    """Whether it is shared, or was until somebody changed the mode of its spool. Raises OSError if it cannot be looked at."""
    return is_shared(state_dir) or stat.S_IMODE(Path(state_dir).stat().st_mode) == PARTS[0].shared_mode


def worker_uid(state_dir: str) -> int:
    """The user whose worker it is: whose the spool is, else the directory itself. Raises OSError if it cannot be looked at."""
    found = _at(str(Path(state_dir) / PARTS[-1].name), follow=False)
    return (found or Path(state_dir).stat()).st_uid


def remedy(state_dir: str, flaw: Flaw) -> str:
    """The command that mends a flaw."""
    quoted = shlex.quote(state_dir)
    found = Path(state_dir).stat()
    if Path(flaw.path).is_symlink() or not (Path(flaw.path).is_dir() or Path(flaw.path).is_file()):
        return f"look at it, then: mv {shlex.quote(flaw.path)} {shlex.quote(flaw.path)}.old && oberon init --state-dir {quoted}"
    if is_meant_to_be_shared(state_dir):
        return f"oberon init --group {shlex.quote(group_of(found.st_gid))} --state-dir {quoted}"
    if flaw.path == state_dir and found.st_mode & (stat.S_IWGRP | stat.S_ISGID):
        shares = f"oberon init --group {shlex.quote(group_of(found.st_gid))} --state-dir {quoted}"
        return f"for hooks of many users: {shares}; for those of one: chmod 700 {quoted}"
    if flaw.path == state_dir and found.st_mode & ~PRIVATE_MODE & 0o777:
        return f"chmod 700 {quoted}"
    return f"oberon init --state-dir {quoted}"


def _not_the_workers(path: str, found: os.stat_result, worker_uid: int) -> str:
    return f"{path} is {name_of(found.st_uid)}'s, and the worker is {name_of(worker_uid)}"


def exposure(worker: str, own_gid: int, pushers_gid: int) -> tuple[str, str] | None:
    """Why pushers could read each other's spool files - they are in the own group of the `worker`'s user - and what mends it."""
    told = ""
    if own_gid == pushers_gid:
        told = f"{group_of(own_gid)} is {worker}'s own group, so its members could read each other's pushes"
    # No mode keeps out root.
    elif others := sorted((_members(own_gid) & _members(pushers_gid)) - {"root", worker}):
        several = f"in {group_of(pushers_gid)} and in {worker}'s own group {group_of(own_gid)}"
        told = f"{', '.join(others)} could read what others push, being {several}"
    mends = f"groupadd --system oberon-worker && usermod --gid oberon-worker {shlex.quote(worker)}"
    return (told, f"give {worker} a group of its own: {mends}, then oberon init again") if told else None


def _members(gid: int) -> set[str]:
    named = {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    try:
        return named | set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return named


def name_of(uid: int) -> str:
    """A user's name, or the number of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_of(gid: int) -> str:
    """A group's name, or the number of one without."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _others_pass(folder: Path) -> bool:
    found = _at(str(folder), follow=True)
    return found is not None and bool(found.st_mode & stat.S_IXOTH)


def _at(path: str, *, follow: bool) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow)  # noqa: PTH116 - links are to be seen
    except FileNotFoundError:
        return None
