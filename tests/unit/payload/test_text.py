"""Bytes of a repository become text that a strict JSON parser takes, whatever they are."""

import encodings
import json
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payload import text

CODECS = sorted(module.name for module in pkgutil.iter_modules(encodings.__path__))


def strict_json(value: str) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "encoding", "expected"),
    [
        (b"plain", None, "plain"),
        ("Grüße".encode(), None, "Grüße"),
        ("Grüße".encode(), "", "Grüße"),
        ("Grüße".encode("latin-1"), "ISO-8859-1", "Grüße"),
        ("Grüße".encode("latin-1"), " latin1 ", "Grüße"),
        ("Grüße".encode("latin-1"), "iso-latin-1", "Grüße"),
        ("привет".encode("koi8-r"), "KOI8-R", "привет"),
        ("日本".encode("shift_jis"), "Shift_JIS", "日本"),
        ("日本".encode("utf-16"), "utf-16", "日本"),
        ("Grüße".encode(), "utf8mb4", "Grüße"),
        ("Grüße".encode(), "no-such-encoding", "Grüße"),
        ("Grüße".encode(), "nul\0byte", "Grüße"),
        ("Grüße".encode(), "surrogate\udc80", "Grüße"),
        (b"4142", "hex", "4142"),
        (b"x\x9c\x03\x00\x00\x00\x00\x01", "zip", "x\ufffd\x03\x00\x00\x00\x00\x01"),
        ("Grüße".encode("latin-1"), None, "Gr\ufffd\ufffde"),
        (b"\xed\xa0\x80", None, "\ufffd\ufffd\ufffd"),
        (b"nul\0inside", None, "nul\0inside"),
    ],
)
def test_decode(raw, encoding, expected):
    assert text.decode(raw, encoding) == expected


@pytest.mark.parametrize("encoding", ["idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"])
def test_codecs_that_are_no_encodings_of_messages_count_as_utf8(encoding):
    # Python has them, and they raise, warn or interpret; anyone may push a commit whose header names one.
    assert text.decode("a.ü \\q \\ud800".encode(), encoding) == "a.ü \\q \\ud800"


@given(raw=st.binary(max_size=80), encoding=st.one_of(st.none(), st.sampled_from(CODECS), st.text(max_size=20)))
def test_decode_never_raises_and_gives_strict_text(raw, encoding):
    told = text.decode(raw, encoding)
    strict_json(told)
    assert text.decode(raw, encoding) == told


@given(raw=st.binary(max_size=80))
def test_decode_path_gives_strict_text(raw):
    strict_json(text.decode_path(raw))


def test_decode_path_keeps_every_byte_that_is_utf8():
    assert text.decode_path(b"caf\xc3\xa9/\xff.txt") == "café/\ufffd.txt"


@pytest.mark.parametrize(
    ("smuggled", "expected"),
    [
        ("plain", "plain"),
        ("Grüße", "Grüße"),
        ("caf\udcc3\udca9", "café"),
        ("caf\udce9", "caf\ufffd"),
        ("high \ud800 low \udfff", "high \ufffd low \ufffd"),
        ("\udc7f", "\ufffd"),
        ("😀", "😀"),
    ],
)
def test_repair(smuggled, expected):
    assert text.repair(smuggled) == expected


@given(st.text(st.characters(), max_size=50))
def test_repair_gives_strict_text_and_is_done_once(value):
    repaired = text.repair(value)
    strict_json(repaired)
    assert text.repair(repaired) == repaired


@given(st.binary(max_size=50))
def test_repair_of_what_the_hook_saw_is_what_the_reader_decodes(raw):
    assert text.repair(raw.decode("utf-8", "surrogateescape")) == text.decode_path(raw)


@pytest.mark.parametrize(
    ("value", "max_bytes", "expected"),
    [
        ("abc", 3, ("abc", False)),
        ("abcd", 3, ("abc", True)),
        ("", 0, ("", False)),
        ("a", 0, ("", True)),
        ("üü", 4, ("üü", False)),
        ("üü", 3, ("ü", True)),
        ("😀", 3, ("", True)),
        ("a😀", 4, ("a", True)),
    ],
)
def test_cut(value, max_bytes, expected):
    assert text.cut(value, max_bytes) == expected


@given(st.text(max_size=60), st.integers(0, 100))
def test_cut_is_the_longest_beginning_that_fits(value, max_bytes):
    kept, was_cut = text.cut(value, max_bytes)
    assert value.startswith(kept)
    assert len(kept.encode()) <= max_bytes
    assert was_cut == (kept != value)
    if was_cut:
        assert len(value[: len(kept) + 1].encode()) > max_bytes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("Grüße 日本", "Grüße 日本"),
        ("two\nlines\r", "two\\x0alines\\x0d"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eright to left", "\\u202eright to left"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\U000e0001", "\\U000e0001"),
        ("\udc80", "\\udc80"),
    ],
)
def test_visible(value, expected):
    assert text.visible(value) == expected


@given(st.text(st.characters()))
def test_visible_has_nothing_a_terminal_obeys(value):
    shown = text.visible(value)
    assert shown.isprintable()
    strict_json(shown)
