"""Real Mercurial repositories, read as the worker reads them, against what `hg` itself reports of the same changesets."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from brokers.config import Settings
from brokers.errors import ReadingError, RepositoryGone, RepositoryUnreadable
from hghooks import changes, repository
from hghooks.changes import opened, read
from hghooks.errors import ChangesetMissing
from payload.build import Service, build
from payload.push import Event, FileType, RefAction, RefKind
from tests.support.hg import HgServer

WANTED = (
    "{dict(rev, node, branch, user, desc, date=date|hgdate, files=files, adds=file_adds, mods=file_mods, dels=file_dels,"
    " p1=p1.node, p2=p2.node)|json}\n"
)
NULL = "0" * 40


def event(server, first=None, last=None, **more) -> Event:
    nodes = server.hg("log", "-r", "all()", "-T", "{node}\n", "--hidden").split()
    return Event(
        id="0" * 32,
        scm="hg",
        path=str(server.path),
        time=1_700_000_000.0,
        login="tester",
        source="ssh",
        first=first or nodes[0],
        last=last or nodes[-1],
        **more,
    )


def told_by_hg(server, revset="all()") -> list[dict]:
    """What `hg log` says; file names as Latin-1, so that each byte shows."""
    output = subprocess.run(
        ["hg", "-R", str(server.path), "log", "-r", revset, "-T", WANTED], check=True, capture_output=True
    ).stdout
    return [json.loads(line) for line in output.decode("utf-8", "surrogateescape").splitlines()]


def sizes_told_by_hg(server, node: str) -> dict[str, int]:
    """Path -> length in bytes of each file in a changeset."""
    listed = server.hg("files", "-r", node, "-T", "{dict(path, size)|json}\n", "--cwd", server.path)
    return {one["path"]: one["size"] for one in map(json.loads, listed.splitlines())}


def agree(server, push, revset="all()") -> None:
    """Every field of every commit is as hg tells it."""
    told = told_by_hg(server, revset)
    sizes: dict[str, dict[str, int]] = {NULL: {}}
    assert [commit.node for commit in push.commits] == [one["node"] for one in told]
    for commit, one in zip(push.commits, told, strict=True):
        time_s, west_s = map(int, one["date"].split())
        assert (commit.author.raw, commit.message, commit.branch) == (one["user"], one["desc"], one["branch"])
        assert (commit.author.time, commit.author.offset_s) == (time_s, -west_s)
        assert (commit.revision, commit.committer) == (one["rev"], None)
        assert list(commit.parents) == [node for node in (one["p1"], one["p2"]) if node != NULL]
        assert [change.path for change in commit.files] == one["files"] == sorted(one["files"])
        of_type = {kind: [change.path for change in commit.files if change.type is kind] for kind in FileType}
        assert of_type == {FileType.ADDED: one["adds"], FileType.MODIFIED: one["mods"], FileType.REMOVED: one["dels"]}
        for node in {commit.node, one["p1"]} - sizes.keys() if commit.files else ():
            sizes[node] = sizes_told_by_hg(server, node)
        here, before = sizes.get(commit.node, {}), sizes.get(one["p1"], {})
        for change in commit.files:
            assert (change.old_size, change.new_size) == (before.get(change.path), here.get(change.path))
    trees = server.hg("log", "-r", revset, "--debug", "-T", "{manifest}\n").splitlines()
    assert [commit.tree for commit in push.commits] == [tree.partition(":")[2] for tree in trees]


@pytest.fixture
def rich(tmp_path, tmp_path_factory):
    """A server with one of everything, pushed in one go; (server, node of each by name). Made once, copied for each test."""
    if not made:
        made.append((server := HgServer(tmp_path_factory.mktemp("rich") / "repo"), one_of_everything(server)))
    server, nodes = made[0]
    return there(shutil.copytree(server.path, tmp_path / "repo", symlinks=True)), nodes


def there(path: Path) -> HgServer:
    """The repository that is at `path` already."""
    server = object.__new__(HgServer)
    server.path = path
    return server


made: list[tuple[HgServer, dict[str, str]]] = []


def one_of_everything(server):
    clone = server.clone()
    nodes = {"root": clone.commit({"a": "1\n", "b": "bb\n", "dir/c": "c" * 100, "ü/naïve.txt": "ü\n", "run": "#!/bin/sh\n"})}
    nodes["unicode"] = clone.commit(
        {"a": "12\n"},
        author="Jörg Müller <jörg@example.org>",
        message="Grüße aus 東京\n\nsecond paragraph",
        date="1234567890 -19800",
    )
    clone.hg("mv", "a", "a2")
    nodes["rename"] = clone.commit({})
    clone.hg("cp", "b", "b2")
    nodes["copy"] = clone.commit({"b2": "bb\nand more\n"}, author="no address")
    (clone.path / "run").chmod(0o755)
    nodes["exec"] = clone.commit({}, author="ann@example.org", date="1234567890 12600")
    (clone.path / "dir" / "c").unlink()
    (clone.path / "dir" / "c").symlink_to("../a2")
    nodes["symlink"] = clone.commit({})
    nodes["branch"] = clone.commit({"only-here": "x"}, branch="größe/1.x")
    nodes["remove"] = clone.commit({"only-here": None, "b": None})
    nodes["empty branch"] = (clone.hg("commit", "--close-branch", "-m", "closed", "-u", "x"), clone.node())[1]
    clone.hg("update", "-q", nodes["symlink"])
    nodes["side"] = clone.commit({"b": "changed on default\n", "binary": bytes(range(256))})
    clone.hg("update", "-q", nodes["symlink"])
    nodes["other head"] = clone.commit({"b2": "third\n", "new": "n\n"})
    clone.hg("merge", "-q", "-r", nodes["side"])
    nodes["clean merge"] = clone.commit({})
    clone.hg("update", "-q", nodes["other head"])
    clone.hg("merge", "-q", "-r", nodes["side"])
    nodes["evil merge"] = clone.commit({"b2": "neither\n", "from the merge": "m"}, date="-1000 0")
    (clone.path / b"caf\xe9.txt".decode("utf-8", "surrogateescape")).write_bytes(b"latin\n")
    nodes["bytes"] = clone.commit({})
    clone.push(options=["--new-branch", "--force"])
    return nodes


def test_all_is_as_hg_reports_it(rich):
    server, nodes = rich
    push = read(event(server), Settings())
    by_node = {commit.node: commit for commit in push.commits}
    bad = by_node.pop(nodes["bytes"])
    assert [(change.path, change.type, change.new_size) for change in bad.files] == [("caf\ufffd.txt", FileType.ADDED, 6)]
    agree(server, read(event(server, last=nodes["evil merge"]), Settings()), f"0:{nodes['evil merge']}")
    assert push.total_commits == len(nodes) == len(push.commits)


def files_of(push, node) -> dict:
    [commit] = [commit for commit in push.commits if commit.node == node]
    return {change.path: (str(change.type), change.old_size, change.new_size) for change in commit.files}


def test_the_cases_by_hand(rich):
    """What hg means by a file's change, written out, so that the comparison above is not one error against itself."""
    server, nodes = rich
    push = read(event(server), Settings())
    assert files_of(push, nodes["root"])["dir/c"] == ("added", None, 100)
    assert files_of(push, nodes["rename"]) == {"a": ("removed", 3, None), "a2": ("added", None, 3)}
    assert files_of(push, nodes["copy"]) == {"b2": ("added", None, 12)}
    assert files_of(push, nodes["exec"]) == {"run": ("modified", 10, 10)}
    assert files_of(push, nodes["symlink"]) == {"dir/c": ("modified", 100, 5)}
    assert files_of(push, nodes["remove"]) == {"b": ("removed", 3, None), "only-here": ("removed", 1, None)}
    assert files_of(push, nodes["empty branch"]) == {}
    assert files_of(push, nodes["clean merge"]) == {}
    assert files_of(push, nodes["evil merge"]) == {"b2": ("modified", 6, 8), "from the merge": ("added", None, 1)}
    [unicode] = [commit for commit in push.commits if commit.node == nodes["unicode"]]
    assert (unicode.author.name, unicode.author.email) == ("Jörg Müller", "jörg@example.org")
    assert (unicode.author.time, unicode.author.offset_s) == (1234567890, 19800)  # hg writes seconds west
    assert unicode.size == 1


