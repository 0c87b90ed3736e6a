from __future__ import annotations

from githooks.reading.recent import Recent


def test_what_was_used_last_is_kept_within_the_limit():
    kept: Recent[int] = Recent(100)
    for number in range(1000):
        kept.put(b"%d" % number, number, 10)
        assert kept.get(b"0") == 0, "it is asked for all the time"
    held = [number for number in range(1000) if kept.get(b"%d" % number) is not None]
    assert held[0] == 0
    assert 5 <= len(held) <= 10
    assert 999 in held


def test_what_is_larger_than_the_limit_is_kept_alone():
    kept: Recent[str] = Recent(100)
    kept.put(b"a", "small", 10)
    kept.put(b"b", "large", 1000)
    assert kept.get(b"b") == "large"
    kept.put(b"c", "small", 10)
    kept.put(b"d", "small", 45)
    assert (kept.get(b"a"), kept.get(b"b")) == (None, None)
