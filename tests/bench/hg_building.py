"""Make a Mercurial repository of a made-up history: `python tests/bench/hg_building.py REPO COMMITS`."""

from __future__ import annotations

import sys
from pathlib import Path

from mercurial import context, hg, ui

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.history import History, Made


def main(path: str, commits: str) -> None:
    repo = hg.repository(ui.ui.load(), path.encode(), create=True).unfiltered()
    nodes = {}
    with repo.wlock(), repo.lock(), repo.transaction(b"made-up history"):
        for made in History(int(commits)):
            nodes[made.number] = _commit(repo, made, [nodes[number] for number in made.parents])
            nodes.pop(made.number - 1000, None)


def _commit(repo, made: Made, parents: list[bytes]) -> bytes:
    def content(_, memory, path):
        held = made.files[path]
        return None if held is None else context.memfilectx(repo, memory, path, held)

    base = repo[parents[0]].manifest() if parents else {}
    files = [path for path, held in made.files.items() if held is not None or path in base]
    memory = context.memctx(
        repo,
        (parents + [repo.nullid] * 2)[:2],
        made.message.rstrip("\n").encode(),
        files,
        content,
        user=made.person.encode(),
        date=(made.time, -7200),
    )
    return memory.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