def test_branches(rich):
    server, nodes = rich
    push = read(event(server), Settings())
    default, side = push.refs
    assert (default.name, default.kind, default.action, default.old) == ("default", RefKind.BRANCH, RefAction.CREATE, None)
    assert default.new == nodes["bytes"]
    assert (side.name, side.old, side.new) == ("größe/1.x", None, nodes["empty branch"])
    assert side.commits == (nodes["branch"], nodes["remove"], nodes["empty branch"])
    assert len(default.commits) + len(side.commits) == push.total_commits
    later = read(event(server, first=nodes["remove"], last=nodes["side"]), Settings())
    assert [(ref.name, ref.action, ref.old, ref.new) for ref in later.refs] == [
        ("größe/1.x", RefAction.UPDATE, nodes["branch"], nodes["empty branch"]),
        ("default", RefAction.UPDATE, nodes["symlink"], nodes["side"]),
    ]


@pytest.mark.parametrize("locale", [{"HGENCODING": "ascii"}, {"HGENCODING": "latin-1"}, {"LC_ALL": "C"}])
def test_texts_are_as_stored_whatever_the_locale(rich, run, locale, tmp_path):
    server, _ = rich
    program = (
        "import json, sys\n"
        "from brokers.config import Settings\nfrom hghooks.changes import read\nfrom payload.push import Event\n"
        "push = read(Event.from_record(json.load(sys.stdin)), Settings())\n"
        "told = [(c.author.raw, c.message, c.branch, [f.path for f in c.files]) for c in push.commits]\n"
        "print(json.dumps([told, [r.name for r in push.refs]]))\n"
    )
    asked = event(server)
    shown = run([sys.executable, "-c", program], input=json.dumps(asked.to_record()), env=locale).stdout
    push = read(asked, Settings())
    commits = [[c.author.raw, c.message, c.branch, [f.path for f in c.files]] for c in push.commits]
    assert json.loads(shown) == [commits, [ref.name for ref in push.refs]]


