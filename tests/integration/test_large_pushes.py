"""Pushes of very many commits and very large files, each read in a process of its own, whose memory the system has measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from brokers.config import Settings
from githooks.reading import RepositoryUnreadable, read
from githooks.reading.with_both import CROSSOVER
from payload.build import compose
from tests.support.git import GitServer
from tests.support.histories import Planned, build, event, point

MAIN = "refs/heads/main"
MIB = 1024 * 1024
ROOT = Path(__file__).parents[2]

READER = """
import json, re, sys
from brokers.config import Settings
from githooks.reading import opened
from payload.push import Event

asked = json.load(sys.stdin)
told = []
with opened(Event.from_record(asked["event"]), Settings(**asked["settings"]), progress=lambda *at: told.append(at)) as reading:
    count, sizes, files, kept = 0, [], [], []
    for commit in reading.commits:
        count += 1
        sizes.append(commit.size)
        files = [*files, [len(commit.files), commit.more_files]][:3]
        kept = [*kept, commit][-1000:]
print(json.dumps({
    "total": reading.total_commits,
    "count": count,
    "size": None if None in sizes else sum(sizes),
    "files": files,
    "last": commit.node,
    "revision": commit.revision,
    "listed": len(reading.refs[0].commits),
    "progress": told[:1] + told[-1:],
    "peak_bytes": 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]),
}))
"""


def told_by_a_process(pushed, **settings):
    asked = json.dumps({"event": pushed.to_record(), "settings": settings})
    done = subprocess.run([sys.executable, "-c", READER], input=asked, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def whole(server, node):
    return event(server.path, [(MAIN, None, node)], time=4e9)


@pytest.mark.parametrize("packed", [False, True])
def test_a_600_mb_blob_is_not_read_for_its_size(git_server, tmp_path, packed):
    server = git_server()
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(600 * MIB)
    oids = [
        server.git("-c", "core.compression=1", "hash-object", "-w", str(large)),
        server.git("hash-object", "-w", "--stdin", input="x"),
    ]
    large.unlink()
    commits = [
        server.git("commit-tree", "-m", "x", server.git("mktree", input=f"100644 blob {oid}\tfile\n"), input="") for oid in oids
    ]
    if packed:
        point(server, {"refs/kept/large": commits[0], "refs/kept/small": commits[1]})
        server.git("-c", "core.bigFileThreshold=1m", "repack", "-adq")
    for lane in ("dulwich", "git"):
        of_large, of_small = (told_by_a_process(whole(server, commit), git_reader=lane) for commit in commits)
        assert (of_large["size"], of_small["size"]) == (600 * MIB, 1)
        assert of_large["peak_bytes"] - of_small["peak_bytes"] < 20 * MIB


def nested(server, levels, width):
    """A tree of WIDTH to the LEVELS files, from as many objects as it has levels."""
    entry = "100644 blob " + server.git("hash-object", "-w", "--stdin", input="x")
    for _ in range(levels):
        lines = "".join(f"{entry}\tn{number}\n" for number in range(width))
        entry = "040000 tree " + server.git("mktree", input=lines)
    return entry.split()[2]


@pytest.mark.parametrize("lane", ["dulwich", "auto"])
def test_a_kilobyte_that_unfolds_to_ten_million_files_is_looked_at_no_further_than_counts(git_server, lane):
    server = git_server()
    trees = [server.git("mktree", input=""), nested(server, 7, 10)]
    commits = []
    for number in range(CROSSOVER + 2):
        parents = ["-p", commits[-1]] if commits else []
        tree = trees[1] if number == 1 else trees[0]
        commits.append(server.git("commit-tree", "-m", f"{number}", *parents, tree, input=""))
    told = told_by_a_process(whole(server, commits[-1]), git_reader=lane)
    assert (told["count"], told["size"]) == (CROSSOVER + 2, None)
    assert told["files"] == [[0, 0], [1000, 99_000], [1000, 99_000]]
    assert told["peak_bytes"] < 200 * MIB


def test_git_alone_gives_up_a_commit_of_so_many_files(git_server):
    server = git_server()
    commit = server.git("commit-tree", "-m", "x", nested(server, 8, 10), input="")
    with pytest.raises(RepositoryUnreadable, match=r"git diff-tree failed: .*memory"):
        read(whole(server, commit), Settings(git_reader="git"))


@pytest.mark.parametrize("lane", ["dulwich", "git"])
def test_what_is_not_listed_counts(git_server, lane):
    server = git_server()
    files = {b"f%04d" % number: ("100644", b"x" * number) for number in range(1500)}
    made = build(server, [Planned(files=files), Planned((0,), files=dict.fromkeys(files))])
    point(server, {MAIN: made[1]})
    settings = Settings(git_reader=lane, max_files=1000)
    first, second = read(whole(server, made[1]), settings).commits
    assert [(len(one.files), one.more_files, one.total_files) for one in (first, second)] == [(1000, 500, 1500)] * 2
    assert (first.size, second.size) == (sum(range(1500)), -sum(range(1500)))
    assert first.files[-1].path == "f0999"
    details = compose(read(whole(server, made[1]), settings))["oberon"]["commits"][made[0]]
    assert (details["total_files"], len(details["files"]), details["truncated"]) == (1500, 1000, ["files"])


@pytest.mark.parametrize("lane", ["dulwich", "git"])
def test_long_messages_are_cut_as_they_are_read(git_server, lane):
    server = git_server()
    plan = [
        Planned((index - 1,) if index else (), 1_700_000_000 + index, message=b"%d " % index + b"m" * 3_000_000)
        for index in range(60)
    ]
    made = build(server, plan)
    point(server, {MAIN: made[-1]})
    told = told_by_a_process(whole(server, made[-1]), git_reader=lane)
    assert (told["count"], told["last"]) == (60, made[-1])
    assert told["peak_bytes"] < 120 * MIB
    commit = read(whole(server, made[-1]), Settings(git_reader=lane, max_commits=1)).commits[0]
    assert 65_536 < len(commit.message) < 65_536 + 8


@pytest.fixture(scope="module")
def long_line(tmp_path_factory):
    """20,000 commits on one branch, each of them growing one of 40 files by a byte or three."""
    server = GitServer(tmp_path_factory.mktemp("long") / "repo.git")
    plan = []
    for index in range(20_000):
        path, length = b"folder%d/file%d" % (index % 8, index % 40), index // 40 + 1
        plan.append(
            Planned((index - 1,) if index else (), 1_700_000_000 + index, {path: ("100644", b"x" * length)}, b"%d\n" % index)
        )
    nodes = build(server, plan)
    point(server, {MAIN: nodes[-1]})
    server.git("repack", "-adq")
    return server, nodes


@pytest.mark.parametrize("lane", ["auto", "git"])
def test_only_the_newest_are_read_and_all_are_counted(long_line, lane):
    server, nodes = long_line
    told = told_by_a_process(whole(server, nodes[-1]), git_reader=lane, max_commits=1000)
    assert (told["total"], told["count"], told["listed"]) == (20_000, 1000, 1000)
    assert (told["last"], told["revision"]) == (nodes[-1], 20_000)
    assert told["size"] == 1000
    assert told["progress"] == [[0, 1000], [1000, 1000]]


def test_memory_does_not_grow_with_the_commits_read(long_line):
    server, nodes = long_line
    short, long = (
        told_by_a_process(event(server.path, [(MAIN, old, nodes[-1])], time=4e9), git_reader="git", max_commits=100_000)
        for old in (nodes[-1001], nodes[-10_001])
    )
    assert (short["count"], long["count"]) == (1000, 10_000)
    assert long["peak_bytes"] - short["peak_bytes"] < 16 * MIB
    assert long["peak_bytes"] < 40 * MIB, long


def test_both_lanes_tell_the_same_of_many(long_line):
    server, nodes = long_line
    pushed = event(server.path, [(MAIN, nodes[-3001], nodes[-1])], time=4e9)
    by_dulwich, by_git, by_both = (
        read(pushed, Settings(git_reader=lane, max_commits=2000)) for lane in ("dulwich", "git", "auto")
    )
    assert by_dulwich == by_git == by_both
    assert (by_git.total_commits, len(by_git.commits)) == (3000, 2000)
