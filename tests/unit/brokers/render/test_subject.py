from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.render import subject as words
from payload import samples
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload
from tests.unit.brokers.render.conftest import make_ref as ref

BOB = {"raw_author": "Bob <bob@example.org>"}
CID = {"raw_author": "Cid <cid@example.org>"}


@pytest.mark.parametrize(
    ("given_payload", "expected"),
    [
        (payload([commit()]), "Fix the thing"),
        (payload([commit("\n  \nFix\r\nmore")]), "Fix"),
        (payload([commit("old\rMac")]), "old"),
        (payload([commit("")]), "(no message)"),
        (payload([commit()], [ref(action="rewind", dropped=2)]), "Fix the thing (main rewound)"),
        (payload([commit(), commit("Two")]), "2 commits on main by Ann Example"),
        (payload([commit(), commit("Two", branch="dev", **BOB)]), "2 commits on main and dev by Ann Example and Bob"),
        (
            payload([commit(), commit("Two", branch="dev", **BOB), commit("Three", branch="x", **CID)]),
            "3 commits on 3 branches by 3 authors",
        ),
        (payload([commit(branch=None), commit("Two", branch=None)]), "2 commits by Ann Example"),
        (payload([commit(), commit("Two")], total_commits=12345), "12,345 commits on main by Ann Example"),
        (payload([commit()], total_commits=3), "3 commits on main by Ann Example"),
        (payload([], [ref("dev", action="create")]), "Branch dev created"),
        (payload([], [ref("dev", action="delete")]), "Branch dev deleted"),
        (payload([], [ref("dev", action="rewind")]), "Branch dev rewound"),
        (payload([], [ref("v1.0", "tag", "create")]), "Tag v1.0 created"),
        (payload([], [ref("v1.0", "tag", "update")]), "Tag v1.0 moved"),
        (payload([], [ref("@", "bookmark", "update")]), "Bookmark @ moved"),
        (payload([], [ref("1/head", "other", "create")]), "Refs/pull/1/head created"),
        (
            payload([], [ref("dev", action="delete"), ref("v1", "tag", "create")]),
            "2 refs changed: branch dev deleted, tag v1 created",
        ),
        (payload([], []), "Nothing new was pushed"),
        (samples.load("twitter-2008"), "adding bump button, issue #206 fixed"),
        ({"repository": {}, "commits": []}, "Nothing new was pushed"),
        ({"repository": {}, "commits": [{}]}, "(no message)"),
        ({"repository": {}, "commits": [{}, {"author": "jespern"}]}, "2 commits by jespern"),
    ],
)
def test_subjects(given_payload, expected):
    assert words.subject(given_payload) == expected


def test_what_is_beyond_those_that_are_told():
    assert words.beyond(payload([commit()], total_commits=3), 1, "read") == ["2 more commits are not read"]
    assert words.beyond(payload([commit()]), 1, "read") == []


def test_a_long_subject_is_cut():
    said = words.subject(payload([commit("z" * 100_000)]))
    assert len(said) == words.MAX_CHARS
    assert said.endswith("z...")


@given(st.text(), st.text(), st.text())
def test_whatever_is_pushed_the_subject_is_one_printable_line(message, author, name):
    for pushed in (
        payload([commit(message)]),
        payload([commit(message, raw_author=author, branch=name), commit("x", raw_author=name)]),
        payload([], [ref(name, action="create")]),
    ):
        said = words.subject(pushed)
        assert said.isprintable()
        assert 0 < len(said) <= words.MAX_CHARS