def test_only_the_newest_are_read_but_all_are_counted(rich):
    server, _ = rich
    whole = read(event(server), Settings())
    part = read(event(server), Settings(max_commits=3))
    assert part.commits == whole.commits[-3:]
    assert part.total_commits == whole.total_commits
    assert [(ref.old, ref.new) for ref in part.refs] == [(ref.old, ref.new) for ref in whole.refs]
    none = read(event(server), Settings(max_commits=0))
    assert (none.commits, none.total_commits) == ((), whole.total_commits)


def test_a_range_in_the_middle(rich):
    server, nodes = rich
    push = read(event(server, first=nodes["rename"], last=nodes["exec"]), Settings())
    assert [commit.node for commit in push.commits] == [nodes["rename"], nodes["copy"], nodes["exec"]]


def test_obsolete_changesets_are_left_out(hg_server):
    server = hg_server()
    server.hgrc("[experimental]\nevolution = createmarkers\n[phases]\npublish = no\n")
    clone = server.clone()
    first, dropped = clone.commit({"a": "1"}), clone.commit({"b": "2"})
    clone.push()
    server.hg("debugobsolete", dropped)
    push = read(event(server, first, dropped), Settings())
    assert [commit.node for commit in push.commits] == [first]
    assert (push.total_commits, push.refs[0].new) == (1, first)
    nothing = read(event(server, dropped, dropped), Settings())
    assert (nothing.commits, nothing.refs, nothing.total_commits) == ((), (), 0)


def test_a_stripped_changeset_is_told_by_name(hg_server):
    server = hg_server()
    clone = server.clone()
    node = clone.commit({"a": "1"})
    clone.push()
    asked = event(server)
    server.hg("debugstrip", "--no-backup", node)
    with pytest.raises(ChangesetMissing, match=node) as raised:
        read(asked, Settings())
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.node, copy.place) == (str(raised.value), node, str(server.path))


