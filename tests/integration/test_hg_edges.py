"""Mercurial at its edges: what counts as a push, and what is read of the oddest of changesets.

Rows of the rules for hooks that are tested elsewhere: root, renames, copies, exec bit, file to symlink, closed branches,
clean merges and merges with edits, names that are no UTF-8, locales (`test_hg_reading.py`: `rich`); strip, unbundle,
SystemExit and its like, threads and worker, broken installations (`test_hg_hook.py`); bookmarks (`test_hg_bookmarks.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from brokers.config import ServiceSettings, Settings
from brokers.delivery.expansion import composed_of
from brokers.delivery.filters import concerns
from hghooks import repository
from hghooks.changes import read
from payload.build import Service, build
from payload.push import Commit, Event
from tests.support import hg_hooked
from tests.support.hg import AUTHOR, HgClone
from tests.support.hg_command_server import CommandServer, assert_as_told
from tests.support.hg_hooked import events, hook_into

NO_PUBLISHING = "[phases]\npublish = no\n"
QUIET = ["commit", "-q", "-A", "-u", AUTHOR, "-d", "2024-02-03 04:05:06 +0100"]


@pytest.fixture(autouse=True)
def no_worker(state_dir):
    with hg_hooked.no_worker(state_dir):
        yield


@pytest.fixture
def server(hg_server, state_dir):
    server = hg_server()
    hook_into(server, state_dir)
    return server


def nodes_of(push) -> list[str]:
    assert push.total_commits == len(push.commits)
    return [commit.node for commit in push.commits]


# ------------------------------------------------------------------------------------------------------ what is a push


@pytest.fixture
def obsolete(server, state_dir):
    """A push of two changesets, of which the server knew already that the second is obsolete; and a push of the third alone."""
    server.hgrc("[experimental]\nevolution = createmarkers\n[phases]\npublish = no\n")
    clone = server.clone()
    nodes = [clone.commit({name: name}) for name in "abc"]
    for node in nodes[1:]:
        server.hg("debugobsolete", node)
    clone.push(options=["-f", "-r", nodes[1]])
    clone.push(options=["-f"])
    return nodes, [read(event, Settings()) for event in events(state_dir)]


def test_hidden_changesets_pushed_by_force_are_left_out(obsolete):
    nodes, (both, hidden_alone) = obsolete
    assert (both.event.first, both.event.last) == (nodes[0], nodes[1])
    assert nodes_of(both) == [nodes[0]]
    assert [(ref.new, ref.commits) for ref in both.refs] == [(nodes[0], (nodes[0],))]
    assert (hidden_alone.event.first, hidden_alone.commits, hidden_alone.refs, hidden_alone.total_commits) == (
        nodes[2],
        (),
        (),
        0,
    )
    sent = concerns(ServiceSettings("ci", "post"), composed_of(hidden_alone, Settings(), 2))
    assert sent == (None, "skipped: no ref that counts has moved")


def two_changegroups(clone: HgClone, path: Path, nodes: list[str]) -> None:
    """A bundle2 with each of `nodes` in a changegroup of its own, and a bookmark at the last."""
    from mercurial import bookmarks, bundle2, changegroup, discovery

    repo = repository.open_at(str(clone.path))
    bundler = bundle2.bundle20(repo.ui, {b"HG20": (), b"changegroup": (b"02",), b"bookmarks": ()})
    common = [repo.nullid]
    for node in map(bytes.fromhex, nodes):
        outgoing = discovery.outgoing(repo, common, [node])
        part = bundler.newpart(b"changegroup", data=changegroup.makechangegroup(repo, outgoing, b"02", b"push").getchunks())
        part.addparam(b"version", b"02")
        common = [node]
    bundler.newpart(b"bookmarks", data=bookmarks.binaryencode(repo, [(b"book", common[0])]))
    path.write_bytes(b"".join(bundler.getchunks()))


def test_two_changegroups_in_one_bundle_are_two_events(server, state_dir, tmp_path):
    server.hgrc("[oberon]\nsources = serve push unbundle\n")
    clone = server.clone()
    nodes = [clone.commit({"a": "1"}), clone.commit({"b": "2"}), clone.commit({"c": "3"})]
    two_changegroups(clone, tmp_path / "multi.hg2", [nodes[1], nodes[2]])
    server.hg("unbundle", "-q", str(tmp_path / "multi.hg2"))
    pushes = [read(event, Settings()) for event in events(state_dir)]
    assert [nodes_of(push) for push in pushes] == [nodes[:2], nodes[2:]]
    assert [[(ref.name, ref.kind.value) for ref in push.refs] for push in pushes] == [
        [("default", "branch"), ("book", "bookmark")],
        [("default", "branch")],
    ]


@pytest.mark.parametrize(
    "command",
    [
        ["commit", "-q", "--amend", "-m", "better", "-u", "ann"],
        ["--config", "extensions.rebase=", "rebase", "-q", "-s", "2", "-d", "0"],
        ["--config", "extensions.histedit=", "histedit", "-q", "1", "--commands", "{plan}"],
    ],
    ids=["amend", "rebase", "histedit"],
)
def test_history_that_is_rewritten_on_the_server_is_no_push(hg_server, state_dir, tmp_path, command):
    """Without evolution these strip, and add again what stood above: a changegroup of source `strip`, or none."""
    server = hg_server()
    with CommandServer() as hg:
        for name in "abcd":
            (server.path / name).write_text(name)
            if name == "d":
                hg.run(server.path, "update", "-q", "0")
            hg.run(server.path, *QUIET, "-m", name)
        nodes = [one.node for one in hg.log(server.path)]
        hg.run(server.path, "update", "-q", "2")
        hook_into(server, state_dir)
        plan = tmp_path / "plan"
        plan.write_text(f"pick {nodes[2][:12]}\npick {nodes[1][:12]}\n")
        hg.run(server.path, *(word.format(plan=plan) for word in command))
        after = [one.node for one in hg.log(server.path, "all()", "--hidden")]
    assert nodes[3] in after
    assert nodes[2] not in after
    assert events(state_dir) == []


@pytest.mark.parametrize(("sources", "number"), [("", 0), ("sources = pull\n", 1)])
def test_what_the_server_pulls_counts_when_configured(server, state_dir, sources, number):
    server.hgrc(f"[oberon]\n{sources}")
    clone = server.clone()
    node = clone.commit({"a": "1"})
    server.hg("pull", "-q", clone.path)
    assert [event.first for event in events(state_dir)] == [node] * number


def test_an_amended_changeset_is_pushed_again_as_another(server, state_dir):
    server.hgrc(NO_PUBLISHING)
    clone = server.clone()
    root, old = clone.commit({"a": "1"}), clone.commit({"b": "2"})
    clone.push()
    clone.hg("commit", "-q", "--amend", "-m", "better")
    clone.push(options=["-f"])
    new = clone.node()
    first, second = (read(event, Settings()) for event in events(state_dir))
    assert (nodes_of(first), nodes_of(second)) == ([root, old], [new])
    assert [(ref.old, ref.new) for ref in second.refs] == [(old, new)]


@pytest.mark.parametrize("publish", ["yes", "no"])
def test_secret_changesets_stay_at_home(server, state_dir, publish):
    server.hgrc(f"[phases]\npublish = {publish}\n")
    clone = server.clone()
    public = clone.commit({"a": "1"})
    clone.commit({"b": "2"})
    clone.hg("phase", "-q", "--secret", "--force", ".")
    clone.push()
    [event] = events(state_dir)
    assert nodes_of(read(event, Settings())) == [public]


def test_a_changeset_made_secret_before_it_is_read_is_not_told(server, state_dir):
    server.hgrc(NO_PUBLISHING)
    clone = server.clone()
    kept, secret = clone.commit({"a": "1"}), clone.commit({"b": "2"})
    clone.push()
    server.hg("phase", "-q", "--secret", "--force", "-r", secret)
    [event] = events(state_dir)
    assert nodes_of(read(event, Settings())) == [kept]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a repository to somebody else")
@pytest.mark.parametrize("trusted", [False, True])
def test_the_hgrc_of_another_user_runs_no_hook(server, state_dir, run, tmp_path, trusted):
    clone = server.clone()
    node = clone.commit({"a": "1"})
    clone.hg("bookmark", "-q", "-r", node, "book")
    run(["chown", "-R", "65534:65534", server.path])
    pushed = clone.push(options=["-B", "book", *(["--config", "trusted.users=*"] if trusted else [])])
    said = pushed.stdout + pushed.stderr
    assert [event.first for event in events(state_dir)] == ([node] if trusted else [])
    for hook in ("changegroup.oberon", "txnclose-bookmark.oberon"):
        assert (f"warning: untrusted hook {hook} not executed" in said) is not trusted


# --------------------------------------------------------------------------------------------- the oddest of changesets

made: list[tuple[Path, dict[str, str]]] = []


@pytest.fixture
def odd(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A repository of odd changesets, and the node of each by name. Made once; nobody changes it."""
    if not made:
        path = tmp_path_factory.mktemp("odd") / "repo"
        with CommandServer(config=["ui.allowemptycommit=yes"]) as hg:
            made.append((path, make_odd(hg, path)))
        make_raw(*made[0])
    return made[0]


