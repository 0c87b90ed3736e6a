"""The edges of what can be pushed to git, each read by both lanes: refs, commits, files, people and dates of any kind."""

from __future__ import annotations

import json
import re
import subprocess
from functools import partial

import pytest

from payload.build import Service, build
from payload.push import FileType, Person, RefAction, RefKind
from tests.support import git_lanes, git_objects
from tests.support.git_lanes import LANES, nodes
from tests.support.git_objects import Objects
from tests.support.histories import Planned, point
from tests.support.histories import build as build_history

MAIN, SIDE, TAG = "refs/heads/main", "refs/heads/side", "refs/tags/v1"
ANN = b"Ann Example <ann@example.org> 1700000000 +0100"


@pytest.fixture(params=LANES)
def tell(request):
    return partial(git_lanes.tell, lane=request.param)


@pytest.fixture
def server(git_server):
    made = git_server()
    made.git("symbolic-ref", "HEAD", MAIN)
    return made


def written(server, objects, *, packed=False, **refs):
    """Put the objects there, and refs to them; `heads_main=NODE` is refs/heads/main. Whatever they are: git is not asked."""
    objects.write(server.path, packed=packed)
    for name, node in refs.items():
        path = server.path / "refs" / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(node + "\n")


def one_commit(server, tell, raw):
    """The commit with that content, pushed and told."""
    objects = Objects()
    node = objects.add("commit", raw)
    objects.add("tree", b"")
    written(server, objects, heads_main=node)
    (commit,) = tell(server.path, (MAIN, None, node)).commits
    assert commit.node == node
    return commit


def raw_commit(*, author=ANN, committer=ANN, headers=b"", message=b"a change\n"):
    return git_objects.commit(Objects().add("tree", b""), (), author, committer, message, headers)


def payload_of(push):
    """As a strict JSON parser has it."""
    made = build(push, Service("post"))
    return json.loads(json.dumps(made, ensure_ascii=False, allow_nan=False).encode("utf-8"))


# ---------------------------------------------------------------------------------------------------------------- refs


@pytest.mark.parametrize(
    "ref",
    [
        *("refs/pull/1/head", "refs/pull/1/merge", "refs/merge-requests/7/head", "refs/changes/01/1/1", "refs/meta/config"),
        *("refs/keep-around/0", "refs/notes/commits", "refs/remotes/origin/main", "refs/stash", "refs/headstrong", "refs/tag"),
    ],
)
def test_what_is_only_in_refs_that_do_not_count_is_told_when_it_is_merged(server, tell, ref):
    made = build_history(server, [Planned(), Planned((0,), message=b"in a request\n"), Planned((0, 1))])
    point(server, {MAIN: made[0], ref: made[1]})
    push = tell(server.path, (ref, None, made[1]))
    assert (push.commits, push.refs, push.total_commits) == ((), (), 0)
    point(server, {MAIN: made[2]})
    push = tell(server.path, (MAIN, made[0], made[2]))
    assert nodes(push) == [made[1], made[2]]
    assert nodes(tell(server.path, (MAIN, made[0], made[2]), (ref, made[0], made[1]))) == [made[1], made[2]]


def test_refs_that_are_made_to_count(server, tell):
    made = build_history(server, [Planned(), Planned((0,)), Planned((1,))])
    point(server, {MAIN: made[1], "refs/changes/01/1/1": made[2], "refs/notes/commits": made[1]})
    counting = ("refs/heads/", "refs/changes/", "refs/notes/")
    push = tell(server.path, ("refs/changes/01/1/1", None, made[2]), ("refs/notes/commits", None, made[1]), refs=counting)
    assert [(change.kind, change.name, change.commits) for change in push.refs] == [
        (RefKind.OTHER, "changes/01/1/1", (made[2],)),
        (RefKind.NOTE, "commits", ()),
    ]
    assert push.commits[0].branch is None


@pytest.mark.parametrize(
    "name", ["caf\udce9", "gr\xf6\xdfe", "a'b\"c", "-dash", "a/b/c.d", "x" * 200, "v1", "HEAD", "refs/heads/x"]
)
def test_names_of_branches(server, tell, name):
    made = build_history(server, [Planned()])
    ref = f"refs/heads/{name}"
    server.git("update-ref", ref, made[0])
    push = tell(server.path, (ref, None, made[0]))
    shown = name.replace("\udce9", "\ufffd")
    assert (push.refs[0].ref, push.refs[0].name, push.commits[0].branch) == (f"refs/heads/{shown}", shown, shown)
    assert payload_of(push)["commits"][0]["branch"] == shown


