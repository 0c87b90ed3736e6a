"""Processes that a test left behind: found by its folder, ended by their number."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path

GRACE_S = 2.0


def below(folder: Path) -> list[int]:
    """Processes whose command line or environment names `folder` or a path below it; never this one or its parents.

    A detached worker is found by its `--state-dir`, or by the HOME that it was given.
    """
    mark = os.fsencode(folder)
    own = _ancestry()
    running = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return sorted(pid for pid in running - own if _names(pid, mark))


def end(pids: Iterable[int]) -> None:
    """Ask each process to end; after GRACE_S, make it."""
    handles = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            handles.append(os.pidfd_open(pid))
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + GRACE_S
            for handle in handles:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            if all(_ended(handle, deadline) for handle in handles):
                return
    finally:
        for handle in handles:
            os.close(handle)


def command_line(pid: int) -> str:
    """For people; '' when the process is gone."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()


def _ended(handle: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _names(pid: int, mark: bytes) -> bool:
    """`mark` followed by more digits is the folder of another test."""
    found = _read(pid, "cmdline") + b"\0" + _read(pid, "environ") + b"\0"
    return re.search(re.escape(mark) + rb"(?![\w.-])", found) is not None


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""  # gone, or another user's


def _ancestry() -> set[int]:
    found = set()
    pid = os.getpid()
    while pid > 0:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found
