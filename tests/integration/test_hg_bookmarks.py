"""Real pushes that move bookmarks: which events the hooks leave, and what is read of them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import brokers
from brokers.config import ServiceSettings, Settings
from brokers.delivery.expansion import composed_of
from brokers.delivery.filters import concerns
from hghooks.changes import read
from payload import schema
from payload.build import Service, build
from payload.push import RefKind, RefUpdate
from tests.support import hg_hooked
from tests.support.hg import HgClone, HgServer
from tests.support.hg_hooked import BOOKMARKS, CHANGEGROUP, events, hook_into

NONE = "0" * 40
WITNESS = "txnclose-bookmark.zz_witness = echo the-next-hook-ran\n"
BUNDLE1 = ["--config", "devel.legacy.exchange=bundle1"]


@pytest.fixture(autouse=True)
def no_worker(state_dir):
    with hg_hooked.no_worker(state_dir):
        yield


made: list[tuple[Path, list[str]]] = []


@pytest.fixture
def forked(tmp_path, tmp_path_factory, state_dir):
    """(server with both hooks, clone, nodes): 0 -> 1 -> 2 and 0 -> 3, all on the server. Made once, copied for each test."""
    if not made:
        folder = tmp_path_factory.mktemp("forked")
        clone = HgServer(folder / "repo").clone()
        nodes = [clone.commit({name: name}) for name in "abc"]
        clone.hg("update", "-q", nodes[0])
        nodes.append(clone.commit({"d": "d"}))
        clone.push(options=["-f"])
        made.append((folder, nodes))
    folder, nodes = made[0]
    server, clone = object.__new__(HgServer), HgClone(shutil.copytree(folder / "clone", tmp_path / "clone"))
    server.path = shutil.copytree(folder / "repo", tmp_path / "repo")
    (clone.path / ".hg" / "hgrc").write_text(f"[paths]\ndefault = {server.path}\n")
    hook_into(server, state_dir)
    return server, clone, nodes


def push_of(clone, options, dest="default", **more):
    """`hg push` ends with 1 when it pushed bookmarks alone ("no changes found")."""
    pushed = clone.push(dest, options=options, check=False, **more)
    assert pushed.returncode in (0, 1), pushed
    assert "abort" not in pushed.stdout + pushed.stderr
    return pushed


def transport(name, server, ssh, hg_http) -> tuple[str, list[str]]:
    """Where to push to, and with which options."""
    if name == "http":
        return hg_http(server), []
    return (ssh.url(server.path), ssh.options) if name == "ssh" else ("default", [])


def bookmark(clone, **places: str) -> list[str]:
    """Put the bookmarks at the changesets; the options that push them."""
    for name, place in places.items():
        clone.hg("bookmark", "-q", "-f", "-r", place, name)
    return [option for name in places for option in ("-B", name)]


def told(event) -> list[tuple]:
    """What is read of an event that moves bookmarks alone."""
    push = read(event, Settings())
    assert (push.commits, push.total_commits) == ((), 0)
    assert all(ref.kind is RefKind.BOOKMARK and ref.ref == ref.name and ref.commits == () for ref in push.refs)
    return [(ref.name, str(ref.action), ref.old, ref.new, ref.dropped) for ref in push.refs]


@pytest.mark.parametrize("over", ["path", "ssh", "http"])
def test_bookmarks_alone_are_one_event_for_each_push(forked, over, ssh, hg_http, state_dir):
    server, clone, nodes = forked
    server.hgrc("[push]\npushvars.server = yes\n")
    url, options = transport(over, server, ssh, hg_http)
    pushed = push_of(
        clone, [*options, "--pushvars", "WHY=x", *bookmark(clone, beta=nodes[1], alpha=nodes[0], gone=nodes[2])], url
    )
    assert "oberon" not in (pushed.stdout + pushed.stderr).replace("repo/.hg", "")
    moves = bookmark(clone, beta=nodes[2], alpha=nodes[3], new=nodes[0])
    clone.hg("bookmark", "-d", "gone")
    push_of(clone, [*options, "-f", *moves, "-B", "gone"], url)
    first, second = events(state_dir)
    assert (first.first, first.last, first.options) == (None, None, ("WHY=x",))
    assert first.source == second.source == {"path": "local"}.get(over, over)
    assert first.refs == tuple(RefUpdate(name, NONE, nodes[at]) for name, at in (("alpha", 0), ("beta", 1), ("gone", 2)))
    assert told(second) == [
        ("alpha", "update", nodes[0], nodes[3], 0),
        ("beta", "update", nodes[1], nodes[2], 0),
        ("gone", "delete", nodes[2], None, 0),
        ("new", "create", None, nodes[0], 0),
    ]


@pytest.mark.parametrize(("to", "dropped"), [(0, 2), (3, 2)])
def test_a_move_that_leaves_changesets_behind(forked, state_dir, to, dropped):
    _, clone, nodes = forked
    push_of(clone, bookmark(clone, book=nodes[2]))
    push_of(clone, ["-f", *bookmark(clone, book=nodes[to])])
    assert told(events(state_dir)[1]) == [("book", "rewind", nodes[2], nodes[to], dropped)]


@pytest.mark.parametrize("over", ["path", "ssh", "http"])
def test_changesets_and_their_bookmarks_are_one_event(forked, over, ssh, hg_http, state_dir):
    server, clone, nodes = forked
    url, options = transport(over, server, ssh, hg_http)
    new = clone.commit({"e": "e"})
    push_of(clone, [*options, *bookmark(clone, here=new, there=nodes[1])], url)
    [event] = events(state_dir)
    assert (event.first, event.last) == (new, new)
    push = read(event, Settings())
    assert [commit.node for commit in push.commits] == [new]
    assert [(ref.name, ref.kind.value, ref.action.value, ref.commits) for ref in push.refs] == [
        ("default", "branch", "update", (new,)),
        ("here", "bookmark", "create", ()),
        ("there", "bookmark", "create", ()),
    ]


@pytest.mark.parametrize("over", ["path", "ssh", "http"])
def test_the_protocol_of_before_bundle2_names_no_source(forked, over, ssh, hg_http, state_dir):
    server, clone, nodes = forked
    url, options = transport(over, server, ssh, hg_http)
    environment = {"SSH_CLIENT": "192.0.2.1 1 2"} if over == "ssh" else {}
    push_of(clone, [*options, *BUNDLE1, *bookmark(clone, book=nodes[1])], url, env=environment)
    [event] = events(state_dir)
    assert event.source == {"path": "local"}.get(over, over)
    assert told(event) == [("book", "create", None, nodes[1], 0)]


def test_what_happens_on_the_server_itself_is_no_push(forked, state_dir):
    server, _, nodes = forked
    server.hg("bookmark", "-r", nodes[0], "book")
    server.hg("bookmark", "-f", "-r", nodes[1], "book")
    server.hg("update", "-q", "book")
    (server.path / "x").write_text("x")
    server.hg("commit", "-q", "-A", "-u", "ann", "-m", "moves the bookmark that is active")
    server.hg("--config", "extensions.strip=", "strip", "-q", "--no-backup", "tip")
    server.hg("bookmark", "-d", "book")
    assert events(state_dir) == []


@pytest.mark.parametrize(("sources", "names"), [("", []), ("sources = serve push pull\n", ["book"])])
def test_pulled_bookmarks_count_as_pulled_changesets_do(forked, state_dir, sources, names):
    server, clone, nodes = forked
    server.hgrc(f"[oberon]\n{sources}")
    bookmark(clone, book=nodes[1])
    server.hg("pull", "-q", "-B", "book", clone.path)
    assert [update.ref for event in events(state_dir) for update in event.refs] == names


def test_nothing_counts_but_the_sources_named(forked, state_dir):
    server, clone, nodes = forked
    server.hgrc("[oberon]\nsources = serve\n")
    push_of(clone, bookmark(clone, book=nodes[1]))
    push_of(clone, [*BUNDLE1, *bookmark(clone, old=nodes[1])])
    assert events(state_dir) == []


def test_oberon_skip_silences_it(forked, state_dir):
    server, clone, nodes = forked
    server.hgrc("[push]\npushvars.server = yes\n")
    push_of(clone, ["--pushvars", "OBERON_SKIP=1", *bookmark(clone, book=nodes[1])])
    assert events(state_dir) == []


def test_the_bookmark_hook_alone_tells_of_bookmarks_alone(forked, state_dir):
    server, clone, _ = forked
    server.hgrc("[hooks]\nchangegroup.oberon =\n")
    new = clone.commit({"e": "e"})
    push_of(clone, bookmark(clone, book=new))
    [event] = events(state_dir)
    assert told(event) == [("book", "create", None, new, 0)]


def test_the_changegroup_hook_alone_tells_of_both(forked, state_dir):
    server, clone, nodes = forked
    server.hgrc("[hooks]\ntxnclose-bookmark.oberon =\n")
    new = clone.commit({"e": "e"})
    push_of(clone, bookmark(clone, book=new))
    push_of(clone, bookmark(clone, other=nodes[0]))
    [event] = events(state_dir)
    assert (event.first, [update.ref for update in event.refs]) == (new, ["book"])


def test_a_changegroup_hook_by_another_name_tells_of_both_too(forked, state_dir):
    server, clone, _ = forked
    server.hgrc("[hooks]\nchangegroup.oberon =\nchangegroup.mine = python:hghooks.changegroup.hook\n")
    new = clone.commit({"e": "e"})
    push_of(clone, bookmark(clone, book=new))
    [event] = events(state_dir)
    assert (event.first, [update.ref for update in event.refs]) == (new, ["book"])


def test_the_extension_puts_both_hooks_in_place(forked, state_dir):
    server, clone, nodes = forked
    hgrc = server.path / ".hg" / "hgrc"
    hgrc.write_text(hgrc.read_text().replace(CHANGEGROUP, "").replace(BOOKMARKS, "") + "[extensions]\nhghooks =\n")
    push_of(clone, bookmark(clone, book=nodes[1]))
    assert len(events(state_dir)) == 1


@pytest.mark.parametrize(
    ("encoding", "options"),
    # bundle2 sends names in the client's encoding, and ASCII has none for this one: hg itself refuses it.
    [(None, []), ("latin-1", []), ("ascii", BUNDLE1)],
)
def test_names_are_as_stored_whatever_the_locale(forked, ssh, state_dir, encoding, options):
    server, clone, nodes = forked
    push_of(clone, bookmark(clone, größe=nodes[0]))
    bookmark(clone, größe=nodes[1])
    options = [*ssh.options, *options, "-r", nodes[1]]
    push_of(clone, options, ssh.url(server.path), env={"HGENCODING": encoding})
    assert [update.ref for event in events(state_dir) for update in event.refs] == ["größe", "größe"]
    assert [name for event in events(state_dir) for name, *_ in told(event)] == ["größe", "größe"]


# ---------------------------------------------------------------------------------------- what is gone, and what is hidden


def test_an_end_that_was_stripped_since(forked, state_dir):
    server, clone, nodes = forked
    push_of(clone, bookmark(clone, book=nodes[2]))
    push_of(clone, ["-f", *bookmark(clone, book=nodes[1])])
    server.hg("debugstrip", "--no-backup", nodes[2])
    assert told(events(state_dir)[1]) == [("book", "rewind", nodes[2], nodes[1], None)]


def test_changesets_that_were_amended_are_not_dropped(forked, state_dir):
    server, clone, _ = forked
    for hgrc in (server.path / ".hg" / "hgrc", clone.path / ".hg" / "hgrc"):
        with hgrc.open("a") as file:
            file.write("[experimental]\nevolution = createmarkers, exchange\n[phases]\npublish = no\n")
    old = clone.commit({"e": "e"})
    push_of(clone, ["--new-branch", *bookmark(clone, book=old)])
    clone.hg("commit", "-q", "--amend", "-m", "better")
    new = clone.node()
    push_of(clone, ["-B", "book"])
    refs = [ref for ref in read(events(state_dir)[1], Settings()).refs if ref.kind is RefKind.BOOKMARK]
    assert [(ref.action.value, ref.old, ref.new, ref.dropped) for ref in refs] == [("rewind", old, new, 0)]


# ------------------------------------------------------------------------------------------------------- what is delivered


def test_inline_delivers_one_payload_that_keeps_the_contract(forked, receiver):
    server, clone, nodes = forked
    server.hgrc(f"[oberon]\nmode = inline\n[services]\nci.broker = post\nci.url = {receiver.url}hook\n")
    pushed = push_of(clone, bookmark(clone, alpha=nodes[1], beta=nodes[1]))
    [request] = receiver.requests
    assert request.payload()["commits"] == []
    assert "oberon: ci: delivered (200 OK)" in pushed.stdout


@pytest.mark.parametrize(
    ("wanted", "with_changesets", "alone"),
    [
        ({}, ["default", "feat"], ["feat"]),
        ({"events": ("bookmark",)}, ["feat"], ["feat"]),
        ({"events": ("push",)}, ["default"], "skipped: events filter"),
        ({"events": ("!bookmark",)}, ["default"], "skipped: events filter"),
        ({"refs": ("default",)}, ["default"], "skipped: refs filter"),
        ({"refs": ("fe*",)}, ["feat"], ["feat"]),
        ({"refs": ("fe*",), "events": ("create",)}, ["feat"], "skipped: events filter"),
        ({"paths": ("docs/",)}, ["feat"], ["feat"]),
        ({"authors": ("nobody",)}, ["feat"], ["feat"]),
    ],
)
def test_filters_and_the_contract(pushed_both_ways, wanted, with_changesets, alone):
    service = ServiceSettings(service="ci", broker="post", **wanted)
    for push, expected in zip(pushed_both_ways, (with_changesets, alone), strict=True):
        part, skipped = concerns(service, composed_of(push, Settings(), 1))
        assert (skipped or [ref["name"] for ref in part["oberon"]["refs"]]) == expected


@pytest.fixture
def pushed_both_ways(forked, state_dir):
    """A push of a changeset with the new bookmark `feat`, and one that moves it alone."""
    if not pushes:
        _, clone, nodes = forked
        new = clone.commit({"e": "e"})
        push_of(clone, bookmark(clone, feat=new))
        push_of(clone, ["-f", *bookmark(clone, feat=nodes[2])])
        pushes.extend(read(event, Settings()) for event in events(state_dir))
        for push in pushes:
            Draft202012Validator(schema.document()).validate(build(push, Service("post")))
    return pushes


pushes: list = []


# ----------------------------------------------------------------------------------------------- the push is never harmed

RAISING = """\
import hghooks.{module}
def explode(*arguments, **named):
    raise {error}
