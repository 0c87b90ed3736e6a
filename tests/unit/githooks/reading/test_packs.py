from __future__ import annotations

from pathlib import Path

import pytest

from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.sizes import Lengths
from githooks.reading.store import open_objects
from tests.support.histories import Planned, build, point


def _packs(server, *, count=4, joint=False):
    """So many packs with a commit in each, and maybe an index over all of them; nodes and packs in the same order."""
    nodes, packs = [], []
    for number in range(count):
        nodes += build(server, [Planned(files={b"f": ("100644", b"%d" % number)}, time=1_600_000_000 + number)])
        point(server, {f"refs/heads/b{number}": nodes[-1]})
        server.git("repack", "-dq")
        packs += set((server.path / "objects/pack").glob("*.pack")) - set(packs)
    if joint:
        server.git("multi-pack-index", "write")
    return [node.encode() for node in nodes], packs


def _descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("joint", [False, True])
def test_objects_of_many_packs_are_found_and_all_files_closed(git_server, joint):
    server = git_server()
    nodes, _ = _packs(server, joint=joint)
    before = _descriptors()
    with open_objects(str(server.path), {}) as store:
        lengths = Lengths(store)
        for node in [*nodes, *reversed(nodes), nodes[0], nodes[0]]:
            assert lengths.of(node) == len(store.raw(node)[1]) == int(server.git("cat-file", "-s", node.decode()))
    assert _descriptors() == before


def test_packs_of_a_joint_index_are_opened_only_for_what_is_in_them(git_server):
    server = git_server()
    nodes, _ = _packs(server, joint=True)
    before = _descriptors()
    with open_objects(str(server.path), {}) as store:
        empty = _descriptors()
        store.raw(nodes[2])
        one = _descriptors()
        with pytest.raises(ObjectMissing):
            store.raw(b"e" * 40)
        assert _descriptors() == one
        assert one - empty < 6, "files and what is mapped of them"
    assert _descriptors() == before


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("opened", [False, True])
def test_what_gc_packs_anew_while_it_is_read_is_found(git_server, joint, opened):
    server = git_server()
    nodes, packs = _packs(server, joint=joint)
    with open_objects(str(server.path), {}) as store:
        lengths = Lengths(store)
        if opened:
            store.raw(nodes[1])
        server.git("gc", "-q", "--prune=now")
        assert not any(pack.exists() for pack in packs)
        for node in nodes:
            assert lengths.of(node) == len(store.raw(node)[1])


def test_a_joint_index_that_outlived_its_packs_is_given_up(git_server):
    server = git_server()
    nodes, _ = _packs(server, joint=True)
    index = server.path / "objects/pack/multi-pack-index"
    content = index.read_bytes()
    server.git("repack", "-adq")
    index.write_bytes(content)
    with open_objects(str(server.path), {}) as store:
        for node in nodes:
            assert store.raw(node)[1].startswith(b"tree ")


@pytest.mark.parametrize("suffix", [".idx", ".pack"])
@pytest.mark.parametrize("content", [b"", b"x" * 2000])
def test_a_damaged_pack_hides_nothing_that_is_elsewhere(git_server, suffix, content):
    server = git_server()
    nodes, packs = _packs(server)
    broken = packs[1].with_suffix(suffix)
    broken.chmod(0o644)
    broken.write_bytes(content)
    with open_objects(str(server.path), {}) as store:
        for node in (nodes[0], nodes[2], nodes[3]):
            assert store.raw(node)[1].startswith(b"tree ")
        with pytest.raises(ObjectBroken, match="cannot be read"):
            store.raw(nodes[1])
        assert Lengths(store).of(nodes[1]) is None


def test_a_file_of_its_own_stands_in_for_a_damaged_one_in_a_pack(git_server):
    server = git_server()
    node = build(server, [Planned()])[0]
    point(server, {"refs/heads/main": node})
    server.git("repack", "-adq")
    raw = server.git("cat-file", "commit", node) + "\n"
    pack = next((server.path / "objects/pack").glob("*.pack"))
    content = pack.read_bytes()
    pack.chmod(0o644)
    pack.write_bytes(content[:14] + bytes(len(content) - 34) + content[-20:])
    loose = server.path / "objects" / node[:2]
    with open_objects(str(server.path), {}) as store, pytest.raises(ObjectBroken):
        store.raw(node.encode())
    kept = pack.rename(server.path / "kept")
    server.git("hash-object", "-w", "-t", "commit", "--stdin", input=raw)
    kept.rename(pack)
    assert (loose / node[2:]).exists()
    with open_objects(str(server.path), {}) as store:
        assert store.raw(node.encode())[1].decode() == raw