def test_an_event_of_nothing_is_told(rich):
    server, _ = rich
    with pytest.raises(ReadingError, match="the event names no changeset"):
        read(replace(event(server), first=None), Settings())


def test_a_repository_that_is_gone(tmp_path):
    asked = Event("0" * 32, "hg", str(tmp_path / "gone"), 0.0, "x", "ssh", first=NULL, last=NULL)
    with pytest.raises(RepositoryGone, match="gone: there is no Mercurial repository here"):
        read(asked, Settings())


def test_a_repository_of_a_format_not_known(hg_server):
    server = hg_server()
    with (server.path / ".hg" / "requires").open("a") as file:
        file.write("from-the-future\n")
    asked = Event("0" * 32, "hg", str(server.path), 0.0, "x", "ssh", first=NULL, last=NULL)
    with pytest.raises(RepositoryUnreadable, match="from-the-future"):
        read(asked, Settings())


def test_an_hgrc_that_hg_cannot_parse(hg_server):
    server = hg_server()
    server.hgrc("no section and no sense")
    asked = Event("0" * 32, "hg", str(server.path), 0.0, "x", "ssh", first=NULL, last=NULL)
    with pytest.raises(ReadingError, match="hgrc:1"):
        read(asked, Settings())


def test_damage_is_told_not_raised_raw(hg_server):
    server = hg_server()
    clone = server.clone()
    clone.commit({"a": "1"})
    clone.push()
    asked = event(server)
    data = next((server.path / ".hg" / "store").glob("00manifest.[id]*"))
    data.write_bytes(data.read_bytes()[:-20])
    with pytest.raises(RepositoryUnreadable):
        read(asked, Settings())


def test_a_manifest_that_is_not_what_it_is_named_for(hg_server, run):
    """One digit of a file's node has become another, where no compression would notice."""
    server = hg_server()
    shutil.rmtree(server.path)
    run(["hg", "--config", "format.revlog-compression=none", "init", server.path])
    clone = server.clone()
    clone.commit({f"f{number}": "1" for number in range(20)})
    clone.commit({"f9": "2"})
    clone.push()
    asked = event(server)
    assert len(read(asked, Settings()).commits) == 2
    data = server.path / ".hg" / "store" / "00manifest.i"
    raw = data.read_bytes()
    assert raw.endswith(b"\n")
    data.write_bytes(raw[:-2] + (b"0" if raw[-2:-1] != b"0" else b"1") + raw[-1:])
    with pytest.raises(RepositoryUnreadable, match="integrity check failed"):
        read(asked, Settings())


def test_a_missing_file_log_leaves_the_size_unknown(hg_server):
    server = hg_server()
    clone = server.clone()
    clone.commit({"a": "1", "b": "22"})
    clone.push()
    (server.path / ".hg" / "store" / "data" / "a.i").unlink()
    [commit] = read(event(server), Settings()).commits
    assert [(change.path, change.new_size, change.size_known) for change in commit.files] == [("a", None, False), ("b", 2, True)]
    assert commit.size is None


def test_diffs_on_request(rich):
    server, nodes = rich
    push = read(event(server), Settings(), frozenset({"diff"}))
    by_node = {commit.node: commit.diff for commit in push.commits}
    assert by_node[nodes["rename"]] == server.hg("diff", "-c", nodes["rename"], "--git") + "\n"
    assert by_node[nodes["unicode"]] == server.hg("diff", "-c", nodes["unicode"], "--git") + "\n"
    assert by_node[nodes["clean merge"]] == by_node[nodes["empty branch"]] == ""
    assert "from the merge" in by_node[nodes["evil merge"]]
    assert "only-here" not in by_node[nodes["evil merge"]]
    assert all(commit.diff is None for commit in read(event(server), Settings()).commits)


def test_a_diff_is_read_no_further_than_its_limit(hg_server):
    server = hg_server()
    clone = server.clone()
    clone.commit({f"f{number}": "ü" * 5000 for number in range(20)})
    clone.push()
    settings = Settings(max_diff_bytes=1000)
    [commit] = read(event(server), settings, frozenset({"diff"})).commits
    assert 1000 < len(commit.diff.encode()) < 1100