def make_odd(hg: CommandServer, path: Path) -> dict[str, str]:
    hg.run(Path("/"), "init", os.fsencode(path))
    made_by_name: dict[str, str] = {}

    def commit(name: str, files: Mapping[str, str | None] | None = None, *more: str) -> None:
        for file, content in (files or {}).items():
            (path / file).parent.mkdir(exist_ok=True)
            (path / file).unlink(missing_ok=True)
            if content is not None:
                (path / file).write_text(content)
        hg.run(path, *QUIET, "-m", name, *more)
        made_by_name[name] = hg.log(path, ".")[0].node

    def update(name: str) -> None:
        hg.run(path, "update", "-q", "-C", made_by_name.get(name, name))

    def merge(name: str, tool: str) -> None:
        hg.run(path, "merge", "-q", "--tool", tool, "-r", made_by_name[name])

    commit("base", {"f": "f\n", "g": "g\n", "h": "h\n"})
    commit("one deletes", {"f": None, "h": "h of one\n"})
    update("base")
    commit("other changes", {"g": "g, longer\n", "h": "h of the other side\n"})
    commit("other deletes too", {"g": None})
    merge("one deletes", ":local")
    commit("merge takes a deletion")
    update("one deletes")
    merge("other changes", ":local")
    commit("conflict, take local")
    update("one deletes")
    merge("other changes", ":other")
    commit("conflict, take other")
    update("one deletes")
    merge("other changes", ":union")
    commit("merge deletes what both have", {"g": None, "h": None})
    commit("empty")
    update("null")
    commit("another root", {"f": "another f\n"})
    for name, date in {
        "of 1901": "-2147483648 0",
        "of 2038": "2147483647 0",
        "farthest east": "0 -50400",
        "farthest west": "0 43200",
        "half an hour": "1234567890 -20700",
    }.items():
        commit(name, {"f": name}, "-d", date)
    commit("leading white space", {"f": "x"}, "--message", "\t two tabs\n\n  and more \n\n")
    make_subrepository(hg, path, commit)
    return made_by_name


