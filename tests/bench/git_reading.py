"""Read commits of a git repository and write them, a line of JSON each.

    python tests/bench/git_reading.py LANE REPO REF OLD NEW [count]

LANE is auto, dulwich or git; REF, OLD and NEW are those of the push; with `count`, commits get numbers. Only refs in REF's folder
count. To standard error goes how long it took, without Python's start and imports: until the new commits were known, and in all; and the
peak memory of this process.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from brokers.config import Settings
from githooks import reading
from payload.push import Commit, Event, RefUpdate

LANES = {"auto": "with_both", "dulwich": "with_dulwich", "git": "with_git"}


def line(commit: Commit) -> str:
    author = commit.author
    return json.dumps(
        {
            "node": commit.node,
            "parents": commit.parents,
            "author": [author.raw, author.time, author.offset_s],
            "message": commit.message,
            "branch": commit.branch,
            "revision": commit.revision,
            "files": [[change.path, change.type, change.old_size, change.new_size] for change in commit.files],
            "size": commit.size,
        },
        ensure_ascii=False,
    )


def main(lane: str, repo: str, ref: str, old: str, new: str, revision: str = "off") -> None:
    import_module(f"githooks.reading.{LANES[lane]}")
    began = time.perf_counter()
    event = Event(
        scm="git", path=repo, time=time.time(), refs=(RefUpdate(ref, old, new),), id="0" * 32, login="bench", source="local"
    )
    settings = Settings(max_commits=sys.maxsize, git_reader=lane, git_revision=revision, refs=(ref.rpartition("/")[0] + "/",))
    with reading.opened(event, settings) as push:
        known_s = time.perf_counter() - began
        for commit in push.commits:
            sys.stdout.write(line(commit) + "\n")
        told = {"commits": push.total_commits, "known_s": known_s}
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    sys.stderr.write(json.dumps({"seconds": time.perf_counter() - began, "rss_mb": rss_mb, **told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
