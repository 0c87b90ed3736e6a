"""The disk under a state directory: room that is kept back for when it is full, and whether SQLite may be on it.

The ballast is a file of BALLAST_BYTES that is given up when the disk is full. Without it, nothing helps from inside: to delete,
SQLite has to write first. What its room is needed for is in `retention.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

BALLAST = "ballast"
BALLAST_BYTES = 2 * 1024 * 1024
ROOM_BYTES = 4 * BALLAST_BYTES
"""It is made where so much is free: not where what it takes would be missed."""

_MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = frozenset(
    {
        "9p",
        "afs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)
"""Types of file systems, as in /proc/filesystems, that several machines share. Beside them all of `fuse.NAME`: sshfs and its like."""


def keep_ballast(state_dir: str) -> bool:
    """Make the ballast, unless it is there or there is no room for it now; whether it is there."""
    path = Path(state_dir) / BALLAST
    try:
        if path.exists() and path.stat().st_size == BALLAST_BYTES:
            return True
        room = os.statvfs(state_dir)
        if room.f_bavail * room.f_frsize < ROOM_BYTES:
            return False
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
            os.ftruncate(descriptor, BALLAST_BYTES)
        finally:
            os.close(descriptor)
    except OSError:
        release_ballast(state_dir)  # another process was quicker to take the room
        return False
    return True


def release_ballast(state_dir: str) -> bool:
    """Give up the ballast; whether there was any."""
    with suppress(OSError):
        (Path(state_dir) / BALLAST).unlink()
        return True
    return False


def remote_type(path: str, mounts: Iterable[str] | None = None) -> str | None:
    """The type of the file system that holds `path` if several machines share it: `nfs4`, `fuse.sshfs`; None for a local one.

    SQLite's write-ahead log needs memory that all who have the file open share, so it must not be on one
    (https://sqlite.org/wal.html). `mounts` are lines as in proc_pid_mountinfo(5), by default this process's; None where there
    are none either.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return None
    place = os.path.realpath(path)
    found = ("", "")
    for line in mounts:
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
        # Of two at one place, the one mounted last is what is seen.
        if len(point) >= len(found[0]) and (place + "/").startswith(point.rstrip("/") + "/"):
            found = point, after.split()[0]
    kind = found[1]
    return kind if kind in _REMOTE or kind.startswith("fuse.") else None