def make_subrepository(hg: CommandServer, path: Path, commit: Any) -> None:
    inner = path / "inner"
    hg.run(Path("/"), "init", os.fsencode(inner))
    (inner / "inside").write_text("not of the outer repository\n")
    hg.run(inner, *QUIET, "-m", "inner")
    commit("subrepository", {".hgsub": "inner = https://hg.example.org/inner\n"})
    (inner / "inside").write_text("changed\n")
    hg.run(inner, *QUIET, "-m", "inner again")
    commit("subrepository moves", {})


def make_raw(path: Path, made_by_name: dict[str, str]) -> None:
    """What hg of today refuses to write, and other writers did not: dates beyond 32 bits, texts in Latin-1."""
    from mercurial import context, encoding
    from mercurial.utils import dateutil

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dateutil, "parsedate", lambda date, *_, **__: date)
        patch.setattr(encoding, "fromlocal", lambda text: text)
        repo = repository.open_at(str(path)).unfiltered()
        for name, user, date in (
            ("of 2040", b"x", (2_208_988_800, 0)),
            ("of the year 11476", b"x", (300_000_000_000, 0)),
            ("before the Common Era", b"x", (-100_000_000_000, 0)),
            ("no such zone", b"x", (0, 360_000)),
            ("grüße in Latin-1", "Jörg <j@example.org>".encode("latin-1"), (0, 0)),
        ):
            parents = (repo.changelog.tip(), repo.nullid)
            ctx = context.memctx(repo, parents, name.encode("latin-1"), [], lambda *_: None, user=user, date=date)
            made_by_name[name] = ctx.commit().hex()


