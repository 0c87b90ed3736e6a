"""Diffs for brokers that ask: of git as `git show` prints them, of hg as `hg export --git` does, to the byte and to the limit."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from brokers.config import Settings
from githooks.reading import read as read_git
from githooks.reading.patches import Patches
from hghooks.changes import read as read_hg
from payload import text
from payload.build import Limits, Service, build
from payload.push import Event
from tests.support import histories
from tests.support.command import run
from tests.support.git import GitServer
from tests.support.hg import HgServer
from tests.support.histories import Planned, event, point

MAIN = "refs/heads/main"
LATE = 4_000_000_000.0  # no file of a ref is younger
LIMIT = 1 << 18
DIFF = frozenset({"diff"})

LINES = b"".join(b"line %d\n" % number for number in range(40))
CODE = b"def one():\n" + b"    pass\n" * 9 + b"    return 1\n\n\ndef two():\n" + b"    pass\n" * 9 + b"    return 2\n"


def file(content, mode="100644"):
    return (mode, content)


def changed(content, number):
    return content.replace(b"line %d\n" % number, b"line %d, changed\n" % number)


PLAN = [
    Planned(
        files={
            b"a": file(LINES),
            b"b": file(b"b\n" * 20),
            b"code.py": file(CODE),
            b"d/e.txt": file(b"no end of line"),
            b"crlf": file(b"one\r\ntwo\r\nthree\r\n"),
            b"bin": file(b"\0\1\2" * 50),
            b"empty": file(b""),
            b"blank": file(b"1\n\n2\n\n3\n\n4\n"),
            b"link": file(b"a", "120000"),
            b"module": file(b"1" * 40, "160000"),
        }
    ),
    Planned((0,), files={b"a": file(changed(changed(LINES, 3), 35)), b"d/e.txt": file(b"no end of line\nnor here")}),
    Planned((1,), files={b"crlf": file(b"one\r\n2\r\nthree\n"), b"d/e.txt": file(b"an end\n")}),
    Planned((2,), files={b"bin": file(b"\0\1\3" * 50), b"new.bin": file(b"PNG\0"), b"code.py": file(CODE.replace(b"2", b"3"))}),
    Planned((3,), files={b"a": None, b"moved/to/a": file(changed(LINES, 7)), b"bin": None, b"bin2": file(b"\0\1\3" * 50)}),
    Planned((4,), files={b"b": file(b"b\n" * 20, "100755"), b"link": file(b"target", "120000"), b"empty": None}),
    Planned((5,), files={b"module": file(b"2" * 40, "160000"), b"link": file(b"a file now\n"), b"code.py": file(b"b", "120000")}),
    Planned((6,), files={b"module": file(b"1\n"), b"b": None, b"b/below": file(b"x\n")}),
    Planned((7,)),
    Planned((7,), files={b"caf\xe9": file(b"latin \xe9\n"), b"gr\xc3\xb6\xc3\x9fe": file(b"utf-8 \xc3\xb6\n")}),
    Planned((9,), files={b"caf\xe9": file(b"latin \xe9 \xff\xfe\n"), b"blank": file(b"1\n\n2\n\n3\n\nfour\n")}),
    Planned((9,), files={b'q"\\': file(b"quoted\n"), b"sp ace": file(b"\x1b[31mred\x1b[m\r\n"), b"moved/to/a": file(LINES)}),
    Planned((10, 11)),
    Planned((10, 11), files={b"moved/to/a": file(changed(LINES, 20)), b"caf\xe9": file(b"neither\n"), b"m": file(b"merged\n")}),
    Planned((13, 8, 12), files={b"octopus": file(b"8\n"), b"m": file(b"merged again")}),
    Planned((14,), files={b"bin": file(b"text now\n"), b"bin2": file(b"and here\n")}),
    Planned((14,), files={b"new.bin": file(b"text\n"), b"empty": file(b"", "100755")}),
    Planned((15, 16), files={b"new.bin": file(b"neither\0"), b"empty": file(b"full\n")}),
    Planned(files={b"another": file(b"root\n")}),
    Planned((18, 17)),
]


@pytest.fixture
def server(git_server):
    made = git_server()
    made.git("symbolic-ref", "HEAD", MAIN)
    return made


def shown(path, node, *, env=None) -> str:
    """What `git show` prints of a commit where nothing is configured but that names are not quoted."""
    plain = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", **(env or {})}
    said = run(["git", "-c", "core.quotePath=false", f"--git-dir={path}", "show", "--format=", node], env=plain).stdout
    return text.decode(said.encode("utf-8", "surrogateescape"))


def patches_of(path, nodes, recorded=None, max_bytes=LIMIT):
    with Patches(str(path), recorded or {}, max_bytes) as patches:
        return [patches.of(node.encode()) for node in nodes]


# ---------------------------------------------------------------------------------------------------------------- of git


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_git_s_are_what_git_show_prints(git_server, object_format):
    server = git_server(object_format=object_format)
    digits = 40 if object_format == "sha1" else 64
    plan = [
        Planned(
            one.parents,
            files={
                path: what and (what[0], what[1][:1] * digits if what[0] == "160000" else what[1])
                for path, what in one.files.items()
            },
        )
        for one in PLAN
    ]
    made = histories.build(server, plan)
    told = patches_of(server.path, made)
    assert told == [shown(server.path, node) for node in made]
    by_number = dict(enumerate(told))
    assert "Binary files a/bin and b/bin differ\n" in by_number[3]
    assert "new file mode 100644" in by_number[3]
    assert "rename from a\nrename to moved/to/a\n" in by_number[4]
    assert "old mode 100644\nnew mode 100755\n" in by_number[5]
    assert "-Subproject commit 1111" in by_number[6]
    assert "\\ No newline at end of file" in by_number[1]
    assert "+2\r\n" in by_number[2]
    assert by_number[8] == by_number[12] == ""
    assert "+latin \ufffd \ufffd\ufffd\n" in by_number[10]
    assert "diff --cc moved/to/a\n" in by_number[13]
    assert "Binary files differ\n" in by_number[17]
    assert all("\0" not in one for one in told)
    server.git("update-ref", MAIN, made[-1])
    server.git("repack", "-adkq")
    assert patches_of(server.path, made) == told


def test_git_s_configuration_and_attributes_change_nothing_and_run_nothing(server, tmp_path, monkeypatch):
    plan = [*PLAN, Planned((19,), files={b".gitattributes": file(b"* diff=evil\n*.py -diff\nblank binary\n")})]
    made = histories.build(server, plan)
    server.git("update-ref", MAIN, made[-1])
    expected = [shown(server.path, node) for node in made]
    ran = tmp_path / "ran"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\necho $0 >> {ran}\necho evil\n")
    evil.chmod(0o755)
    hostile = f"""
