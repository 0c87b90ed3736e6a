"""Reading where git is killed, breaks, or has no room: what is told is right, or a ReadingError."""

from __future__ import annotations

import os
import random
import resource
import shutil
from dataclasses import replace

import pytest

from brokers.config import Settings
from brokers.errors import ReadingError
from githooks.reading import read
from githooks.reading.graph import Graph
from githooks.reading.new_commits import new_commits
from githooks.reading.with_both import CROSSOVER
from githooks.reading.with_git import GitLane
from tests.support.histories import START_S, Planned, build, event, point, reachable

MAIN = "refs/heads/main"
GIT = shutil.which("git")


@pytest.fixture
def server(git_server):
    return git_server()


def line(server, count):
    plan = [Planned((index - 1,) if index else (), START_S + index, {b"f": ("100644", b"x" * index)}) for index in range(count)]
    made = build(server, plan)
    point(server, {MAIN: made[-1]})
    return made


def pushed(server, old, new):
    return event(server.path, [(MAIN, old, new)], time=4e9)


@pytest.fixture
def wrapped(monkeypatch, tmp_path):
    def wrap(script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "git").write_text(f'#!/bin/sh\n{script}\nexec {GIT} "$@"\n')
        (folder / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return wrap


def without_numbers(push):
    return replace(push, commits=tuple(replace(commit, revision=None) for commit in push.commits))


@pytest.mark.parametrize("lane", ["git", "auto"])
@pytest.mark.parametrize("cut_at", [20_000, 20_010, 20_047, 20_048, 20_058, 20_060, 20_090, 20_099, 20_100, 20_120])
def test_a_rev_list_that_is_killed_in_the_middle_of_a_line_hides_no_commit(server, wrapped, lane, cut_at):
    made = line(server, 1500)
    asked = pushed(server, None, made[-1])
    expected = read(asked, Settings(git_reader="dulwich"))
    wrapped(f'case "$1" in rev-list) {GIT} "$@" | head -c {cut_at}; kill -9 $$;; esac')
    told = read(asked, Settings(git_reader=lane))
    assert (told.total_commits, without_numbers(told)) == (1500, without_numbers(expected))


@pytest.mark.parametrize("seed", range(12))
def test_a_rev_list_that_is_killed_anywhere_hides_and_adds_no_commit(server, wrapped, seed):
    """Where clocks are wrong, the rest of the history must be looked at all the same."""
    dice = random.Random(seed)
    plan = [Planned()]
    for index in range(1, 250):
        parents = tuple(dice.sample(range(max(0, index - 6), index), k=min(index, dice.choice([1, 1, 1, 2]))))
        time = START_S + index * 60 - (dice.random() < 0.15) * dice.randrange(1_000_000_000)
        plan.append(Planned(parents, time, message=b"%d\n" % index))
    nodes = [node.encode() for node in build(server, plan)]
    point(server, {MAIN: nodes[-1].decode()})
    server.git("repack", "-adkq")
    for _ in range(8):
        wrapped(f'case "$*" in rev-list*) {GIT} "$@" | head -c {dice.randrange(50_000)}; kill -9 $$;; esac')
        tips, excluded = (dice.sample(range(100, 250), dice.choice([1, 2, 4])) for _ in range(2))
        with GitLane(pushed(server, None, nodes[-1].decode())) as lane:
            graph = Graph(lane, {})
            graph.eager = dice.choice([1, 10])
            found = new_commits(graph, [nodes[tip] for tip in tips], [nodes[one] for one in excluded])
        assert {nodes.index(oid) for oid in found} == reachable(plan, tips) - reachable(plan, excluded)


@pytest.mark.parametrize("lane", ["git", "auto", "dulwich"])
@pytest.mark.parametrize("cut_at", [0, 1, 30, 41, 60, 81, 82, 90, 123])
def test_a_count_that_is_killed_is_no_number(server, wrapped, lane, cut_at):
    """Two commits of the base, so that all of the history is listed."""
    made = build(server, [Planned(), Planned((0,)), Planned((0,), message=b"side\n"), Planned((1, 2))])
    point(server, {MAIN: made[3], "refs/heads/one": made[1], "refs/heads/two": made[2]})
    wrapped(f'case "$*" in *--topo-order*) {GIT} "$@" | head -c {cut_at}; kill -9 $$;; esac')
    (commit,) = read(pushed(server, made[1], made[3]), Settings(git_reader=lane)).commits
    assert (commit.node, commit.revision) == (made[3], None)


@pytest.mark.parametrize("script", ["exit 1", "kill -9 $$", "echo nonsense; exit 0", "echo fatal: broken >&2; exit 128"])
def test_where_git_is_broken_auto_reads_without_it(server, wrapped, script):
    made = line(server, CROSSOVER + 20)
    asked = pushed(server, made[3], made[-1])
    expected = read(asked, Settings(git_reader="dulwich"))
    wrapped(script)
    assert without_numbers(read(asked, Settings(git_reader="auto"))) == without_numbers(expected)
    with pytest.raises(ReadingError):
        read(asked, Settings(git_reader="git"))


@pytest.mark.parametrize("lane", ["git", "auto", "dulwich"])
def test_without_a_temporary_directory(server, monkeypatch, lane):
    made = line(server, CROSSOVER + 20)
    asked = pushed(server, made[3], made[-1])
    expected = read(asked, Settings(git_reader=lane))

    def no_room(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", no_room)
    monkeypatch.setattr("tempfile._sanitize_params", no_room)
    assert read(asked, Settings(git_reader=lane)) == expected


@pytest.mark.parametrize("lane", ["git", "auto", "dulwich"])
def test_with_more_than_a_thousand_open_files(server, lane):
    made = line(server, CROSSOVER + 20)
    asked = pushed(server, made[3], made[-1])
    expected = read(asked, Settings(git_reader=lane))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3000:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1200)]
    try:
        assert read(asked, Settings(git_reader=lane)) == expected
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def raw_tree(server, *entries):
    content = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    return server.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", input=content)