@lru_cache
def read_odd(path: Path) -> dict[str, Commit]:
    with CommandServer() as hg:
        every = hg.log(path)
    event = Event("0" * 32, "hg", str(path), 0.0, "x", "ssh", first=every[0].node, last=every[-1].node)
    return {commit.node: commit for commit in read(event, Settings()).commits}


def test_odd_changesets_are_as_hg_reports_them(odd):
    path, nodes = odd
    with CommandServer() as hg:
        every = hg.log(path)
    sizes = {one.node: one.sizes for one in every}
    event = Event("0" * 32, "hg", str(path), 0.0, "x", "ssh", first=every[0].node, last=every[-1].node)
    push = read(event, Settings(), frozenset({"diff"}))
    for commit, one in zip(push.commits, every, strict=True):
        assert_as_told(commit, one, sizes[one.parents[0]] if one.parents else {})
    assert len(every) == len(nodes)
    payload = build(push, Service("post"))
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload


FILES: dict[str, dict[str, tuple[str, int | None, int | None]]] = {
    "merge takes a deletion": {"h": ("modified", 20, 20)},
    "conflict, take local": {"h": ("modified", 9, 9)},
    "conflict, take other": {"h": ("modified", 9, 20)},
    "merge deletes what both have": {"g": ("removed", 2, None), "h": ("removed", 9, None)},
    "empty": {},
    "another root": {"f": ("added", None, 10)},
    "subrepository": {".hgsub": ("added", None, 37), ".hgsubstate": ("added", None, 47)},
    "subrepository moves": {".hgsubstate": ("modified", 47, 47)},
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_odd_changesets(odd, name):
    path, nodes = odd
    commit = read_odd(path)[nodes[name]]
    assert {change.path: (str(change.type), change.old_size, change.new_size) for change in commit.files} == FILES[name]


DATES = {
    "of 1901": (-(2**31), 0, "1901-12-13 20:45:52+00:00"),
    "of 2038": (2**31 - 1, 0, "2038-01-19 03:14:07+00:00"),
    "farthest east": (0, 50_400, "1970-01-01 00:00:00+00:00"),
    "farthest west": (0, -43_200, "1970-01-01 00:00:00+00:00"),
    "half an hour": (1_234_567_890, 20_700, "2009-02-13 23:31:30+00:00"),
    "of 2040": (2_208_988_800, 0, "2040-01-01 00:00:00+00:00"),
    "of the year 11476": (300_000_000_000, 0, "9999-12-30 00:00:00+00:00"),
    "before the Common Era": (-100_000_000_000, 0, "0001-01-02 00:00:00+00:00"),
    "no such zone": (0, -360_000, "1970-01-01 00:00:00+00:00"),
}


@pytest.mark.parametrize("name", DATES)
def test_odd_dates(odd, name):
    path, nodes = odd
    event = Event("0" * 32, "hg", str(path), 0.0, "x", "ssh", first=nodes[name], last=nodes[name])
    push = read(event, Settings())
    [commit] = push.commits
    [composed] = build(push, Service("post"))["commits"]
    assert (commit.author.time, commit.author.offset_s, composed["utctimestamp"]) == DATES[name]


def test_a_message_is_as_stored(odd):
    path, nodes = odd
    stored = subprocess.run(
        ["hg", "-R", path, "debugdata", "-c", nodes["leading white space"]], check=True, capture_output=True
    ).stdout
    assert (
        read_odd(path)[nodes["leading white space"]].message
        == stored.decode().partition("\n\n")[2]
        == "\t two tabs\n\n  and more"
    )


@pytest.mark.parametrize("locale", [{}, {"HGENCODING": "ascii"}, {"HGENCODING": "latin-1"}, {"LC_ALL": "C"}])
def test_texts_of_before_hg_wrote_utf8(odd, run, locale):
    """hg takes them for `ui.fallbackencoding`, whose default is Latin-1."""
    path, nodes = odd
    node = nodes["grüße in Latin-1"]
    printed = run(["oberon", "payload", path, node, node], env=locale).stdout
    [commit] = json.loads(printed)["commits"]
    assert (commit["author"], commit["message"]) == ("Jörg", "grüße in Latin-1")


# --------------------------------------------------------------------------------------- extensions that keep files elsewhere


def payload_of_event(run, event: Event) -> dict[str, Any]:
    """Read by another process, as a worker's is: hg's extensions change the process they are loaded into."""
    read_there = run(["oberon", "payload", event.path, event.first, event.last])
    assert read_there.stderr == ""
    return json.loads(read_there.stdout)


def listed(payload: dict[str, Any], node: str) -> dict[str, tuple[str, int | None, int | None]]:
    files = payload["oberon"]["commits"][node]["files"]
    return {one["file"]: (one["type"], one["old_size"], one["new_size"]) for one in files}


def test_largefiles_are_their_standins(server, state_dir, run):
    server.hgrc("[extensions]\nlargefiles =\n")
    clone = server.clone()
    with (clone.path / ".hg" / "hgrc").open("a") as hgrc:
        hgrc.write("[extensions]\nlargefiles =\n")
    (clone.path / "big").write_bytes(bytes(100_000))
    clone.hg("add", "-q", "--large", "big")
    node = clone.commit({"small": "small\n"})
    clone.push()
    [event] = events(state_dir)
    assert (event.first, event.last) == (node, node)
    assert listed(payload_of_event(run, event), node) == {".hglf/big": ("added", None, 41), "small": ("added", None, 6)}


def test_lfs_files_are_as_long_as_they_are(server, state_dir, run, tmp_path):
    lfs = f"[extensions]\nlfs =\n[lfs]\nurl = file://{tmp_path}/lfs\ntrack = size('>100B')\n"
    server.hgrc(lfs)
    clone = server.clone()
    with (clone.path / ".hg" / "hgrc").open("a") as hgrc:
        hgrc.write(lfs)
    first = clone.commit({"big": bytes(100_000), "small": "small\n"})
    clone.hg("mv", "-q", "big", "moved")
    second = clone.commit({"moved": bytes(100_005)})
    clone.push()
    [event] = events(state_dir)
    payload = payload_of_event(run, event)
    assert listed(payload, first) == {"big": ("added", None, 100_000), "small": ("added", None, 6)}
    assert listed(payload, second) == {"big": ("removed", 100_000, None), "moved": ("added", None, 100_005)}
    assert [commit["size"] for commit in payload["commits"]] == [100_006, 5]