def test_in_process_the_hooks_own_repository_is_read(rich):
    server, _ = rich
    own = repository.open_at(str(server.path))
    asked = event(server)
    assert read(asked, Settings(), repo=own) == read(asked, Settings()) == read(asked, Settings(), repo=own.filtered(b"served"))


def test_threads_read_at_once(rich):
    server, _ = rich
    asked = event(server)
    found, failed = [], []

    def work():
        try:
            found.append(read(asked, Settings()))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert all(push == found[0] for push in found)
    assert len(found) == 6


def test_user_and_repository(hg_server, tmp_path):
    (tmp_path / "team").mkdir()
    server = hg_server("team/app")
    clone = server.clone()
    clone.commit({"a": "1"})
    clone.push()
    plain = read(event(server), Settings())
    assert (plain.user, plain.repository.owner, plain.repository.slug) == ("tester", "team", "app")
    assert plain.repository.absolute_url == "/team/app/"
    environment = {
        "HEPTAPOD_USERINFO_USERNAME": "ann",
        "HEPTAPOD_PROJECT_NAMESPACE_FULL_PATH": "group/sub",
        "HEPTAPOD_PROJECT_PATH": "thing",
        "REMOTE_USER": "somebody else",
    }
    forged = read(event(server, environment=environment), Settings(canon_url="https://hg.example.org"))
    assert (forged.user, forged.repository.owner, forged.repository.name) == ("ann", "group/sub", "thing")
    assert forged.repository.absolute_url == "/group/sub/thing/"
    configured = read(event(server, environment=environment), Settings(owner="o", slug="s", name="N", private=False))
    assert (configured.repository.owner, configured.repository.slug, configured.repository.name) == ("o", "s", "N")
    assert configured.repository.is_private is False


def test_the_payload_of_it_is_strict_json(rich):
    server, _ = rich
    payload = build(read(event(server), Settings()), Service("post"))
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False)
    assert text.encode("utf-8")
    assert payload["commits"][0]["branch"] == "default"
    assert payload["repository"]["scm"] == "hg"


# ------------------------------------------------------------------------------------------------------- one by one


def test_commits_are_read_as_they_are_asked_for(rich):
    server, nodes = rich
    asked = event(server)
    whole = read(asked, Settings())
    with opened(asked, Settings()) as reading:
        assert (reading.refs, reading.total_commits) == (whole.refs, whole.total_commits)
        assert (reading.repository, reading.user) == (whole.repository, whole.user)
        assert next(reading.commits) == whole.commits[0]
        (server.path / ".hg" / "store" / "data" / "b2.i").unlink()
        rest = tuple(reading.commits)
    assert [commit.node for commit in rest] == [commit.node for commit in whole.commits[1:]]
    [copy] = [commit for commit in rest if commit.node == nodes["copy"]]
    assert [(change.path, change.size_known) for change in copy.files] == [("b2", False)]


def test_what_its_user_raises_is_not_taken_for_damage(rich):
    server, _ = rich
    with pytest.raises(OSError, match="mine"), opened(event(server), Settings()):
        raise OSError("mine")


@pytest.mark.parametrize("max_commits", [1000, 3, 0])
def test_progress_is_told(rich, monkeypatch, max_commits):
    server, _ = rich
    monkeypatch.setattr(changes, "PROGRESS_EVERY", 2)
    told: list[tuple[int, int]] = []
    push = read(event(server), Settings(max_commits=max_commits), progress=lambda *counts: told.append(counts))
    count = len(push.commits)
    assert told == [*((number, count) for number in range(0, count, 2)), (count, count)]


def test_what_progress_raises_ends_the_reading(rich):
    server, _ = rich

    def stop(commits_read, commits_to_read):
        raise InterruptedError(f"{commits_read} of {commits_to_read}")

    with pytest.raises(InterruptedError, match="0 of 14"):
        read(event(server), Settings(), progress=stop)