def test_strange_trees_are_told_alike(server):
    one, two, three = (server.git("hash-object", "-w", "--stdin", input=content) for content in ("1", "22", "333"))
    file = b"100644"
    trees = [
        raw_tree(server, (file, b"a", one), (file, b"b", two)),
        raw_tree(server, (file, b"b", two), (file, b"a", three)),  # not sorted
        raw_tree(server, (b"40000000100644", b"a", one), (file, b"b", two)),  # 2^32 and more
        raw_tree(server, (b"0", b"a", one), (file, b"b", two)),
    ]
    made = []
    for number, tree in enumerate(trees):
        made.append(server.git("commit-tree", "-m", f"{number}", *(["-p", made[-1]] if made else []), tree, input=""))
    point(server, {MAIN: made[-1]})
    asked = pushed(server, made[0], made[-1])
    told = [read(asked, Settings(git_reader=lane)) for lane in ("dulwich", "git")]
    assert told[0] == told[1]
    assert [[(change.path, change.type) for change in commit.files] for commit in told[0].commits][:2] == [
        [("a", "modified")]
    ] * 2


def test_a_date_behind_a_bracket_in_a_name(server):
    """git before 2.41 takes the number behind the first bracket for the date when it walks."""
    tree = server.git("mktree", input="")
    made = []
    for number in range(300):
        name = "A > 999999999 <x@y>" if number % 3 == 0 else "A <x@y> 5 >" if number % 3 == 1 else "A <x@y>"
        head = (
            f"tree {tree}\n"
            + (f"parent {made[-1]}\n" if made else "")
            + (f"parent {made[-7]}\n" if number > 20 and number % 5 == 0 else "")
        )
        raw = f"{head}author A <a@b> 1 +0000\ncommitter {name} {START_S + number} +0000\n\n{number}\n"
        made.append(server.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", input=raw))
    point(server, {MAIN: made[-1]})
    asked = pushed(server, made[2], made[-1])
    told = [read(asked, Settings(git_reader=lane, max_commits=50)) for lane in ("dulwich", "git")]
    assert told[0] == told[1]
    assert [commit.node for commit in told[0].commits] == made[-50:]
