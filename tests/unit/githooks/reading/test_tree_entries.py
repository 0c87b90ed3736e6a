from __future__ import annotations

import random
from itertools import pairwise

import pytest

from githooks.reading.tree_entries import Entries, RawTree


def _names(dice: random.Random, count: int) -> list[bytes]:
    """Names that sort oddly beside one another, and look like parts of entries."""
    odd = [b"40000 a", b"100644 b", b"a", b"a.b", b"a-", b"a0", b" ", b"\xff\xfe"]
    return [
        odd.pop() if odd else dice.randbytes(dice.randrange(1, 30)).replace(b"\0", b"0").replace(b"/", b"_") for _ in range(count)
    ]


def _entry(dice: random.Random, name: bytes, oid_bytes: int) -> bytes:
    mode = dice.choice((b"100644", b"100755", b"40000", b"120000", b"160000"))
    return b"%s %s\0%s" % (
        mode,
        name,
        dice.choice((dice.randbytes(oid_bytes), b"40000 a\0".ljust(oid_bytes, b"x"), bytes(oid_bytes))),
    )


def _raw(files: dict[bytes, bytes]) -> bytes:
    """As git sorts a tree: folders as if a slash ended their names."""
    return b"".join(files[name] for name in sorted(files, key=lambda name: name + b"/" * files[name].startswith(b"40000 ")))


def _next(dice: random.Random, files: dict[bytes, bytes], changes: int, oid_bytes: int) -> dict[bytes, bytes]:
    files = dict(files)
    for _ in range(changes):
        name = dice.choice(list(files))
        if dice.random() < 0.3:
            del files[name]
        if dice.random() < 0.7:
            name = dice.choice((name, name + b"x", *_names(dice, 1)))
            files[name] = _entry(dice, name, oid_bytes)
    return files


@pytest.mark.parametrize("oid_bytes", [20, 32])
@pytest.mark.parametrize("size", [8, 200, 1500])
def test_what_changes_along_a_history_is_the_difference_of_the_sets_of_entries(oid_bytes, size):
    dice = random.Random(size)
    entries = Entries(oid_bytes)
    files = {name: _entry(dice, name, oid_bytes) for name in _names(dice, size)}
    old = RawTree(_raw(files))
    compared = 0
    for _ in range(60):
        changed = _next(dice, files, dice.choice((0, 1, 1, 2, 5, 30, 200)) if size > 8 else 1, oid_bytes)
        new = RawTree(_raw(changed))
        before, after = set(files.values()), set(changed.values())
        assert entries.changed(old, new) == (before - after, after - before)
        compared += new.places is not None
        name = dice.choice([*changed, b"nowhere"])
        assert entries.named(new, name) == changed.get(name)
        begins = {0, len(new.raw)}
        begins |= {len(new.raw[: new.raw.index(entry)]) for entry in after}
        assert set(new.places) <= begins
        assert all(one < other for one, other in pairwise(new.places))
        files, old = changed, new
    assert compared > 20 or size == 8, "most of it was found by comparison"


def test_places_are_enough_however_often_a_tree_grows_at_one_place():
    dice = random.Random(1)
    entries = Entries(20)
    files = {b"%05d" % number: _entry(dice, b"%05d" % number, 20) for number in range(0, 20_000, 200)}
    tree = RawTree(_raw(files))
    for number in range(1, 150):
        files[b"%05d" % number] = _entry(dice, b"%05d" % number, 20)
        grown = RawTree(_raw(files))
        entries.changed(tree, grown)
        tree = grown
    assert max(other - one for one, other in pairwise([*tree.places, len(tree.raw)])) < 2500


def test_trees_that_are_not_sorted_differ_only_where_they_differ():
    dice = random.Random(2)
    entries = Entries(20)
    kept = [_entry(dice, b"%d" % number, 20) for number in range(300)]
    moved = [*kept[100:], *kept[:50], _entry(dice, b"new", 20), *kept[51:100]]
    gone, came = entries.changed(RawTree(b"".join(kept)), RawTree(b"".join(moved)))
    assert (gone, came) == ({kept[50]}, set(moved) - set(kept))


@pytest.mark.parametrize("garbage", [b"\0", b"100644 cut\0abc", b"no entry", b"100644 \0" + bytes(20)])
@pytest.mark.parametrize("where", [0, 150, 300])
def test_what_is_no_entry_is_passed_over(garbage, where):
    dice = random.Random(3)
    entries = Entries(20)
    whole = [_entry(dice, b"%03d" % number, 20) for number in range(300)]
    broken = RawTree(b"".join([*whole[:where], garbage, *whole[where:]]))
    found = set(entries._entry.findall(broken.raw))
    assert entries.changed(RawTree(b"".join(whole)), broken) == (set(whole) - found, found - set(whole))
    assert entries.changed(broken, RawTree(b"".join(whole))) == (found - set(whole), set(whole) - found)
    assert entries.named(broken, b"100") == (whole[100] if whole[100] in found else None)
