from __future__ import annotations

import pytest

from githooks.reading import refs
from tests.support.histories import Planned, build, point

HEADS = [b"refs/heads/", b"refs/tags/"]


@pytest.fixture
def server(git_server):
    return git_server()


@pytest.fixture
def node(server):
    return build(server, [Planned()])[0]


@pytest.mark.parametrize("pack", [False, True])
def test_equal_to_for_each_ref(server, node, pack):
    point(server, {"refs/heads/main": node, "refs/heads/a/b": node, "refs/tags/v1": node, "refs/pull/1/head": node})
    server.git("tag", "-a", "-m", "x", "v2", node)
    server.git("update-ref", "refs/heads/caf\udce9", node)
    if pack:
        server.git("pack-refs", "--all")
        server.git("update-ref", "refs/heads/loose", node)
    told = server.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags").splitlines()
    expected = {line.split(" ")[1].encode("utf-8", "surrogateescape"): line.split(" ")[0].encode() for line in told}
    found = refs.current(str(server.path), HEADS)
    assert {name: value.oid for name, value in found.values.items()} == expected
    assert b"refs/heads/caf\xe9" in expected
    if pack:
        assert found.values[b"refs/tags/v2"].peeled == node.encode()
        assert found.values[b"refs/tags/v1"].peeled is None
    assert (found.values[b"refs/heads/main"].moved is None) is pack


def test_a_loose_ref_goes_before_the_packed_one(server):
    old, new = build(server, [Planned(), Planned((0,))])
    point(server, {"refs/heads/main": old})
    server.git("pack-refs", "--all")
    server.git("update-ref", "refs/heads/main", new)
    assert refs.current(str(server.path), HEADS).values[b"refs/heads/main"].oid == new.encode()


def test_what_is_broken_is_no_ref(server, node):
    heads = server.path / "refs/heads"
    for name, content in {
        "empty": b"",
        "text": b"hello\n",
        "short": b"abc\n",
        "x.lock": node.encode(),
        "nul": b"\0" * 40,
    }.items():
        (heads / name).write_bytes(content)
    (heads / "dangling").symlink_to("nowhere")
    (server.path / "packed-refs").write_bytes(b"")
    assert refs.current(str(server.path), HEADS).values == {}


def test_a_symbolic_ref_has_no_value_of_its_own(server, node):
    point(server, {"refs/heads/main": node})
    server.git("symbolic-ref", "refs/heads/master", "refs/heads/main")
    found = refs.current(str(server.path), HEADS)
    assert found.symbolic == {b"refs/heads/master": b"refs/heads/main"}
    assert list(found.values) == [b"refs/heads/main"]


def test_a_filter_may_name_one_ref(server, node):
    point(server, {"refs/heads/main": node, "refs/heads/dev": node})
    assert list(refs.current(str(server.path), [b"refs/heads/main"]).values) == [b"refs/heads/main"]


def test_the_head_branch(server, node):
    server.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    assert refs.head_branch(str(server.path)) == b"refs/heads/trunk"
    (server.path / "HEAD").write_text(node + "\n")
    assert refs.head_branch(str(server.path)) is None
    (server.path / "HEAD").unlink()
    assert refs.head_branch(str(server.path)) is None