# ------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(("old", "new", "size"), [(4236, 4797, 561), (18847, 23013, 4166), (23013, 18847, -4166)])
def test_size_is_what_bitbucket_published(hg_server, old, new, size):
    """django-piston's c737263 and 3a17cc5, in Bitbucket's API documentation of 2009; and one that shrinks."""
    clone = hg_server().clone()
    clone.commit({"piston/resource.py": "x" * old, "untouched": "y"})
    clone.commit({"piston/resource.py": "z" * new})
    [_, commit] = read(event(there(clone.path)), Settings()).commits
    [change] = commit.files
    assert (change.old_size, change.new_size, commit.size) == (old, new, size)


BENCH = Path(__file__).parents[1] / "bench" / "hg_reading.py"


def read_alone(run, server) -> list[dict]:
    """What the bench's reader writes, in a process of its own: extensions change hg for all that comes after in one."""
    asked = event(server)
    output = run([sys.executable, BENCH, server.path, asked.first, asked.last]).stdout
    return [json.loads(line) for line in output.splitlines()]


def test_the_benchs_reader_writes_what_is_read(rich, run):
    server, _ = rich
    for line, commit in zip(read_alone(run, server), read(event(server), Settings()).commits, strict=True):
        assert (line["node"], line["parents"], line["size"]) == (commit.node, list(commit.parents), commit.size)
        assert (line["author"][0], line["message"], line["branch"]) == (commit.author.raw, commit.message, commit.branch)
        assert line["files"] == [[change.path, change.type, change.old_size, change.new_size] for change in commit.files]


def as_hg_tells(server) -> list[list]:
    """The files of each changeset with their lengths, from `hg log` and `hg files`."""
    told = []
    sizes: dict[str, dict[str, int]] = {NULL: {}}
    for one in told_by_hg(server):
        here, before = sizes.setdefault(one["node"], sizes_told_by_hg(server, one["node"])), sizes[one["p1"]]
        kinds = {path: kind for kind, key in (("added", "adds"), ("modified", "mods"), ("removed", "dels")) for path in one[key]}
        told.append([[path, kinds[path], before.get(path), here.get(path)] for path in one["files"]])
    return told


def test_lfs_files_have_their_real_size(hg_server, run):
    """By the pointer, wherever the files themselves are; hg loads the extension for a repository that requires it."""
    server = hg_server()
    server.hgrc("[extensions]\nlfs =\n")
    clone = server.clone()
    there(clone.path).hgrc(f"[extensions]\nlfs =\n[lfs]\ntrack = size('>100')\nurl = file:{server.path.parent / 'blobs'}")
    clone.commit({"big": "b" * 5000, "small": "s"})
    clone.hg("mv", "big", "moved")
    clone.commit({"moved": "m" * 9000})
    clone.commit({"moved": "tiny"})
    clone.push()
    hgrc = server.path / ".hg" / "hgrc"
    hgrc.write_text(hgrc.read_text().replace("lfs =", ""))
    shutil.rmtree(server.path / ".hg" / "store" / "lfs", ignore_errors=True)
    found = [line["files"] for line in read_alone(run, server)]
    assert found == as_hg_tells(server)
    assert found[1] == [["big", "removed", 5000, None], ["moved", "added", None, 9000]]
    requires = server.path / ".hg" / "store" / "requires"
    requires.write_text(requires.read_text().replace("lfs\n", ""))
    lines = read_alone(run, server)
    assert lines[0]["files"] == [["big", "added", None, None], ["small", "added", None, 1]]
    assert [line["size"] for line in lines] == [None, None, None]


def test_largefiles_are_told_as_the_standins_hg_records(hg_server, run):
    server = hg_server()
    server.hgrc("[extensions]\nlargefiles =\n")
    clone = server.clone()
    there(clone.path).hgrc("[extensions]\nlargefiles =")
    clone.commit({"small": "s"})
    (clone.path / "big").write_bytes(b"b" * 5000)
    clone.hg("add", "--large", "big")
    clone.hg("commit", "-m", "large", "-u", "x")
    clone.push()
    found = [line["files"] for line in read_alone(run, server)]
    assert found == as_hg_tells(server)
    assert found[1] == [[".hglf/big", "added", None, 41]]


