from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from githooks.reading import objects

TREE, PARENT, OTHER = b"a" * 40, b"b" * 40, b"c" * 40
HEADER = b"tree %s\nparent %s\nauthor Ann <ann@x> 100 +0130\ncommitter Con <con@x> 200 -0330\n" % (TREE, PARENT)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"Ann Example <ann@example.org> 1700000000 +0100", ("Ann Example <ann@example.org>", 1700000000, 3600)),
        (b"Ann <ann@x> 5 -0330", ("Ann <ann@x>", 5, -12600)),
        (b"Ann <ann@x>", ("Ann <ann@x>", None, None)),
        (b"Ann <ann@x> ", ("Ann <ann@x>", None, None)),
        (b"Ann <ann@x> 5", ("Ann <ann@x>", 5, None)),
        (b"Ann <ann@x> 1234567890.5 +0000", ("Ann <ann@x>", 1234567890, 0)),
        (b"Ann <ann@x> yesterday +0000", ("Ann <ann@x>", None, None)),
        (b"Ann <ann@x> -5 +0000", ("Ann <ann@x>", -5, 0)),
        (b"Ann <ann@x> 300000000000 +51800", ("Ann <ann@x>", 300000000000, 518 * 3600)),
        (b"Ann <ann@x> 9223372036854775808 +0000", ("Ann <ann@x>", 2**63, 0)),
        (b"Ann <ann@x> " + b"9" * 5000 + b" +0000", ("Ann <ann@x>", None, None)),
        (b"<ann@x> 5 +0000", ("<ann@x>", 5, 0)),
        (b"Ann <> 5 +0000", ("Ann <>", 5, 0)),
        (b"Ann 5 +0000", ("Ann", 5, 0)),
        (b"Ann <ann@x 5 +0000", ("Ann <ann@x", 5, 0)),
        (b"A > B <ann@x> 5 +0000", ("A > B <ann@x>", 5, 0)),
        (b"", ("", None, None)),
    ],
)
def test_a_person_is_read_from_any_line(raw, expected):
    person = objects.person(raw)
    assert (person.raw, person.time, person.offset_s) == expected


def test_a_commit_is_taken_apart():
    parsed = objects.commit(HEADER + b"gpgsig -----BEGIN\n author Mallory <m@x> 1 +0000\n\n\nsubject\n\nbody\n")
    assert (parsed.tree, parsed.author.name, parsed.author.email) == (TREE, "Ann", "ann@x")
    assert (parsed.committer.time, parsed.committer.offset_s) == (200, -12600)
    assert parsed.message == "\nsubject\n\nbody\n"


@pytest.mark.parametrize(
    ("encoding", "raw", "expected"),
    [
        (b"", "grüße".encode(), "grüße"),
        (b"encoding ISO-8859-1\n", "grüße".encode("latin-1"), "grüße"),
        (b"encoding no-such\n", "grüße".encode(), "grüße"),
        (b"encoding hex\n", b"6162", "6162"),
        (b"encoding \0\n", b"x", "x"),
        (b"", b"gr\xfc", "gr\ufffd"),
    ],
)
def test_message_and_names_are_decoded_as_the_header_says(encoding, raw, expected):
    parsed = objects.commit(b"tree %s\nauthor %s <a@x> 1 +0000\n%s\n%s" % (TREE, raw, encoding, raw))
    assert (parsed.message, parsed.author.name) == (expected, expected)


@pytest.mark.parametrize("raw", [HEADER, HEADER[:-1], HEADER + b"\n"])
def test_a_commit_without_a_message_has_an_empty_one(raw):
    assert objects.commit(raw).message == ""
    assert objects.links(raw) == ((PARENT,), 200)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"tree %s\nparent %s\nparent %s\ncommitter A <a> 7 +0000\n\nparent x" % (TREE, PARENT, OTHER), ((PARENT, OTHER), 7)),
        (b"tree %s\nauthor A <a> 1 +0\nparent %s\ncommitter A <a> 7 +0\n" % (TREE, PARENT), ((), 7)),
        (b"tree %s\nparent short\ncommitter A <a> x\n\n" % TREE, ((), 0)),
        (b"tree %s\n\ncommitter A <a> 7 +0\n" % TREE, ((), 0)),
        (b"", ((), 0)),
    ],
)
def test_links_come_from_the_header_only(raw, expected):
    assert objects.links(raw) == expected


def test_a_tag_is_taken_apart():
    raw = b"object %s\ntype commit\ntag v1\ntagger Ann <ann@x> 5 +0100\n\nfirst\n-----BEGIN PGP SIGNATURE-----\n" % TREE
    parsed = objects.tag(raw)
    assert (parsed.target, parsed.target_kind, parsed.tagger.time) == (TREE, b"commit", 5)
    assert parsed.message.startswith("first\n-----BEGIN")


def test_a_tag_of_2005_has_no_tagger():
    assert objects.tag(b"object %s\ntype commit\ntag v0\n\nx" % TREE).tagger is None


@given(st.binary() | st.lists(st.sampled_from([*HEADER.split(b"\n"), b"", b"encoding utf-7", b"\xff \x00"])).map(b"\n".join))
def test_whatever_the_bytes_something_comes_out(raw):
    parsed, tag = objects.commit(raw), objects.tag(raw)
    objects.links(raw)
    for said in (parsed.message, parsed.author.raw, tag.message):
        said.encode()  # no lone surrogate