def test_tags_of_tags_are_peeled_on_both_sides(server, tell):
    made = build_history(server, [Planned(), Planned((0,)), Planned((1,))])
    objects = Objects()
    inner = objects.add("tag", git_objects.tag(made[0], "commit", b"inner", ANN, b"inner\n"))
    middle = objects.add("tag", git_objects.tag(inner, "tag", b"middle", ANN, b"middle\n"))
    outer = objects.add("tag", git_objects.tag(middle, "tag", b"v1", b"J\xf6rg <j@example.org> 1 -0130", b"gr\xc3\xbcn \xff\n"))
    written(server, objects)
    point(server, {TAG: outer, MAIN: made[2]})
    push = tell(server.path, (TAG, None, outer), (MAIN, None, made[2]))
    assert [change.commits for change in push.refs] == [(), tuple(made)]
    assert push.refs[0].message == "gr\xfcn \ufffd\n"
    assert push.refs[0].tagger == Person("J\ufffdrg <j@example.org>", "J\ufffdrg", "j@example.org", 1, -5400)
    assert nodes(tell(server.path, (MAIN, None, made[2]))) == made[1:]  # the tag holds the first
    push = tell(server.path, (TAG, outer, middle), (MAIN, made[0], made[2]))
    assert [(change.action, change.dropped, change.message) for change in push.refs] == [
        (RefAction.UPDATE, 0, "middle\n"),
        (RefAction.UPDATE, 0, None),
    ]


def test_tags_that_lack_something(server, tell):
    made = build_history(server, [Planned()])
    objects = Objects()
    old = objects.add("tag", git_objects.tag(made[0], "commit", b"old", None, b"of 2005\n"))
    signature = b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
    signed = objects.add("tag", git_objects.tag(made[0], "commit", b"signed", ANN, b"signed\n" + signature))
    bare = objects.add("tag", f"object {made[0]}\ntype commit\ntag bare\n".encode())
    named = {"old": old, "signed": signed, "bare": bare}
    written(server, objects, **{f"tags_{name}": node for name, node in named.items()})
    push = tell(server.path, *((f"refs/tags/{name}", None, node) for name, node in named.items()))
    assert nodes(push) == made
    assert [(change.tagger and change.tagger.name, change.message) for change in push.refs] == [
        (None, "of 2005\n"),
        ("Ann Example", "signed\n" + signature.decode()),
        (None, ""),
    ]


def test_tags_of_blobs_and_trees_bring_nothing_and_exclude_nothing(server, tell):
    made = build_history(server, [Planned(files={b"a": ("100644", b"1")}), Planned((0,))])
    blob, tree = server.node(f"{made[0]}:a"), server.node(f"{made[0]}^{{tree}}")
    objects = Objects()
    named = {"blob": blob, "tree": tree, "of-blob": objects.add("tag", git_objects.tag(blob, "blob", b"b", ANN, b"key\n"))}
    named["of-tree"] = objects.add("tag", git_objects.tag(tree, "tree", b"t", None, b"tree\n"))
    named["of-tag"] = objects.add("tag", git_objects.tag(named["of-blob"], "tag", b"tt", ANN, b"twice\n"))
    written(server, objects, **{f"tags_{name}": node for name, node in named.items()})
    push = tell(server.path, *((f"refs/tags/{name}", None, node) for name, node in named.items()))
    assert (push.commits, [change.message for change in push.refs]) == ((), [None, None, "key\n", "tree\n", "twice\n"])
    point(server, {MAIN: made[1]})
    assert nodes(tell(server.path, (MAIN, None, made[1]))) == made
    assert (
        nodes(tell(server.path, ("refs/tags/of-blob", named["of-tag"], named["of-blob"]), (MAIN, made[0], made[1]))) == made[1:]
    )


def test_a_tag_that_moves_from_a_blob_to_a_commit(server, tell):
    made = build_history(server, [Planned(files={b"a": ("100644", b"1")})])
    blob = server.node(f"{made[0]}:a")
    point(server, {TAG: made[0]})
    push = tell(server.path, (TAG, blob, made[0]))
    assert (nodes(push), push.refs[0].action, push.refs[0].dropped) == (made, RefAction.UPDATE, 0)