hghooks.{module}.{name} = explode
"""


@pytest.mark.parametrize(
    ("module", "name", "error"),
    [
        ("facts", "record", "SystemExit(3)"),
        ("facts", "bookmark_moves", "KeyboardInterrupt()"),
        ("changegroup", "handle", "ValueError('no\\x1b[31m')"),
    ],
)
def test_whatever_is_raised_within_the_push_succeeds(forked, ssh, tmp_path, module, name, error):
    server, clone, nodes = forked
    extension = tmp_path / "sabotage.py"
    extension.write_text(RAISING.format(module=module, name=name, error=error))
    server.hgrc(f"[extensions]\nsabotage = {extension}\n[hooks]\n{WITNESS}")
    pushed = push_of(clone, [*ssh.options, *bookmark(clone, book=nodes[1])], ssh.url(server.path))
    seen = [line.removeprefix("remote: ") for line in (pushed.stdout + pushed.stderr).splitlines()]
    assert "the-next-hook-ran" in seen
    [line] = [line for line in seen if "oberon:" in line]
    assert line.startswith(f"error: oberon: {error.split('(')[0]}")
    assert "\x1b" not in line
    assert nodes[1] in server.hg("log", "-r", "bookmark()", "-T", "{node}")


@pytest.mark.parametrize("module", ["hghooks/changegroup.py", "hghooks/facts.py", "brokers/delivery/spool.py"])
def test_a_broken_installation_fails_no_push(forked, ssh, tmp_path, module):
    server, clone, nodes = forked
    server.hgrc(f"[hooks]\nchangegroup.oberon =\n{WITNESS}")
    copy = tmp_path / "site"
    for package in ("brokers", "hghooks", "payload"):
        shutil.copytree(
            Path(brokers.__file__).parent.parent / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    (copy / module).write_text("def half(:\n")
    options = [*ssh.options, *bookmark(clone, book=nodes[1])]
    pushed = push_of(clone, options, ssh.url(server.path), env={"PYTHONPATH": os.fspath(copy)})
    seen = pushed.stdout + pushed.stderr
    assert "the-next-hook-ran" in seen
    assert re.search("error: oberon.*see `oberon doctor`", seen)


def test_the_hook_can_be_imported_without_anything_that_delivers(run):
    program = "import sys; before = set(sys.modules); import hghooks.bookmarks; print(*(sys.modules.keys() - before))"
    loaded = run([sys.executable, "-c", program]).stdout.split()
    ours = {"hghooks", "hghooks.bookmarks", "hghooks.changegroup"}
    assert ours <= set(loaded)
    assert not {name for name in loaded if name.partition(".")[0] in ("mercurial", "brokers", "payload")}
    assert not {name for name in loaded if name.startswith("hghooks.")} - ours
