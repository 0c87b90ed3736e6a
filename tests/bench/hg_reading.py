"""Read changesets of a Mercurial repository and write them, a line of JSON each: `python tests/bench/hg_reading.py REPO FIRST LAST`.

REPO is the folder that holds `.hg`, FIRST and LAST are nodes of 40 digits. For timing the whole process against `hg log`, so
Mercurial's modules are loaded as its own command does it, when first touched. A worker loads them once in its life.
"""

from __future__ import annotations

import hgdemandimport

hgdemandimport.enable()

import json  # noqa: E402 - as hg's own command, after its demandimport
import sys  # noqa: E402 - as hg's own command, after its demandimport
from pathlib import Path  # noqa: E402 - as hg's own command, after its demandimport

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from brokers.config import Settings  # noqa: E402 - as hg's own command, after its demandimport
from hghooks import changes  # noqa: E402 - as hg's own command, after its demandimport
from payload.push import Commit, Event  # noqa: E402 - as hg's own command, after its demandimport


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


def main(repo: str, first: str, last: str) -> None:
    event = Event("0" * 32, "hg", str(Path(repo).resolve()), 0.0, "bench", "local", first=first, last=last)
    with changes.opened(event, Settings(max_commits=sys.maxsize)) as reading:
        for commit in reading.commits:
            sys.stdout.write(line(commit) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