def test_a_forced_push_of_what_was_collected_since(server, tell):
    made = build_history(server, [Planned(), Planned((0,)), Planned((0,), message=b"instead\n")])
    point(server, {MAIN: made[2]})
    assert tell(server.path, (MAIN, made[1], made[2])).refs[0].dropped == 1
    server.git("repack", "-adq")
    server.git("prune", "--expire=now")
    push = tell(server.path, (MAIN, made[1], made[2]))
    assert (push.refs[0].action, push.refs[0].dropped) == (RefAction.REWIND, None)
    assert set(nodes(push)) == {made[0], made[2]}  # nothing says any more that the root was there before


def test_wrong_clocks_hide_nothing(server, tell):
    """Each commit but the tip seems a year older than its parents, and the branch beside it a year younger."""
    year_s = 31_557_600
    old = [Planned((index - 1,) if index else (), 1_700_000_000 - index * year_s // 10) for index in range(20)]
    plan = [*old, Planned((5,), 1_900_000_000), Planned((20, 19), 1)]
    made = build_history(server, plan)
    point(server, {MAIN: made[21], SIDE: made[7]})
    assert set(nodes(tell(server.path, (MAIN, made[3], made[21])))) == {*made[8:20], made[20], made[21]}
    assert tell(server.path, (MAIN, made[3], made[21])).commits[-1].revision == 22


# --------------------------------------------------------------------------------------------------------------- files


def file(content, mode="100644"):
    return (mode, content)


A, D, M = FileType.ADDED, FileType.REMOVED, FileType.MODIFIED
LINK, MODULE, OTHER_MODULE = file(b"target", "120000"), file(b"1" * 40, "160000"), file(b"2" * 40, "160000")
START = {b"f": file(b"12345\n"), b"d/e": file(b"1"), b"l": LINK, b"m": MODULE, b"x": file(b"#!", "100755")}
# What is changed in START, and what is told of it: path -> type, growth.
CHANGES = {
    "nothing": ({}, {}),
    "content": ({b"f": file(b"1\n")}, {"f": (M, -4)}),
    "added": ({b"new/g": file(b"123")}, {"new/g": (A, 3)}),
    "removed": ({b"d/e": None}, {"d/e": (D, -1)}),
    "emptied": ({b"f": file(b"")}, {"f": (M, -6)}),
    "mode only": ({b"f": file(b"12345\n", "100755"), b"x": file(b"#!")}, {"f": (M, 0), "x": (M, 0)}),
    "renamed": ({b"f": None, b"g": file(b"12345\n")}, {"f": (D, -6), "g": (A, 6)}),
    "copied": ({b"g": file(b"12345\n")}, {"g": (A, 6)}),
    "swapped": ({b"f": file(b"1"), b"d/e": file(b"12345\n")}, {"d/e": (M, 5), "f": (M, -5)}),
    "file to link": ({b"f": file(b"x", "120000")}, {"f": (M, -5)}),
    "link to file": ({b"l": file(b"target")}, {"l": (M, 0)}),
    "link moved": ({b"l": file(b"to", "120000")}, {"l": (M, -4)}),
    "file to submodule": ({b"f": MODULE}, {"f": (M, -6)}),
    "submodule to file": ({b"m": file(b"123")}, {"m": (M, 3)}),
    "submodule to link": ({b"m": LINK}, {"m": (M, 6)}),
    "submodule bumped": ({b"m": OTHER_MODULE}, {"m": (M, 0)}),
    "submodule added": ({b"n/o": MODULE}, {"n/o": (A, 0)}),
    "submodule removed": ({b"m": None}, {"m": (D, 0)}),
    "file to folder": ({b"f": None, b"f/g": file(b"12")}, {"f": (D, -6), "f/g": (A, 2)}),
    "folder to file": ({b"d/e": None, b"d": file(b"12")}, {"d": (A, 2), "d/e": (D, -1)}),
    "folder to submodule": ({b"d/e": None, b"d": MODULE}, {"d": (A, 0), "d/e": (D, -1)}),
    "submodule to folder": ({b"m": None, b"m/n": file(b"1")}, {"m": (D, 0), "m/n": (A, 1)}),
    "folder to link": ({b"d/e": None, b"d": LINK}, {"d": (A, 6), "d/e": (D, -1)}),
    "everything": (dict.fromkeys(START), {"d/e": (D, -1), "f": (D, -6), "l": (D, -6), "m": (D, 0), "x": (D, -2)}),
    "names": (
        {
            b"caf\xe9": file(b"1"),
            b"caf\xc3\xa9": file(b"12"),
            b'tab\tline\nquote"back\\slash': file(b"1"),
            b" ": file(b"1"),
            b":(top)*": file(b"1"),
            b"\x01\x7f\xc2\x80": file(b"1"),
        },
        {
            "\x01\x7f\x80": (A, 1),
            " ": (A, 1),
            ":(top)*": (A, 1),
            "caf\xe9": (A, 2),
            "caf\ufffd": (A, 1),
            'tab\tline\nquote"back\\slash': (A, 1),
        },
    ),
    "order": (
        {b"d.x": file(b"1"), b"d-x": file(b"1"), b"d0": file(b"1"), b"d/a": file(b"1"), b"D": file(b"1")},
        {"D": (A, 1), "d-x": (A, 1), "d.x": (A, 1), "d/a": (A, 1), "d0": (A, 1)},
    ),
}


def growths(commit):
    return {change.path: (change.type, change.growth) for change in commit.files}


def name_status(server, made):
    """node -> {path: letters}, by `git diff-tree`; of merges as with `-c`."""
    argv = [
        "git",
        f"--git-dir={server.path}",
        "diff-tree",
        "--stdin",
        "-r",
        "-c",
        "--root",
        "-z",
        "--no-renames",
        "--name-status",
    ]
    said = subprocess.run(argv, input="\n".join([*made, ""]).encode(), check=True, capture_output=True).stdout
    found = {node: {} for node in made}
    words = iter(said.decode("utf-8", "replace").split("\0")[:-1])
    at = found
    for word in words:
        if re.fullmatch("[0-9a-f]{40,64}", word):
            at = found[word]
        else:
            at[next(words)] = word
    return found


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_kinds_of_change(git_server, tell, object_format):
    server = git_server(object_format=object_format)
    objects = Objects(object_format)
    digits = len(objects.add("blob", b""))

    def commit(files, *parents):
        held = {path: (what[0], what[1][:1] * digits if what[0] == "160000" else what[1]) for path, what in files.items() if what}
        return objects.add("commit", git_objects.commit(objects.tree(held), parents, ANN, ANN, b"a change\n"))

    start = commit(START)
    made = {name: commit(START | changes, start) for name, (changes, _) in CHANGES.items()}
    names = {name: f"refs/heads/{number}" for number, name in enumerate(made)}
    written(
        server, objects, packed=True, **{ref.removeprefix("refs/").replace("/", "_"): made[name] for name, ref in names.items()}
    )
    push = tell(server.path, *((names[name], None, node) for name, node in made.items()))
    by_node = {commit.node: commit for commit in push.commits}
    assert {name: growths(by_node[node]) for name, node in made.items()} == {name: told for name, (_, told) in CHANGES.items()}
    assert growths(by_node[start]) == {"d/e": (A, 1), "f": (A, 6), "l": (A, 6), "m": (A, 0), "x": (A, 2)}
    for commit in push.commits:
        assert [change.path.encode() for change in commit.files] == sorted(change.path.encode() for change in commit.files)
    letters = {"A": A, "D": D, "M": M, "T": M}
    said = name_status(server, [start, *made.values()])
    for node, paths in said.items():
        assert {path: letters[letter] for path, letter in paths.items()} == {
            change.path: change.type for change in by_node[node].files
        }


def test_merges_tell_what_differs_from_all_parents(server, tell):
    base = {b"a": file(b"a"), b"b": file(b"b"), b"c": file(b"c"), b"d": file(b"d")}
    plan = [
        Planned(files=base),
        Planned((0,), files={b"a": file(b"left"), b"left": file(b"1"), b"d": None}),
        Planned((0,), files={b"b": file(b"right"), b"right": file(b"12"), b"c": file(b"rc")}),
        Planned((0,), files={b"third": file(b"123"), b"c": file(b"third"), b"a": file(b"third")}),
        # clean: each side as it was
        Planned((1, 2), files={b"b": file(b"right"), b"right": file(b"12"), b"c": file(b"rc")}),
        # evil: something of its own in a file of both, in a new one, and one that both have is gone
        Planned((1, 2), files={b"b": file(b"evil"), b"new": file(b"1234"), b"c": None, b"right": file(b"12")}),
        # one side's removal is taken; the other side's file is taken back
        Planned((2, 1), files={b"d": None, b"a": file(b"left"), b"right": None}),
        # octopus, clean but for one file
        Planned((1, 2, 3), files={b"b": file(b"right"), b"right": file(b"12"), b"third": file(b"123"), b"c": file(b"all")}),
        Planned((2, 1, 3, 0), files={b"left": file(b"changed"), b"d": file(b"d", "100755")}),
        # the same parent twice is what git makes of `-p X -p X`; both roots are strangers
        Planned(files={b"other": file(b"root")}),
        Planned((9, 1), files={b"merged": file(b"m"), b"other": file(b"root!")}),
    ]
    made = build_history(server, plan)
    point(server, {f"refs/heads/{index}": made[index] for index in range(4, 11)})
    push = tell(server.path, *((f"refs/heads/{index}", None, made[index]) for index in range(4, 11)))
    by_node = {commit.node: commit for commit in push.commits}
    assert [growths(by_node[made[index]]) for index in range(4, 11)] == [
        {},
        {"b": (M, 3), "c": (D, -1), "new": (A, 4)},
        {},
        {"c": (M, 2)},
        {"d": (M, 0), "left": (M, 7)},
        {"other": (A, 4)},
        {"merged": (A, 1), "other": (M, 1)},
    ]
    said = name_status(server, made)
    assert {node: [change.path for change in by_node[node].files] for node in made} == {node: sorted(said[node]) for node in made}


def test_a_merge_of_one_parent_twice(server, tell):
    objects = Objects()
    first = objects.add("commit", git_objects.commit(objects.tree({b"a": file(b"1")}), (), ANN, ANN, b"1\n"))
    twice = objects.add("commit", git_objects.commit(objects.tree({b"a": file(b"12")}), (first, first), ANN, ANN, b"2\n"))
    written(server, objects, heads_main=twice)
    (commit,) = tell(server.path, (MAIN, first, twice)).commits
    assert (commit.parents, growths(commit)) == ((first, first), {"a": (M, 1)})


def test_many_files_many_commits_and_long_messages_are_cut_and_marked(server, tell):
    plan = [Planned(files={b"f%04d" % number: file(b"x") for number in range(1500)}, message=b"m" * 100_000)]
    plan += [Planned((index,), message=b"%d\n" % index) for index in range(2999)]
    made = build_history(server, plan)
    point(server, {MAIN: made[-1]})
    push = tell(server.path, (MAIN, None, made[-1]))
    payload = payload_of(push)
    assert [commit["raw_node"] for commit in payload["commits"]] == made[-1000:]
    assert (payload["truncated"], payload["oberon"]["total_commits"]) == (True, 3000)
    assert len(payload["oberon"]["refs"][0]["commits"]) == 1000
    assert payload["commits"][-1]["revision"] == 3000
    payload = payload_of(tell(server.path, (MAIN, made[-1], made[0])))
    assert (payload["truncated"], payload["oberon"]["refs"][0]["dropped"]) == (False, 2999)
    point(server, {MAIN: made[0]})
    payload = payload_of(tell(server.path, (MAIN, None, made[0])))
    details = payload["oberon"]["commits"][made[0]]
    assert (details["truncated"], details["total_files"], len(details["files"])) == (["files", "message"], 1500, 1000)
    assert (len(payload["commits"][0]["files"]), len(payload["commits"][0]["message"])) == (1000, 65536)
    assert payload["commits"][0]["size"] == 1500


# ------------------------------------------------------------------------------------------------------ what is written


SIGNATURE = b"-----BEGIN PGP SIGNATURE-----\n \n iQ==\n author Fake <f@example.org> 1 +0000\n -----END PGP SIGNATURE-----\n"
FAKE = b"0" * 39 + b"1"


@pytest.mark.parametrize(
    "headers",
    [
        b"gpgsig " + SIGNATURE,
        b"gpgsig-sha256 " + SIGNATURE,
        b"mergetag object " + FAKE + b"\n type commit\n tag v1\n tagger Fake <f@example.org> 1 +0000\n \n words\n",
        b"HG:rename-source hg\nHG:extra amend_source:00\n",
        b"x-unknown\nparent " + FAKE + b"\ntree " + FAKE + b"\nauthor Fake <f@example.org> 1 +0000\n",
        b"encoding \n",
        b"odd\n",
        b" a line that goes on with nothing\n",
        b"x" * 100_000 + b" y\n",
    ],
)
def test_headers_that_nobody_reads(server, tell, headers):
    commit = one_commit(server, tell, raw_commit(headers=headers))
    assert (commit.parents, commit.message, commit.author.name) == ((), "a change\n", "Ann Example")
    assert commit.committer == commit.author
    assert int(server.git("rev-list", "--count", commit.node)) == commit.revision == 1


@pytest.mark.parametrize(
    ("encoding", "name", "message", "told"),
    [
        (b"ISO-8859-1", b"J\xf6rg", b"gr\xfcn\n", ("J\xf6rg", "gr\xfcn\n")),
        (b"latin-1", b"J\xf6rg", b"gr\xfcn\n", ("J\xf6rg", "gr\xfcn\n")),
        (b"ISO-8859-15", b"\xa4", b"\xa4\n", ("\u20ac", "\u20ac\n")),
        (b"Shift_JIS", b"\x83e\x83X\x83g", b"\x83e\n", ("\u30c6\u30b9\u30c8", "\u30c6\n")),
        (b"klingon", b"J\xc3\xb6rg", b"gr\xfcn\n", ("J\xf6rg", "gr\ufffdn\n")),
        (b"hex", b"J\xc3\xb6rg", b"00\n", ("J\xf6rg", "00\n")),
        (b"UTF-8", b"J\xc3\xb6rg \xed\xa0\x80", b"\xf0\x9f\x98\x80\n", ("J\xf6rg \ufffd\ufffd\ufffd", "\U0001f600\n")),
        (b"utf-7", b"+2AA-", b"+2AA-\n", ("\ufffd", "\ufffd\n")),
        (b"\xff\0", b"J\xc3\xb6rg", b"x\n", ("J\xf6rg", "x\n")),
    ],
)
def test_encodings(server, tell, encoding, name, message, told):
    person = name + b" <j@example.org> 1 +0000"
    raw = raw_commit(author=person, committer=person, headers=b"encoding " + encoding + b"\n", message=message)
    commit = one_commit(server, tell, raw)
    assert (commit.author.name, commit.message) == told
    assert commit.committer.name == told[0]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b"", ""),
        (b"\n", "\n"),
        (b"no line end", "no line end"),
        (b"nul\0in it\0", "nul\0in it\0"),
        (b"\r\nwindows\r\n", "\r\nwindows\r\n"),
        (b"bad \xff\xc3 bytes\xc3", "bad \ufffd\ufffd bytes\ufffd"),
        (b"tree 0\n\nparent x\n", "tree 0\n\nparent x\n"),
        (b"\x1b[31mred\x07\xe2\x80\xae\n", "\x1b[31mred\x07\u202e\n"),
    ],
)
def test_messages(server, tell, message, told):
    commit = one_commit(server, tell, raw_commit(message=message))
    assert commit.message == told


