from __future__ import annotations

import random

import pytest

from githooks.reading.sizes import Lengths
from githooks.reading.store import open_objects
from tests.support.histories import Planned, build, point


def _plan() -> list[Planned]:
    """Files that delta well and files that do not, from nothing to a megabyte."""
    dice = random.Random(7)
    plan = [
        Planned(files={b"empty": ("100644", b""), b"link": ("120000", b"empty"), b"big": ("100644", dice.randbytes(1 << 20))})
    ]
    text = [dice.randbytes(40).hex().encode() for _ in range(500)]
    for index in range(40):
        text[dice.randrange(500)] = dice.randbytes(dice.randrange(200)).hex().encode()
        plan.append(Planned((index,), files={b"text": ("100644", b"\n".join(text)), b"n%d" % index: ("100644", b"x" * index)}))
    return plan


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("state", ["fast-import", "loose", "ofs-deltas", "ref-deltas", "borrowed"])
def test_every_length_is_what_cat_file_says(git_server, object_format, state):
    server = git_server(object_format=object_format)
    point(server, {"refs/heads/main": build(server, _plan())[-1]})
    if state == "loose":
        packs = server.path / "objects/pack"
        content = next(packs.glob("*.pack")).read_bytes()
        for part in packs.iterdir():
            part.unlink()
        server.git("unpack-objects", "-q", input=content)
    elif state.endswith("deltas"):
        server.config("repack.useDeltaBaseOffset", str(state == "ofs-deltas").lower())
        server.git("repack", "-adfq", "--depth=50", "--window=50")
    told = server.git("cat-file", "--batch-all-objects", "--batch-check").splitlines()
    path = server.path
    if state == "borrowed":
        path = git_server("other.git", object_format=object_format).path
        (path / "objects/info/alternates").write_text(f"{server.path}/objects\n")
    with open_objects(str(path), {}) as store:
        lengths = Lengths(store)
        for line in told:
            oid, _, length = line.split()
            assert lengths.of(oid.encode()) == int(length), line
    assert len(told) > 160


def test_a_blob_is_never_inflated(git_server):
    server = git_server()
    nodes = build(server, [Planned(files={b"zeros": ("100644", bytes(64 << 20))})])
    blob = server.node(f"{nodes[0]}:zeros")
    point(server, {"refs/heads/main": nodes[0]})
    server.git("repack", "-adq")
    pack = next((server.path / "objects/pack").glob("*.pack"))
    assert pack.stat().st_size < 1 << 20
    with open_objects(str(server.path), {}) as store:
        lengths = Lengths(store)
        store.raw = None  # nothing here may ask for contents
        assert lengths.of(blob.encode()) == 64 << 20


def test_what_is_missing_or_broken_has_no_length(git_server):
    server = git_server()
    (server.path / "objects/ee").mkdir()
    for name, content in {"1" * 38: b"", "2" * 38: b"no zlib", "3" * 38: bytes.fromhex("789c030000000001")}.items():
        (server.path / "objects/ee" / name).write_bytes(content)
    with open_objects(str(server.path), {}) as store:
        lengths = Lengths(store)
        for name in ("e" * 40, "ee" + "1" * 38, "ee" + "2" * 38, "ee" + "3" * 38):
            assert lengths.of(name.encode()) is None


def test_a_pack_that_goes_meanwhile_is_no_loss(git_server):
    server = git_server()
    node = build(server, [Planned(files={b"a": ("100644", b"12345")}), Planned((0,), files={b"b": ("100644", b"123")})])[1]
    point(server, {"refs/heads/main": node})
    a, b = (server.node(f"{node}:{name}").encode() for name in "ab")
    with open_objects(str(server.path), {}) as store:
        lengths = Lengths(store)
        build(server, [Planned(time=5)])
        server.git("repack", "-adq")
        assert (lengths.of(a), lengths.of(b)) == (5, 3)