def test_files_that_a_narrow_repository_has_not_got_have_no_size(hg_server, run):
    server = hg_server()
    clone = server.clone()
    clone.commit({"in/a": "1", "out/b": "22"})
    clone.commit({"in/a": "12", "out/b": "223"})
    clone.push()
    narrow = there(server.path.parent / "narrow")
    run(["hg", "clone", "-q", "--config", "extensions.narrow=", "--narrow", "--include", "in", server.path, narrow.path])
    narrow.hgrc("[extensions]\nnarrow =\n")
    first, second = read_alone(run, narrow)
    assert first["files"] == [["in/a", "added", None, 1], ["out/b", "added", None, None]]
    assert second["files"] == [["in/a", "modified", 1, 2], ["out/b", "modified", None, None]]
    assert (first["size"], second["size"]) == (None, None)


# ------------------------------------------------------------------------------------------------- many repositories


@pytest.mark.parametrize("seed", range(3))
def test_random_histories(hg_server, seed):
    """Merges, branches, closed heads and reopened ones at random; hg's own branch cache tells the tips after each changeset."""
    from mercurial import context
    from mercurial.node import nullrev

    server = hg_server()
    repo = repository.open_at(str(server.path)).unfiltered()
    draw = random.Random(seed)
    names = [b"default", b"stable", "größe".encode()]
    tips_at = [{}]  # after so many changesets: branch -> node
    for number in range(30):
        heads = [draw.randrange(number) for _ in range(2)] if number else [nullrev]
        parents = (heads[0], heads[1] if draw.random() < 0.3 and heads[0] != heads[-1] else nullrev)
        if parents[1] != nullrev and repo.changelog.isancestorrev(*sorted(parents)):
            parents = (parents[0], nullrev)
        held = sorted(set().union(*(repo[parent].manifest() for parent in parents if parent != nullrev)))
        touched = {b"f%d" % draw.randrange(12): draw.randbytes(draw.randrange(50)) for _ in range(draw.randrange(4))}
        removed = {name for name in held if draw.random() < 0.15} - touched.keys()

        def content(repo, ctx, path, touched=touched):
            if path not in touched:
                return None
            return context.memfilectx(repo, ctx, path, touched[path], islink=False, isexec=False)

        extra = {b"branch": draw.choice(names)} | ({b"close": b"1"} if draw.random() < 0.25 else {})
        context.memctx(
            repo,
            tuple(repo.changelog.node(parent) for parent in parents),
            b"number %d" % number,
            sorted(touched.keys() | removed),
            content,
            user=b"someone",
            date=b"%d 0" % number,
            extra=extra,
        ).commit()
        after = repo.branchmap()
        tips_at.append({name: after.branchtip(name).hex() for name in after})
    node = repo.changelog.node
    for _ in range(10):
        first = draw.randrange(30)
        last = draw.randrange(first, 30)
        push = read(event(server, node(first).hex(), node(last).hex()), Settings())
        for ref in push.refs:
            branch = ref.name.encode()
            assert ref.old == tips_at[first].get(branch), (first, last, ref)
            assert ref.new == tips_at[last + 1][branch], (first, last, ref)
        assert {ref.name for ref in push.refs} == {commit.branch for commit in push.commits}
    agree_quickly(server, read(event(server), Settings()), repo)


def agree_quickly(server, push, repo) -> None:
    """Files and types as `hg log` tells them; sizes as the contents are long."""
    told = told_by_hg(server)
    for commit, one in zip(push.commits, told, strict=True):
        of_type = {kind: [change.path for change in commit.files if change.type is kind] for kind in FileType}
        assert of_type == {FileType.ADDED: one["adds"], FileType.MODIFIED: one["mods"], FileType.REMOVED: one["dels"]}
        changeset = repo[commit.revision]
        for change in commit.files:
            path = change.path.encode()
            sides = [ctx[path].data() if path in ctx else None for ctx in (changeset.p1(), changeset)]
            assert [change.old_size, change.new_size] == [None if data is None else len(data) for data in sides]