def test_a_commit_that_ends_with_its_headers(server, tell):
    commit = one_commit(server, tell, raw_commit()[: -len(b"\na change\n")])
    assert (commit.message, commit.author.name) == ("", "Ann Example")


# A line of an author or committer -> its parts, and what `utctimestamp` and the date with zone say.
PEOPLE = {
    b"Ann <a@b> 1700000000 +0100": (("Ann", "a@b", 1700000000, 3600), "2023-11-14 22:13:20+00:00", "2023-11-14T23:13:20+01:00"),
    b"Ann <a@b> 300000000000 +0000": (("Ann", "a@b", 300000000000, 0), "9999-12-30 00:00:00+00:00", "9999-12-30T00:00:00+00:00"),
    b"Ann <a@b> -1 +0000": (("Ann", "a@b", -1, 0), "1969-12-31 23:59:59+00:00", "1969-12-31T23:59:59+00:00"),
    b"Ann <a@b> 0 +0000": (("Ann", "a@b", 0, 0), "1970-01-01 00:00:00+00:00", "1970-01-01T00:00:00+00:00"),
    b"Ann <a@b>": (("Ann", "a@b", None, None), None, None),
    b"Ann <a@b> +0100": (("Ann", "a@b", None, None), None, None),
    b"Ann <a@b> tomorrow": (("Ann", "a@b", None, None), None, None),
    b"Ann <a@b> 1700000000": (("Ann", "a@b", 1700000000, None), "2023-11-14 22:13:20+00:00", "2023-11-14T22:13:20+00:00"),
    b"Ann <a@b> 1700000000.75 -0030": (
        ("Ann", "a@b", 1700000000, -1800),
        "2023-11-14 22:13:20+00:00",
        "2023-11-14T21:43:20-00:30",
    ),
    b"Ann <a@b> 1700000000 +51800": (
        ("Ann", "a@b", 1700000000, 518 * 3600),
        "2023-11-14 22:13:20+00:00",
        "2023-11-14T22:13:20+00:00",
    ),
    b"Ann <a@b> 1700000000 +9959": (
        ("Ann", "a@b", 1700000000, 99 * 3600 + 59 * 60),
        "2023-11-14 22:13:20+00:00",
        "2023-11-14T22:13:20+00:00",
    ),
    b"Ann <a@b> 9223372036854775808 +0000": (("Ann", "a@b", 2**63, 0), "9999-12-30 00:00:00+00:00", "9999-12-30T00:00:00+00:00"),
    b"Ann <a@b> " + b"9" * 30 + b" +0000": (("Ann", "a@b", None, None), None, None),
    b"<only@b> 1 +0000": (("", "only@b", 1, 0), "1970-01-01 00:00:01+00:00", "1970-01-01T00:00:01+00:00"),
    b"No Mail <> 1 +0000": (("No Mail", "", 1, 0), "1970-01-01 00:00:01+00:00", "1970-01-01T00:00:01+00:00"),
    b"Nobody 1 +0000": (("Nobody", "", 1, 0), "1970-01-01 00:00:01+00:00", "1970-01-01T00:00:01+00:00"),
    b"Open <a@b 1 +0000": (("Open", "a@b", 1, 0), "1970-01-01 00:00:01+00:00", "1970-01-01T00:00:01+00:00"),
    b"A <b> C <a@b> 1 +0000": (("A", "b> C <a@b", 1, 0), "1970-01-01 00:00:01+00:00", "1970-01-01T00:00:01+00:00"),
    b"": (("", "", None, None), None, None),
    b" <> 1 +0000": (("", "", 1, 0), "1970-01-01 00:00:01+00:00", "1970-01-01T00:00:01+00:00"),
    b"\xff\xfe <\xff> 1 +0000": (("\ufffd\ufffd", "\ufffd", 1, 0), "1970-01-01 00:00:01+00:00", "1970-01-01T00:00:01+00:00"),
}


