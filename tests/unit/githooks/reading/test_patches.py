from __future__ import annotations

import os
import tempfile
import time
import tracemalloc
from pathlib import Path

import pytest

from brokers.errors import RepositoryGone
from githooks.reading.patches import Patches
from tests.support import processes
from tests.support.git_objects import Objects
from tests.support.histories import Planned, build

LIMIT = 1 << 18


@pytest.fixture
def server(git_server):
    return git_server()


@pytest.fixture
def patches(server):
    with Patches(str(server.path), {}, LIMIT) as reading:
        yield reading


def text_file(content):
    return {b"f": ("100644", content)}


def children():
    """Those that run git: other tests of this process may have servers that run on."""
    own = os.getpid()
    return [
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and _name_and_parent(path) == ("git", own)
    ]


def folders():
    return set(Path(tempfile.gettempdir()).iterdir())


def _name_and_parent(process):
    try:
        name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
        return name, int(rest.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return "", 0


def git_that(monkeypatch, tmp_path, does):
    script = tmp_path / "bin" / "git"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")


def test_one_git_tells_all_and_none_is_left(server, patches, tmp_path):
    made = build(server, [Planned(files=text_file(b"1\n")), Planned((0,), files=text_file(b"2\n")), Planned((1,))])
    before = children()
    there = folders()
    assert patches.of(made[1].encode()).splitlines()[-2:] == ["-1", "+2"]
    (git,) = set(children()) - set(before)
    assert patches.of(made[0].encode()).splitlines()[-1] == "+1"
    assert patches.of(made[2].encode()) == ""
    assert set(children()) - set(before) == {git}
    assert len(folders() - there) == 1
    patches.close()
    assert set(children()) <= set(before)
    assert folders() == there
    assert processes.below(tmp_path) == []


def test_nothing_runs_before_a_patch_is_wanted(server):
    before = children()
    with Patches(str(server.path), {}, LIMIT):
        assert children() == before


def test_lines_that_look_like_an_end_or_a_header_are_text(server, patches):
    """The mark is found even so: as what is in a file stands behind `+`, and a name with a line end is quoted."""
    written = Objects()
    lines = b"=0123456789abcdef\n=\n\n" + b"1" * 40 + b"\ndiff --git a/f b/f\n"
    blob = bytes.fromhex(written.add("blob", lines))
    tree = written.add("tree", b"100644 a\n=0123\n\0" + blob + b"100644 b\r=\0" + blob)
    node = written.add("commit", b"tree %s\nauthor A <> 1 +0000\ncommitter A <> 1 +0000\n\n=\n" % tree.encode())
    written.write(server.path, packed=False)
    patch = patches.of(node.encode())
    assert patch.count("+=0123456789abcdef\n+=\n+\n+" + "1" * 40 + "\n+diff --git a/f b/f\n") == 2
    assert '+++ "b/a\\n=0123\\n"\n' in patch
    assert patches.of(node.encode()) == patch


def test_ends_of_files_without_line_ends(server, patches):
    plan = [Planned(files=text_file(b"=")), Planned((0,), files=text_file(b"x")), Planned((0,), files=text_file(b"y"))]
    made = build(server, [*plan, Planned((1, 2), files=text_file(b"=\n="))])
    assert [patches.of(node.encode()).splitlines()[-1] for node in made] == [
        "\\ No newline at end of file",
        "\\ No newline at end of file",
        "\\ No newline at end of file",
        "++=",
    ]


@pytest.mark.parametrize(("max_bytes", "told"), [(0, 4), (1, 5), (100, 104), (10**6, None)])
def test_a_patch_is_told_a_little_further_than_the_limit(server, max_bytes, told):
    made = build(server, [Planned(files=text_file(b"line\n" * 1000)), Planned()])
    with Patches(str(server.path), {}, max_bytes) as patches:
        patch = patches.of(made[0].encode())
        assert patches.of(made[1].encode()) == ""
    with Patches(str(server.path), {}, LIMIT) as patches:
        assert patch == patches.of(made[0].encode())[:told]


@pytest.mark.parametrize("more", range(-6, 7))
def test_near_the_limit_nothing_is_lost_or_added(server, more):
    made = build(server, [Planned(files=text_file(b"1\n2\n"))])
    with Patches(str(server.path), {}, LIMIT) as patches:
        whole = patches.of(made[0].encode())
    with Patches(str(server.path), {}, len(whole) + more) as patches:
        assert patches.of(made[0].encode()) == whole[: len(whole) + more + 4]


def test_a_long_patch_takes_no_memory_and_the_next_one_is_told(server, patches):
    made = build(server, [Planned(files=text_file(b"0123456789abcde\n" * (1 << 21))), Planned(files=text_file(b"short\n"))])
    patches.of(made[1].encode())
    (git,) = children()
    tracemalloc.start()
    patch = patches.of(made[0].encode())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(patch) == LIMIT + 4
    assert most < 5 * LIMIT
    assert children() == []  # 32 MiB were to come
    assert patches.of(made[1].encode()).endswith("+short\n")
    assert children() != [git]


def test_a_file_whose_difference_takes_too_much_memory_has_none(server, patches):
    made = build(server, [Planned(files=text_file(b"\n" * (1 << 25))), Planned(files=text_file(b"\n"))])
    assert patches.of(made[0].encode()) is None
    assert patches.of(made[1].encode()) is not None


def test_bytes_that_are_no_utf8(server, patches):
    made = build(server, [Planned(files={b"caf\xe9": ("100644", b"caf\xe9 \xf0\x9f\x98\x80 \xed\xa0\x80\n")})])
    patch = patches.of(made[0].encode())
    assert "+++ b/caf\ufffd\n" in patch
    assert patch.endswith("+caf\ufffd \U0001f600 \ufffd\ufffd\ufffd\n")


@pytest.mark.parametrize("oid", [b"e" * 40, b"e" * 64, b"HEAD", b"", b"--all", b"E" * 40, b"e" * 39 + b"\n"])
def test_what_is_no_commit_here_has_none(server, patches, oid):
    made = build(server, [Planned(files=text_file(b"x\n"))])
    assert patches.of(oid) is None
    assert patches.of(made[0].encode()).endswith("+x\n")


@pytest.mark.parametrize("kind", ["blob", "tree"])
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_commit_that_lacks_an_object_has_none_and_others_do(server, patches, kind, damage):
    made = build(server, [Planned(files=text_file(b"x\n")), Planned((0,), files=text_file(b"y\n")), Planned((1,), files={})])
    lost = server.node(f"{made[1]}:f" if kind == "blob" else f"{made[1]}^{{tree}}")
    path = server.path / "objects" / lost[:2] / lost[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-4])
    if damage == "missing":
        path.unlink()
    assert patches.of(made[0].encode()).endswith("+x\n")
    assert patches.of(made[1].encode()) is None
    assert patches.of(made[0].encode()).endswith("+x\n")


