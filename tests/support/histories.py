"""Histories planned as data and built by `git fast-import`: hundreds of commits, of any shape and date, in a blink."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from payload.push import Event, RefUpdate
from tests.support.git import GitServer

DAY_S = 86_400
START_S = 1_700_000_000


@dataclass(frozen=True)
class Planned:
    """One commit: indices of its parents in the plan, its time, and what it does to its first parent's files."""

    parents: tuple[int, ...] = ()
    time: int = START_S
    files: Mapping[bytes, tuple[str, bytes] | None] = field(default_factory=dict)
    """Path -> mode and content (of a submodule, mode 160000: the commit's hex); None removes it."""
    message: bytes = b"a change\n"


def build(server: GitServer, plan: Sequence[Planned]) -> list[str]:
    """Make the commits, with no refs to them; their nodes in the plan's order."""
    parts: list[bytes] = []
    for index, commit in enumerate(plan):
        if not commit.parents:
            parts.append(b"reset refs/import/x\n\n")
        parts.append(b"commit refs/import/x\nmark :%d\n" % (index + 1))
        parts.append(b"author Ann Example <ann@example.org> %d +0100\n" % commit.time)
        parts.append(b"committer Con Example <con@example.org> %d -0330\n" % commit.time)
        parts.append(b"data %d\n%s\n" % (len(commit.message), commit.message))
        for number, parent in enumerate(commit.parents):
            parts.append(b"%s :%d\n" % (b"merge" if number else b"from", parent + 1))
        for path, what in commit.files.items():
            if what is None:
                parts.append(b"D %s\n" % path)
            elif what[0] == "160000":
                parts.append(b"M 160000 %s %s\n" % (what[1], path))
            else:
                parts.append(b"M %s inline %s\ndata %d\n%s\n" % (what[0].encode(), path, len(what[1]), what[1]))
        parts.append(b"\n")
    marks = server.path / "marks"
    argv = ["git", f"--git-dir={server.path}", "fast-import", "--quiet", "--force", f"--export-marks={marks}"]
    subprocess.run(argv, input=b"".join(parts), check=True, capture_output=True)
    nodes = dict(line[1:].split(" ") for line in marks.read_text().splitlines())
    server.git("update-ref", "-d", "refs/import/x")
    return [nodes[str(index + 1)] for index in range(len(plan))]


def point(server: GitServer, refs: Mapping[str, str | None], *, age_s: float | None = DAY_S) -> None:
    """Make the refs, or delete (None); their files look `age_s` old, or are left as they are (None)."""
    lines = [f"update {ref} {node}" if node else f"delete {ref}" for ref, node in refs.items()]
    server.git("update-ref", "--stdin", input="".join(line + "\n" for line in lines))
    if age_s is not None:
        for ref, node in refs.items():
            if node:
                path = server.path / ref
                then = path.stat().st_mtime - age_s
                os.utime(path, (then, then))


def event(path: Path, moves: Iterable[tuple[str, str | None, str | None]], *, time: float, **more: object) -> Event:
    """The event of a push: (ref, old, new) each; None is git's zeros."""
    moves = list(moves)
    digits = next(len(node) for move in moves for node in move[1:] if node)
    updates = tuple(RefUpdate(ref, old or "0" * digits, new or "0" * digits) for ref, old, new in moves)
    facts = {"id": os.urandom(16).hex(), "login": "git", "source": "local", **more}
    return Event(scm="git", path=str(path), time=time, refs=updates, **facts)


def reachable(plan: Sequence[Planned], tips: Iterable[int]) -> set[int]:
    """What is truly reachable: indices of the plan."""
    found: set[int] = set()
    below = list(tips)
    while below:
        index = below.pop()
        if index not in found:
            found.add(index)
            below += plan[index].parents
    return found