@pytest.mark.parametrize("line", PEOPLE)
def test_people_and_dates(server, tell, line):
    told, utc, zoned = PEOPLE[line]
    objects = Objects()
    tree = objects.add("tree", b"")
    first = objects.add("commit", git_objects.commit(tree, (), line, line, b"1\n"))
    second = objects.add("commit", git_objects.commit(tree, (first,), ANN, line, b"2\n"))
    written(server, objects, heads_main=second, heads_side=first)
    push = tell(server.path, (MAIN, None, second), (SIDE, None, first))
    assert nodes(push) == [first, second]
    author = push.commits[0].author
    assert (author.name, author.email, author.time, author.offset_s) == told
    assert push.commits[0].committer == push.commits[1].committer == author
    payload = payload_of(push)
    assert payload["commits"][0]["utctimestamp"] == utc
    assert (payload["commits"][0]["timestamp"] is None) == (utc is None)
    assert payload["oberon"]["commits"][first]["author"]["date"] == zoned


@pytest.mark.parametrize(
    "raw",
    [
        b"tree %(tree)s\nauthor A <> 1 +0000\n\nno committer\n",
        b"tree %(tree)s\ncommitter A <> 1 +0000\n\nno author\n",
        b"tree %(tree)s\n\nnobody\n",
        b"tree %(tree)s\nauthor A <> 1 +0000\nauthor B <> 2 +0000\ncommitter A <> 1 +0000\ncommitter B <> 2 +0000\n\ntwice\n",
        b"tree %(tree)s\ncommitter A <> 1 +0000\nauthor A <> 1 +0000\n\nturned round\n",
    ],
)
def test_commits_that_lack_people(server, tell, raw):
    tree = Objects().add("tree", b"").encode()
    commit = one_commit(server, tell, raw % {b"tree": tree})
    assert commit.message == raw.rpartition(b"\n\n")[2].decode()
    assert (commit.author.name, commit.author.time) == (("A", 1) if b"\nauthor " in raw else ("", None))
    assert (commit.committer and commit.committer.name) == ("A" if b"\ncommitter " in raw else None)