[core]
    abbrev = 40
    quotePath = true
    bigFileThreshold = 10
    pager = {evil}
    fsmonitor = {evil}
    attributesFile = {tmp_path}/attributes
    whitespace = tab-in-indent
[diff]
    external = {evil}
    renames = false
    renameLimit = 1
    algorithm = patience
    context = 0
    noPrefix = true
    mnemonicPrefix = true
    suppressBlankEmpty = true
    indentHeuristic = false
    colorMoved = zebra
    wsErrorHighlight = all
    orderFile = {tmp_path}/order
    submodule = log
    ignoreSubmodules = all
    wordRegex = .
    interHunkContext = 20
    relative = true
[diff "evil"]
    command = {evil}
    textconv = {evil}
    cachetextconv = true
    binary = true
    xfuncname = ^p
[color]
    ui = always
    diff = always
[pager]
    diff-tree = {evil}
[alias]
    diff-tree = !{evil}
[log]
    showSignature = true
    mailmap = true
"""
    (tmp_path / "attributes").write_text("* diff=evil\n")
    (tmp_path / "order").write_text("z*\n*.py\n")
    (server.path / "info").mkdir(exist_ok=True)
    (server.path / "info" / "attributes").write_text("* diff=evil\n*.py binary\n")
    with (server.path / "config").open("a") as config:
        config.write(hostile)
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(evil))
    monkeypatch.setenv("GIT_PAGER", str(evil))
    monkeypatch.setenv("GIT_DIFF_OPTS", "-u1")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "diff.external")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(evil))
    home = tmp_path / "home" / ".gitconfig"
    home.write_text(home.read_text() + hostile)
    (tmp_path / "home" / ".config" / "git").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "git" / "attributes").write_text("* diff=evil\n")
    told = patches_of(server.path, made)
    assert told == expected
    assert not ran.exists()
    assert "evil" in run(["git", f"--git-dir={server.path}", "show", "--ext-diff", made[1]]).stdout  # so it would be run
    assert ran.exists()


def test_git_s_broken_configuration_does_not_matter(server):
    made = histories.build(server, PLAN[:2])
    expected = [shown(server.path, node) for node in made]
    with (server.path / "config").open("a") as config:
        config.write("[core]\n\tabbrev = nonsense\n[diff]\n\talgorithm\n[extensions]\n\tpartialClone = origin\n")
    assert patches_of(server.path, made) == expected


def test_git_s_in_a_working_tree_with_attributes(server, tmp_path):
    made = histories.build(server, PLAN)
    expected = [shown(server.path, node) for node in made]
    point(server, {MAIN: made[9]})
    clone = server.clone()
    (clone.path / ".gitattributes").write_text("* binary\n*.py diff=python\n")
    clone.git("config", "diff.renames", "copies")
    clone.git("worktree", "add", "-q", tmp_path / "linked", "HEAD^")
    for path in (clone.path / ".git", clone.path / ".git" / "worktrees" / "linked"):
        assert patches_of(path, made[:10]) == expected[:10]


def test_git_s_of_borrowed_and_waiting_objects(server, tmp_path):
    made = histories.build(server, PLAN)
    expected = [shown(server.path, node) for node in made]
    borrower = GitServer(tmp_path / "borrower.git")
    (borrower.path / "objects" / "info" / "alternates").write_text("../../repo.git/objects\n")
    assert patches_of(borrower.path, made) == expected
    waiting = GitServer(tmp_path / 'wait:i"n\\g.git')
    objects = str(server.path / "objects")
    assert patches_of(waiting.path, made, {"GIT_ALTERNATE_OBJECT_DIRECTORIES": f"/nowhere:{objects}"}) == expected
    assert patches_of(waiting.path, made, {"GIT_OBJECT_DIRECTORY": "../repo.git/objects"}) == expected  # seen from there
    (server.path / "objects").rename(tmp_path / 'obj:e"cts')
    assert patches_of(waiting.path, made, {"GIT_OBJECT_DIRECTORY": str(tmp_path / 'obj:e"cts')}) == expected


def test_git_s_where_history_is_cut_short(server, tmp_path):
    made = histories.build(server, PLAN)
    point(server, {MAIN: made[5]})
    shallow = tmp_path / "shallow.git"
    run(["git", "clone", "-q", "--bare", "--depth=2", f"file://{server.path}", shallow])
    told = patches_of(shallow, made[4:6])
    assert told == [shown(shallow, node) for node in made[4:6]]
    assert told[0].count("new file mode") == 11
    (server.path / "info").mkdir(exist_ok=True)
    (server.path / "info" / "grafts").write_text(f"{made[5]} {made[1]} {made[9]}\n{made[3]}\n")
    told = patches_of(server.path, made)
    assert told == [shown(server.path, node) for node in made]
    assert "new file mode 100644" in told[3]


def test_git_s_replacements_do_not_count(server):
    made = histories.build(server, PLAN)
    expected = shown(server.path, made[1])
    server.git("replace", made[1], made[3])
    assert shown(server.path, made[1]) != expected
    assert patches_of(server.path, [made[1]]) == [expected]


def test_git_s_of_a_partial_clone_fetch_nothing(server, tmp_path):
    made = histories.build(
        server, [Planned(files={b"a": file(b"1\n")}), Planned((0,), files={b"a": file(b"2\n")}), Planned((1,))]
    )
    point(server, {MAIN: made[2]})
    server.config("uploadpack.allowFilter", "true")
    partial = tmp_path / "partial.git"
    run(["git", "clone", "-q", "--bare", "--filter=blob:none", f"file://{server.path}", partial])
    assert patches_of(partial, made) == [None, None, ""]
    run(["git", f"--git-dir={partial}", "cat-file", "-e", f"{made[0]}:a"])  # fetches it
    assert patches_of(partial, made) == [shown(server.path, made[0]), None, ""]


@pytest.mark.parametrize("lane", ["dulwich", "git"])
def test_git_s_are_in_the_payload_of_those_who_ask(server, lane):
    made = histories.build(server, PLAN)
    point(server, {MAIN: made[-1]})
    asked = event(server.path, [(MAIN, None, made[-1])], time=LATE)
    settings = Settings(git_reader=lane, max_diff_bytes=300)
    push = read_git(asked, settings, DIFF)
    told = {commit.node: shown(server.path, commit.node) for commit in push.commits}
    assert [commit.diff for commit in push.commits] == [told[commit.node][: len(commit.diff)] for commit in push.commits]
    details = build(push, Service("post"), limits=Limits(max_diff_bytes=300))["oberon"]["commits"]
    for node, diff in told.items():
        cut, was_cut = text.cut(diff, 300)
        assert (details[node]["diff"], "diff" in details[node]["truncated"]) == (cut, was_cut)
    assert {len(diff.encode()) > 300 for diff in told.values()} == {True, False}
    assert all(commit.diff is None for commit in read_git(asked, settings).commits)


@pytest.mark.parametrize("lane", ["dulwich", "git"])
def test_git_s_that_cannot_be_had_are_empty_and_marked(server, lane):
    made = histories.build(server, [Planned(files={b"a": file(b"1\n")}), Planned((0,), files={b"b": file(b"2\n")})])
    point(server, {MAIN: made[1]})
    lost = server.node(f"{made[0]}:a")
    (server.path / "objects" / lost[:2] / lost[2:]).unlink()
    asked = event(server.path, [(MAIN, None, made[1])], time=LATE)
    push = read_git(asked, Settings(git_reader=lane), DIFF)
    assert [(commit.diff[-3:], commit.diff_known) for commit in push.commits] == [("", False), ("+2\n", True)]
    details = build(push, Service("post"))["oberon"]["commits"]
    assert [(details[node]["diff"][-3:], details[node]["truncated"]) for node in made] == [("", ["diff"]), ("+2\n", [])]


# ----------------------------------------------------------------------------------------------------------------- of hg


@pytest.fixture
def hg(tmp_path, tmp_path_factory):
    """A server with the kinds of change that hg has, pushed in one go; (server, node of each by name). Made once, then copied."""
    if not made_for_hg:
        made_for_hg.append((server := HgServer(tmp_path_factory.mktemp("hg") / "repo"), kinds_of_change(server)))
    server, nodes = made_for_hg[0]
    copied = object.__new__(HgServer)
    copied.path = shutil.copytree(server.path, tmp_path / "repo", symlinks=True)
    return copied, nodes


made_for_hg: list[tuple[HgServer, dict[str, str]]] = []


def kinds_of_change(server):
    clone = server.clone()
    files = {"a": LINES, "b": "b\n" * 20, "d/e": "no end of line", "crlf": "one\r\ntwo\r\n", "bin": b"\0\1\2" * 50, "empty": ""}
    nodes = {"root": clone.commit(files)}
    nodes["hunks"] = clone.commit({"a": changed(changed(LINES, 3), 35), "d/e": "no end of line\nnor here"})
    nodes["ends"] = clone.commit({"crlf": "one\r\n2\r\n", "d/e": "an end\n"})
    nodes["binary"] = clone.commit({"bin": b"\0\1\3" * 50, "new.bin": b"PNG\0"})
    clone.hg("mv", "a", "moved/to/a")
    clone.hg("cp", "b", "b2")
    nodes["rename"] = clone.commit({"moved/to/a": changed(LINES, 7)})
    (clone.path / "b").chmod(0o755)
    (clone.path / "empty").unlink()
    (clone.path / "empty").symlink_to("b")
    nodes["mode"] = clone.commit({"b2": None, "crlf": None})
    nodes["bytes"] = clone.commit({b"caf\xe9".decode("utf-8", "surrogateescape"): b"latin \xe9 \xff\xfe\n", "größe": "utf-8 ö\n"})
    clone.hg("update", "-q", nodes["rename"])
    nodes["side"] = clone.commit({"moved/to/a": LINES, "b": "x\n" + "b\n" * 20})
    clone.hg("update", "-q", "null")
    nodes["another root"] = clone.commit({"another": "root\n"})
    clone.hg("update", "-q", nodes["bytes"])
    clone.hg("merge", "-q", "-r", nodes["side"])
    nodes["merge"] = clone.commit({"moved/to/a": changed(LINES, 20), "m": "merged\n"})
    clone.hg("merge", "-q", "-r", nodes["another root"])
    nodes["clean merge"] = clone.commit({})
    clone.push(options=["--force"])
    return nodes


def exported(server) -> dict[str, str]:
    """What `hg export --git` prints of each changeset that is no merge, less its header."""
    argv = ["hg", "-R", server.path, "export", "--git", "--config", "diff.nobinary=yes", "-r", "not merge()"]
    output = subprocess.run(argv, check=True, capture_output=True).stdout
    found = {}
    for part in output.split(b"# HG changeset patch\n")[1:]:
        [node] = re.findall(rb"^# Node ID (\w+)$", part, re.MULTILINE)
        found[node.decode()] = text.decode(part[part.index(b"\ndiff --git") + 1 :])
    return found


def hg_event(server):
    first, *_, last = server.hg("log", "-r", "all()", "-T", "{node}\n").split()
    facts = {"time": 1_700_000_000.0, "login": "tester", "source": "ssh"}
    return Event(id="0" * 32, scm="hg", path=str(server.path), first=first, last=last, **facts)


def hg_diffs(server):
    push = read_hg(hg_event(server), Settings(), DIFF)
    return {commit.node: commit.diff for commit in push.commits}


def test_hg_s_are_what_hg_export_prints(hg):
    server, nodes = hg
    told = hg_diffs(server)
    merges = {nodes["merge"], nodes["clean merge"]}
    assert {node: diff for node, diff in told.items() if node not in merges} == exported(server)
    named = {name: told[node] for name, node in nodes.items()}
    assert "rename from a\nrename to moved/to/a\n" in named["rename"]
    assert "copy from b\ncopy to b2\n" in named["rename"]
    assert "old mode 100644\nnew mode 100755\n" in named["mode"]
    assert "\\ No newline at end of file\n" in named["root"]
    assert "+2\r\n" in named["ends"]
    assert "+latin \ufffd \ufffd\ufffd\n" in named["bytes"]
    assert named["clean merge"] == ""
    assert list(told) == list(nodes.values())


def test_hg_s_of_a_merge_tell_the_files_that_the_merge_changed(hg):
    server, nodes = hg
    files = server.hg("log", "-r", nodes["merge"], "-T", "{join(files, '\n')}").splitlines()
    assert files == ["m", "moved/to/a"]
    whole = run(["hg", "diff", "--git", "-c", nodes["merge"], *files], cwd=server.path).stdout
    assert hg_diffs(server)[nodes["merge"]] == whole


def test_hg_s_name_binary_files_and_do_not_hold_them(hg):
    server, nodes = hg
    told = hg_diffs(server)[nodes["binary"]]
    assert "Binary file bin has changed" in told
    assert "Binary file new.bin has changed" in told
    assert "GIT binary patch" not in told


def test_hg_s_configuration_changes_nothing_and_runs_nothing(hg, tmp_path):
    server, _ = hg
    expected = exported(server)
    ran = tmp_path / "ran"
    server.hgrc(f"""
[diff]
git = no
nodates = yes
showfunc = yes
ignorews = yes
ignoreblanklines = yes
unified = 0
noprefix = yes
word-diff = yes
[color]
mode = ansi
[ui]
color = always
[experimental]
xdiff = yes
[extdiff]
cmd.evil = touch {ran}
[encode]
** = touch {ran}
[decode]
** = touch {ran}
[hooks]
pre-diff = touch {ran}
""")
    told = hg_diffs(server)
    assert {node: told[node] for node in expected} == expected
    assert not ran.exists()


def test_hg_s_are_cut_and_marked_in_the_payload(hg):
    server, _ = hg
    push = read_hg(hg_event(server), Settings(max_diff_bytes=200), DIFF)
    details = build(push, Service("post"), limits=Limits(max_diff_bytes=200))["oberon"]["commits"]
    for node, diff in exported(server).items():
        cut, was_cut = text.cut(diff, 200)
        assert (details[node]["diff"], "diff" in details[node]["truncated"]) == (cut, was_cut)
    assert {"diff" in one["truncated"] for one in details.values()} == {True, False}