def test_without_git_there_are_none(server, patches, monkeypatch, tmp_path):
    made = build(server, [Planned(files=text_file(b"x\n"))])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert patches.of(made[0].encode()) is None
    monkeypatch.undo()
    assert patches.of(made[0].encode()).endswith("+x\n")


@pytest.mark.parametrize("does", ["exit 1", "echo nonsense", 'test "$1" = init || exec sleep 20', "exec sleep 20"])
def test_a_git_that_fails_or_hangs_holds_nothing_up(server, monkeypatch, tmp_path, does):
    made = build(server, [Planned(files=text_file(b"x\n"))])
    git_that(monkeypatch, tmp_path, does)
    started = time.monotonic()
    with Patches(str(server.path), {}, LIMIT, time_limit_s=0.5) as patches:
        assert patches.of(made[0].encode()) is None
        assert patches.of(made[0].encode()) is None
    assert time.monotonic() - started < 5


def test_the_time_limit_is_for_all_together(server, monkeypatch, tmp_path):
    made = build(server, [Planned(files=text_file(b"x\n"))])
    real = "PATH=${PATH#*:}"
    git_that(monkeypatch, tmp_path, f'{real}; test "$1" = init || sleep 0.4; exec git "$@"')
    with Patches(str(server.path), {}, LIMIT, time_limit_s=10) as patches:
        assert patches.of(made[0].encode()) is not None
    with Patches(str(server.path), {}, LIMIT, time_limit_s=0.2) as patches:
        assert patches.of(made[0].encode()) is None
        monkeypatch.undo()
        assert patches.of(made[0].encode()) is None  # though it would be quick now


def test_a_repository_that_is_gone_is_an_error(tmp_path):
    with Patches(str(tmp_path / "gone.git"), {}, LIMIT) as patches, pytest.raises(RepositoryGone):
        patches.of(b"e" * 40)
