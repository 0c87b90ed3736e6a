from __future__ import annotations

import random

import pytest

from githooks.reading.errors import ObjectMissing
from githooks.reading.store import open_objects
from githooks.reading.trees import Trees
from tests.support.histories import Planned, build, point

ELSEWHERE = b"5" * 40
A, B, X = ("100644", b"a\n"), ("100644", b"b\n"), ("100755", b"a\n")
LINK, MODULE, BUMPED = ("120000", b"a\n"), ("160000", ELSEWHERE), ("160000", b"6" * 40)

ROWS = {
    "nothing": {},
    "added": {b"new": A, b"dir/new": A, b"deep/er/still": A},
    "modified": {b"a": B},
    "removed": {b"a": None, b"d/x": None},
    "renamed": {b"a": None, b"a2": A},
    "mode only": {b"a": X},
    "file becomes symlink": {b"a": LINK},
    "symlink becomes file": {b"l": A},
    "file becomes submodule": {b"a": MODULE},
    "submodule bumped": {b"m": BUMPED},
    "submodule removed": {b"m": None},
    "submodule becomes folder": {b"m": None, b"m/x": A},
    "file becomes folder": {b"a": None, b"a/x": A, b"a/y/z": B},
    "folder becomes file": {b"d/x": None, b"d/y": None, b"d": A},
    "names that sort oddly": {b"d.c": A, b"d-": A, b"d0": A, b"\xe9": A, b"\xc3\xa9": B},
    "a tab and a quote": {b'"we\\tird \\"name"': A},
}
START = {b"a": A, b"d/x": A, b"d/y": B, b"l": LINK, b"m": MODULE}


def _git_says(server, *arguments):
    """path -> (old mode, new mode, old oid, new oid), as `git diff-tree` tells it."""
    raw = server.git("diff-tree", "-r", "-z", "--no-renames", "--root", "--no-commit-id", *arguments)
    fields = raw.split("\0")[:-1]
    found = {}
    for head, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old, new, _ = head[1:].split(" ")
        found[path.encode("utf-8", "surrogateescape")] = (old_mode, new_mode, old, new)
    return found


def _we_say(difference):
    def told(side):
        return (f"{side.mode:06o}", side.oid.decode()) if side else ("000000", "0" * 40)

    return {path: (told(old)[0], told(new)[0], told(old)[1], told(new)[1]) for path, (old, new) in difference.items()}


def changed(reader, tree, parents):
    """Path -> sides, and which paths no parent has."""
    told = list(reader.changes(tree, parents))
    assert [one.path for one in told] == sorted({one.path for one in told})
    return {one.path: (one.old, one.new) for one in told}, {one.path for one in told if one.is_added}


@pytest.mark.parametrize("name", ROWS)
def test_equal_to_diff_tree(git_server, name):
    server = git_server()
    old, new = build(server, [Planned(files=START), Planned((0,), files=ROWS[name])])
    trees = [server.node(f"{node}^{{tree}}").encode() for node in (old, new)]
    with open_objects(str(server.path), {}) as store:
        reader = Trees(store)
        assert _we_say(changed(reader, trees[1], trees[:1])[0]) == _git_says(server, old, new)
        assert _we_say(changed(reader, trees[0], trees[1:])[0]) == _git_says(server, new, old)
        assert changed(reader, trees[0], []) == (changed(reader, trees[0], [None])[0], set(START))
        assert _we_say(changed(reader, trees[0], [None])[0]) == _git_says(server, old)


