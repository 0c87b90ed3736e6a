"""Random histories made by hg, read as pushes of a few changesets each, against what hg prints of them.

`OBERON_SOAK=N` reads at least N pushes, and looks for the smallest history that fails; else that takes too long. Hypothesis
prints what reproduces a failure.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from brokers.config import Settings
from hghooks.changes import read
from payload.push import Event
from tests.support.hg_command_server import CommandServer, assert_as_told

SOAK = int(os.environ.get("OBERON_SOAK", "0"))
PUSHES = SOAK or 250
PHASES = list(Phase) if SOAK else [Phase.reuse, Phase.generate]
PUSHES_OF_A_HISTORY = 4  # there are 6 on average
CONFIG = ["ui.allowemptycommit=yes", "ui.interactive=no", "extensions.strip="]

PATHS = [b"a", b"b", b"dir/c", b"dir/d e", "ü/naïve.txt".encode(), b"caf\xe9.bin", b"x,y", b"-dash"]
BRANCHES = [b"default", b"stable", "größe/1.x".encode()]
TOOLS = [":local", ":other", ":union", ":merge-local"]


@dataclass(frozen=True)
class Edit:
    """One thing done to the working copy. Places are indices of PATHS."""

    kind: str
    path: int
    to: int
    content: bytes
    times: int


@dataclass(frozen=True)
class Step:
    """One changeset, or none if hg refuses it. `at` and `other` are revisions, counted down from the newest."""

    at: int
    other: int | None
    tool: str
    edits: list[Edit]
    branch: int | None
    close: bool
    user: str
    date: tuple[int, int]
    message: str


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r"), max_size=20)
CONTENTS = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"line\n" * 200, b"\x01\nlike metadata\n\x01\n", bytes(range(256))])
)
EDITS = st.builds(
    Edit,
    kind=st.sampled_from(["write", "write", "write", "delete", "rename", "copy", "exec", "link"]),
    path=st.integers(0, len(PATHS) - 1),
    to=st.integers(0, len(PATHS) - 1),
    content=CONTENTS,
    times=st.sampled_from([1, 1, 1, 50]),
)
STEPS = st.builds(
    Step,
    at=st.sampled_from([0, 0, 0, 1, 2, 5, 99]),  # 99: a new root
    other=st.sampled_from([None, None, 1, 2, 3]),
    tool=st.sampled_from(TOOLS),
    edits=st.lists(EDITS, max_size=4),
    branch=st.sampled_from([None, None, None, 0, 1, 2]),
    close=st.sampled_from([False, False, False, True]),
    user=st.one_of(st.sampled_from(["Jörg <j@example.org>", "no address", "<only@example.org>", 'a "b" <c']), WORDS),
    date=st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(-50_400, 43_200)),
    message=st.one_of(WORDS, st.just("two\n\nparagraphs\twith 東京")),
)
HISTORIES = st.lists(STEPS, min_size=6, max_size=12)
SIZES_OF_PUSHES = st.lists(st.integers(1, 3), min_size=12, max_size=12)


def build(hg: CommandServer, repository: Path, steps: list[Step]) -> int:
    """Make the changesets in a new repository, with hg's own commands; how many there are."""
    hg.run(Path("/"), "init", os.fsencode(repository), check=False)
    count = 0
    for number, step in enumerate(steps):
        if step.at and count:
            at = str(count - 1 - step.at) if step.at < count else "null"
            hg.run(repository, "update", "-q", "-C", at)
        if step.other is not None and step.other < count:
            merged, _ = hg.run(repository, "merge", "-q", "--tool", step.tool, "-r", str(count - 1 - step.other), check=False)
            if merged == 1:
                hg.run(repository, "resolve", "-q", "--mark", "--all")
        for edit in step.edits:
            apply(hg, repository, edit)
        if step.branch is not None:
            hg.run(repository, "branch", "-q", "-f", BRANCHES[step.branch])
        time_s, west_s = step.date
        words = [
            "commit",
            "-q",
            "-A",
            f"--user={step.user or 'x'}",
            f"--date={time_s} {west_s}",
            f"--message={step.message} {number}",  # else two may be one and the same changeset
        ]
        committed, said = hg.run(repository, *words, *(["--close-branch"] if step.close else []), check=False)
        if committed == 0:
            count += 1
        else:
            note(f"hg refuses a step: {said!r}")
            hg.run(repository, "update", "-q", "-C", ".")
    return count


