"""The numbers of commits: what `git rev-list --count NODE` says, asked as seldom as can be.

A commit with one parent has its parent's number and one; only the others (the first of a push, and merges) are asked of
git. All of it has a time limit, for one question costs a second in a history of 100,000 commits without a commit-graph.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence

TIME_LIMIT_S = 5.0


def counted(
    commits: Iterable[tuple[bytes, Sequence[bytes]]], git_dir: str, *, time_limit_s: float = TIME_LIMIT_S
) -> dict[bytes, int | None]:
    """oid -> number, of commits with their parents, parents before children.

    None for those that were not counted within `time_limit_s` in all, or if there is no `git`, or it fails.
    """
    deadline = time.monotonic() + time_limit_s
    environment = _environment(git_dir)
    numbers: dict[bytes, int | None] = {}
    working = True
    for oid, parents in commits:
        known = numbers.get(parents[0]) if len(parents) == 1 else None
        if not parents:
            numbers[oid] = 1
        elif known is not None:
            numbers[oid] = known + 1
        elif working:
            numbers[oid] = _ask(oid, environment, deadline - time.monotonic())
            working = numbers[oid] is not None
        else:
            numbers[oid] = None
    return numbers


def _ask(oid: bytes, environment: Mapping[str, str], timeout_s: float) -> int | None:
    if timeout_s <= 0:
        return None
    try:
        answer = subprocess.run(
            ["git", "rev-list", "--count", oid.decode("ascii"), "--"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=True,
        )
        return int(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _environment(git_dir: str) -> dict[str, str]:
    """The process's own, for the child only: without git's variables, which would lead it to another repository or other objects."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_DIR": git_dir, "GIT_NO_REPLACE_OBJECTS": "1"}