MERGES = {
    "clean": ({b"a": B}, {b"d/x": B}, {b"a": B, b"d/x": B}),
    "both sides changed": ({b"a": B}, {b"a": X}, {b"a": ("100644", b"third\n")}),
    "took one side": ({b"a": B}, {b"a": X}, {b"a": X}),
    "took one side's removal": ({b"a": None}, {}, {b"a": None}),
    "removed from both": ({}, {}, {b"a": None}),
    "added to neither": ({}, {}, {b"evil": A}),
    "added by second, then changed": ({}, {b"n": A}, {b"n": B}),
    "folder for file": ({b"a": B}, {}, {b"a": None, b"a/x": A}),
    "folder of the second": ({}, {b"n/x": A, b"n/y": A}, {b"n/x": B, b"n/y": A}),
    "second's folder for first's file": ({}, {b"a": None, b"a/x": A, b"a/y": A}, {b"a": None, b"a/x": B, b"a/y": A}),
    "nothing is left": ({b"a": B}, {b"d/x": B}, dict.fromkeys(START)),
}


@pytest.mark.parametrize("name", MERGES)
def test_a_merge_tells_what_differs_from_all_parents(git_server, name):
    left, right, merged = MERGES[name]
    server = git_server()
    plan = [Planned(files=START), Planned((0,), files=left), Planned((0,), files=right), Planned((1, 2), files=merged)]
    nodes = build(server, plan)
    trees = [server.node(f"{node}^{{tree}}").encode() for node in nodes]
    with open_objects(str(server.path), {}) as store:
        found, added = changed(Trees(store), trees[3], [trees[1], trees[2]])
    told = server.git("diff-tree", "-r", "-c", "--name-status", "-z", "--no-commit-id", nodes[3]).split("\0")[:-1]
    assert {path.decode() for path in found} == set(told[1::2])
    assert {path.decode() for path in added} == {path for how, path in zip(told[::2], told[1::2], strict=True) if how == "AA"}


def test_merges_of_large_folders_and_of_many_parents(git_server):
    dice = random.Random(4)
    server = git_server()
    names = [f"{folder}{dice.getrandbits(40):x}".encode() for folder in ("", "many/", "many/more/") for _ in range(150)]
    plan = [Planned(files=dict.fromkeys(names, A))]
    for _ in range(40):
        parents = tuple(dice.sample(range(len(plan)), k=min(len(plan), dice.choice((1, 1, 2, 2, 3)))))
        changes = dice.choices(names, k=dice.choice((1, 5, 200)))
        plan.append(Planned(parents, files={name: ("100644", b"%d" % dice.randrange(4)) for name in changes} | {names[0]: None}))
    nodes = build(server, plan)
    merges = [index for index, commit in enumerate(plan) if len(commit.parents) > 1]
    trees = [tree.encode() for tree in server.git("rev-parse", *(f"{node}^{{tree}}" for node in nodes)).splitlines()]
    with open_objects(str(server.path), {}) as store:
        reader = Trees(store)
        for index in merges:
            found, _ = changed(reader, trees[index], [trees[parent] for parent in plan[index].parents])
            told = server.git("diff-tree", "-r", "-c", "--name-only", "-z", "--no-commit-id", nodes[index]).split("\0")[:-1]
            assert {path.decode() for path in found} == set(told), plan[index].parents


def test_rights_of_others_are_no_change(git_server):
    server = git_server()
    blob = server.git("hash-object", "-w", "--stdin", input="x")
    trees = []
    for mode in (b"100644", b"100664"):
        raw = mode + b" f\0" + bytes.fromhex(blob)
        trees.append(server.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", input=raw).encode())
    with open_objects(str(server.path), {}) as store:
        assert changed(Trees(store), trees[1], trees[:1]) == ({}, set())
        with pytest.raises(ObjectMissing, match="eeee is missing"):
            changed(Trees(store), b"e" * 40, trees[:1])


def test_a_deep_tree_is_no_danger(git_server):
    server = git_server()
    path = b"/".join([b"d"] * 1500) + b"/f"
    nodes = build(server, [Planned(files={path: A}), Planned((0,), files={path: B})])
    point(server, {"refs/heads/main": nodes[1]})
    with open_objects(str(server.path), {}) as store:
        trees = [server.node(f"{node}^{{tree}}").encode() for node in nodes]
        assert list(changed(Trees(store), trees[1], trees[:1])[0]) == [path]