def apply(hg: CommandServer, repository: Path, edit: Edit) -> None:
    path, to = (repository / os.fsdecode(PATHS[place]) for place in (edit.path, edit.to))
    there = path.is_symlink() or path.exists()
    if edit.kind in ("write", "link"):
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        if edit.kind == "link":
            path.symlink_to(edit.content.replace(b"\0", b"").hex()[:30] or "nowhere")
        else:
            path.write_bytes(edit.content * edit.times)
    elif edit.kind == "delete" and there:
        path.unlink()
    elif edit.kind == "exec" and there and not path.is_symlink():
        path.chmod(path.stat().st_mode ^ 0o111)
    elif edit.kind in ("rename", "copy") and there:
        hg.run(repository, edit.kind, "-q", "-f", os.fsencode(path), os.fsencode(to), check=False)


def ranges(count: int, sizes: list[int]) -> Iterator[tuple[int, int]]:
    """First and last revision of each push: the history in pieces, and the whole of it."""
    first = 0
    for size in itertools.cycle(sizes):
        if first >= count:
            break
        yield first, min(first + size, count) - 1
        first += size
    yield 0, count - 1


@pytest.mark.timeout(120 + PUSHES + 2 * SOAK)
def test_pushes_are_read_as_hg_tells_them(tmp_path, capsys):
    done: Counter[str] = Counter()
    started = time.process_time()
    with CommandServer(config=CONFIG) as hg:

        @settings(
            phases=PHASES,
            max_examples=math.ceil(PUSHES / PUSHES_OF_A_HISTORY),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(steps=HISTORIES, sizes=SIZES_OF_PUSHES)
        def differ(steps: list[Step], sizes: list[int]) -> None:
            repository = tmp_path / "repo"
            shutil.rmtree(repository, ignore_errors=True)
            count = build(hg, repository, steps)
            told = hg.log(repository)
            assert len(told) == count
            sizes_at: dict[str | None, dict[bytes, int]] = {None: {}, **{one.node: one.sizes for one in told}}
            newest = told[-1]
            assert hg.files(repository, newest.node) == newest.sizes  # the template's numbers are those of the command
            if len(newest.parents) < 2:
                # Of a file recorded as changed whose text is as it was, the template says C; the command says nothing, or M.
                clean = {path for path, word in newest.status.items() if word == "C"}
                listed = {path: word for path, word in hg.status(repository, newest.node).items() if path not in clean}
                assert listed == {path: word for path, word in newest.status.items() if path not in clean}
            for first, last in ranges(count, sizes):
                event = Event("0" * 32, "hg", str(repository), 0.0, "x", "ssh", first=told[first].node, last=told[last].node)
                push = read(event, Settings())
                assert push.total_commits == len(push.commits) == last + 1 - first
                for commit, one in zip(push.commits, told[first : last + 1], strict=True):
                    assert_as_told(commit, one, sizes_at[one.parents[0] if one.parents else None])
                    done["merges"] += len(one.parents) > 1
                    done["files of merges"] += len(one.files) * (len(one.parents) > 1)
                    done["files"] += len(one.files)
                    done["removed files"] += len(one.removed)
                done["pushes"] += 1
                done["changesets"] += last + 1 - first
            done["histories"] += 1

        differ()
    with capsys.disabled():
        told = ", ".join(f"{number} {what}" for what, number in sorted(done.items()))
        print(f"\n{told}; {time.process_time() - started:.1f} s of this process")
    assert done["pushes"] >= PUSHES
    assert done["merges"] > PUSHES / 10
