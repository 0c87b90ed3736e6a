from __future__ import annotations

import pickle

import pytest

from brokers.errors import RepositoryGone, RepositoryUnreadable
from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.layout import cut_history
from githooks.reading.objects import COMMIT
from githooks.reading.store import open_objects
from tests.support.command import run
from tests.support.histories import Planned, build, point


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("pack", [False, True])
def test_raw_is_what_cat_file_says(git_server, object_format, pack):
    server = git_server(object_format=object_format)
    node = build(server, [Planned(message=b"hello\n")])[0]
    point(server, {"refs/heads/main": node})
    if pack:
        server.git("repack", "-adq")
    assert bool(list((server.path / "objects/pack").glob("*.pack"))) is pack
    with open_objects(str(server.path), {}) as store:
        kind, raw = store.raw(node.encode())
        assert store.oid_bytes * 2 == len(node)
    assert (kind, raw.decode()) == (COMMIT, server.git("cat-file", "commit", node) + "\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preciousObjects", "true"),
        ("partialClone", "origin"),
        ("noop", "1"),
        ("refStorage", "files"),
        ("worktreeConfig", "true"),
    ],
)
def test_extensions_that_change_nothing_are_no_hindrance(git_server, key, value):
    server = git_server()
    node = build(server, [Planned()])[0]
    server.config("core.repositoryFormatVersion", "1")
    server.config(f"extensions.{key}", value)
    with open_objects(str(server.path), {}) as store:
        assert store.raw(node.encode())[0] == COMMIT


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_borrowed_objects_are_found_through_chains_and_circles(git_server, object_format):
    first = git_server("first.git", object_format=object_format)
    node = build(first, [Planned()])[0].encode()
    second, third = (git_server(f"{name}.git", object_format=object_format) for name in ("second", "third"))
    (second.path / "objects/info/alternates").write_text("# absolute\n" + str(first.path / "objects") + "\n")
    (third.path / "objects/info/alternates").write_text("../../second.git/objects\n/nowhere/objects\n")
    (first.path / "objects/info/alternates").write_text("../../third.git/objects\n")
    with open_objects(str(third.path), {}) as store:
        assert store.raw(node)[0] == COMMIT
    (third.path / "objects/info/alternates").unlink()
    with open_objects(str(third.path), {}) as store, pytest.raises(ObjectMissing):
        store.raw(node)
    with open_objects(str(third.path), {"GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{first.path}/objects"}) as store:
        assert store.raw(node)[0] == COMMIT


def test_a_linked_worktree_is_opened_through_its_own_directory(git_server, tmp_path):
    server = git_server()
    node = build(server, [Planned()])[0]
    point(server, {"refs/heads/main": node})
    server.git("worktree", "add", "-q", tmp_path / "wt", "-b", "side", "main")
    with open_objects(str(server.path / "worktrees/wt"), {}) as store:
        assert store.raw(node.encode())[0] == COMMIT
        assert (server.path / "worktrees/wt" / store.common_dir).resolve() == server.path.resolve()


@pytest.mark.parametrize("content", [b"", b"x" * 100])
def test_a_broken_multi_pack_index_counts_as_none(git_server, content):
    server = git_server()
    node = build(server, [Planned()])[0]
    (server.path / "objects/pack/multi-pack-index").write_bytes(content)
    with open_objects(str(server.path), {}) as store:
        assert store.raw(node.encode())[0] == COMMIT


def test_a_whole_multi_pack_index_is_of_use(git_server):
    server = git_server()
    node = build(server, [Planned()])[0]
    point(server, {"refs/heads/main": node})
    server.git("repack", "-adq")
    server.git("multi-pack-index", "write")
    with open_objects(str(server.path), {}) as store:
        assert store.raw(node.encode())[0] == COMMIT


def test_what_a_repack_moved_meanwhile_is_found(git_server):
    server = git_server()
    first, second = build(server, [Planned(), Planned((0,))])
    point(server, {"refs/heads/main": second})
    with open_objects(str(server.path), {}) as store:
        store.raw(first.encode())
        build(server, [Planned(time=5)])
        server.git("repack", "-adq")
        assert store.raw(second.encode())[0] == COMMIT


def test_errors_name_the_repository_and_the_reason(git_server, tmp_path):
    with pytest.raises(RepositoryGone) as gone:
        open_objects(str(tmp_path / "nowhere"), {})
    assert str(gone.value).startswith(f"{tmp_path}/nowhere: is no git repository")
    server = git_server()
    with open_objects(str(server.path), {}) as store:
        for oid in (b"e" * 40, b"e" * 64, b"nonsense", b"../" * 13 + b"x"):
            with pytest.raises(ObjectMissing) as missing:
                store.raw(oid)
            assert str(missing.value).startswith(f"{server.path}: ")
            again = pickle.loads(pickle.dumps(missing.value))
            assert (str(again), again.oid) == (str(missing.value), oid.decode())
    (server.path / "objects/ee").mkdir()
    (server.path / "objects/ee" / ("e" * 38)).write_bytes(b"no zlib")
    with open_objects(str(server.path), {}) as store, pytest.raises(ObjectBroken, match="cannot be read"):
        store.raw(b"e" * 40)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("refStorage", "reftable", "stored as reftable"), ("objectFormat", "md5", "object format md5 is unknown")],
)
def test_what_is_not_read_is_refused_in_words(git_server, key, value, said):
    server = git_server()
    with (server.path / "config").open("a") as config:
        config.write(f"[core]\nrepositoryformatversion = 1\n[extensions]\n{key} = {value}\n")
    with pytest.raises(RepositoryUnreadable, match=said):
        open_objects(str(server.path), {})


def test_shallow_and_grafts_cut_history(git_server, tmp_path):
    server = git_server()
    nodes = build(server, [Planned(), Planned((0,)), Planned((1,))])
    point(server, {"refs/heads/main": nodes[2]})
    run(["git", "clone", "-q", "--bare", "--depth=2", f"file://{server.path}", tmp_path / "shallow.git"])
    assert cut_history(str(tmp_path / "shallow.git")) == {nodes[1].encode(): ()}
    (server.path / "info/grafts").write_text(f"# a comment\n{nodes[2]} {nodes[0]}\nnonsense\n\n")
    assert cut_history(str(server.path)) == {nodes[2].encode(): (nodes[0].encode(),)}
