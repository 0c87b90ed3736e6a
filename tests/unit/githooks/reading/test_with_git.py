from __future__ import annotations

import pytest

from githooks.reading.errors import ObjectMissing
from githooks.reading.objects import BLOB, COMMIT, TAG, TREE, Links
from githooks.reading.with_git import CHUNK, GitLane
from payload.push import FileChange, FileType
from tests.support.histories import START_S, Planned, build, event, point

MAIN = "refs/heads/main"


@pytest.fixture(params=["sha1", "sha256"])
def server(request, git_server):
    return git_server(object_format=request.param)


@pytest.fixture
def nodes(server):
    plan = [
        Planned((index - 1,) if index else (), START_S + index, {b"f%d" % (index % 7): ("100644", b"x" * index)})
        for index in range(600)
    ]
    made = [node.encode() for node in build(server, plan)]
    point(server, {MAIN: made[-1].decode()})
    return made


@pytest.fixture
def lane(server, nodes):
    with GitLane(event(server.path, [(MAIN, None, nodes[-1].decode())], time=0.0)) as lane:
        yield lane


def test_objects_of_each_kind(server, nodes, lane):
    blob = server.git("hash-object", "-w", "--stdin", input="some text").encode()
    tag = server.git("mktag", input=f"object {nodes[0].decode()}\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nm\n").encode()
    tree = server.node(f"{nodes[3].decode()}^{{tree}}").encode()
    assert [lane.raw(oid)[0] for oid in (nodes[3], tree, tag)] == [COMMIT, TREE, TAG]
    assert lane.raw(blob) == (BLOB, b"some text")
    assert lane.length(blob) == 9
    missing = nodes[0].translate(bytes.maketrans(b"0123456789abcdef", b"123456789abcdef0"))
    assert lane.length(missing) is None
    for name in (missing, nodes[0][:10], b"HEAD", b"x" * len(nodes[0]), b""):
        assert lane.length(name) is None
        with pytest.raises(ObjectMissing):
            lane.raw(name)
    told = dict(lane.links_of([nodes[1], blob, missing, b"HEAD", tag, nodes[2]]))
    assert told == {nodes[index]: Links((nodes[index - 1],) if index else (), START_S + index) for index in range(3)}


def test_newest_first(nodes, lane):
    told = list(lane.newest_first([nodes[4], nodes[9]]))
    assert told == [(nodes[index], Links((nodes[index - 1],) if index else (), START_S + index)) for index in range(9, -1, -1)]


@pytest.mark.parametrize("time", [0, 1 << 33, 1 << 40])
def test_dates_that_git_may_read_otherwise_are_left_to_be_read(server, time):
    (node,) = build(server, [Planned(time=time)])
    with GitLane(event(server.path, [(MAIN, None, node)], time=0.0)) as lane:
        assert list(lane.newest_first([node.encode()])) == [(node.encode(), None)]


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK, 600])
def test_contents_of_any_number_of_commits(server, nodes, lane, count):
    asked = [(oid, Links((), 0)) for oid in nodes[:count]]
    told = list(lane.contents(asked, 1000))
    assert [one.oid for one in told] == nodes[:count]
    assert all(one.raw.startswith(b"tree ") for one in told)
    expected = [
        (
            FileChange(
                f"f{index % 7}", FileType.MODIFIED if index >= 7 else FileType.ADDED, index - 7 if index >= 7 else None, index
            ),
        )
        for index in range(count)
    ]
    assert [one.files for one in told] == expected


def test_a_missing_commit_among_them_is_named(nodes, lane):
    missing = b"0123456789abcdef" * (len(nodes[0]) // 16) + b"0" * (len(nodes[0]) % 16)
    with pytest.raises(ObjectMissing) as told:
        list(lane.contents([(oid, Links((), 0)) for oid in (nodes[0], missing, nodes[1])], 1000))
    assert told.value.oid == missing.decode()


def test_lengths_are_remembered_within_bounds(server, monkeypatch):
    """A small memory of lengths makes no difference."""
    from githooks.reading import diff_tree, with_git

    monkeypatch.setattr(with_git, "_REMEMBERED_LENGTHS", 3)
    monkeypatch.setattr(with_git, "CHUNK", 4)
    monkeypatch.setattr(diff_tree, "CHUNK", 3)
    dice = [0, 1, 2, 0, 3, 1, 1, 4, 2, 0, 5, 5, 3] * 5
    plan = [
        Planned(
            (index - 1,) if index else (),
            START_S + index,
            {b"a": ("100644", b"x" * size), b"b%d" % size: ("100644", b"%d" % index)},
        )
        for index, size in enumerate(dice)
    ]
    made = build(server, plan)
    point(server, {MAIN: made[-1]})
    with GitLane(event(server.path, [(MAIN, None, made[-1])], time=0.0)) as lane:
        told = [one.files for one in lane.contents([(node.encode(), Links((), 0)) for node in made], 1000)]
    sizes = {}
    for index, (size, files) in enumerate(zip(dice, told, strict=True)):
        for path, new in (("a", size), (f"b{size}", len(str(index)))):
            found = [(change.old_size, change.new_size) for change in files if change.path == path]
            assert found in ([(sizes.get(path), new)], [])
            sizes[path] = new
