"""Errors and kills at chosen system calls of one process, by strace(1).

`calls` tells which calls a process made below a folder; a `Fault` makes one of them fail, or kills the process as it enters it.
Only the process itself is traced, not its children, so that the calls are counted alike each time. A call's success is never
faked (`retval=`): what follows would be about a machine that lies.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import UNMEASURED, Argument

CALLS = ("fchmod", "fdatasync", "fsync", "mkdir", "rename", "unlink", "write")
"""Those by which an enqueue leaves anything behind. How many files Python itself opens and closes is not the same each time."""

UNCOUNTED: Mapping[str, None] = {**UNMEASURED, "PYTHONDONTWRITEBYTECODE": None}
"""Laid over the environment of a process whose calls are counted: no coverage that adds some, and bytecode from the second run on."""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")

_CALL = re.compile(r"(\w+)\(")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call of a process."""

    name: str
    number: int
    """How many calls of this name there were by then; the first is 1."""
    line: str
    """As strace writes it, with the paths of descriptors."""

    def __str__(self) -> str:
        return self.line


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls a process at its call number `number` of a name: `error=ENOSPC`, `signal=KILL`, ... (strace(1), "Tampering")."""

    name: str
    number: int
    what: str

    @classmethod
    def at(cls, call: Call, what: str) -> Fault:
        return cls(call.name, call.number, what)

    def has_struck(self, log: Path, below: Path) -> bool:
        """Whether it befell a call that concerns `below`, as is written in `log`."""
        mark = "= ?" if self.what == "signal=KILL" else "(INJECTED)"
        return any(
            call.line.endswith(mark) and (call.name, call.number) == (self.name, self.number) for call in calls(log, below)
        )


def command(log: Path, argv: Sequence[Argument], *faults: Fault) -> list[str]:
    """`argv` under strace, which writes its calls to `log`."""
    injections = [f"inject={fault.name}:{fault.what}:when={fault.number}" for fault in faults]
    options = [word for injection in injections for word in ("-e", injection)]
    return ["strace", "-qq", "-y", "-o", str(log), "-e", f"trace={','.join(CALLS)}", *options, *map(os.fspath, argv)]


def calls(log: Path, below: Path) -> list[Call]:
    """Those in `log` that concern `below` or what is in it, in their order."""
    concerns = re.compile(re.escape(str(below)) + r"(?![\w.-])")
    counts: dict[str, int] = {}
    found = []
    for line in log.read_text("utf-8", "replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue  # a signal, or how it ended
        name = match[1]
        counts[name] = counts.get(name, 0) + 1
        if concerns.search(line):
            found.append(Call(name, counts[name], line))
    return found
