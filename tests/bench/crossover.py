"""From how many commits on is the git lane quicker than the dulwich lane, in a process that is warm, as a worker is?

    python tests/bench/crossover.py REPO NEW OLD...

To standard error go, as JSON, for each range the commits in it and the median of the seconds of each lane.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from brokers.config import Settings
from githooks import reading
from payload.push import Event, RefUpdate

LANES = ("dulwich", "git")
ROUNDS = 5
REF = "refs/bench/new"
SETTINGS = Settings(max_commits=sys.maxsize, git_revision="off", refs=("refs/bench/",))


def read(lane: str, repo: str, old: str, new: str) -> tuple[int, float]:
    """How many commits there were, and how many seconds they took."""
    event = Event(scm="git", path=repo, time=time.time(), refs=(RefUpdate(REF, old, new),), id="0" * 32, login="", source="local")
    began = time.perf_counter()
    with reading.opened(event, SETTINGS, lane_name=lane) as push:
        commits = len(list(push.commits))
    return commits, time.perf_counter() - began


def main(repo: str, new: str, *olds: str) -> None:
    for lane in LANES:
        read(lane, repo, olds[0], new)
    told = []
    for old in olds:
        seconds: dict[str, list[float]] = {lane: [] for lane in LANES}
        commits = 0
        for _ in range(ROUNDS):
            for lane in LANES:
                commits, took_s = read(lane, repo, old, new)
                seconds[lane].append(took_s)
        told.append({"commits": commits, **{lane: statistics.median(seconds[lane]) for lane in LANES}})
    sys.stderr.write(json.dumps({"ranges": told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
