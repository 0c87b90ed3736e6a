from __future__ import annotations

import pytest

from brokers.render.scm_headers import scm_headers
from payload import samples
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload
from tests.unit.brokers.render.conftest import make_ref as ref

ZEROS = "0" * 40


def test_one_commit_to_one_branch():
    made = commit(raw_node="c" * 40)
    assert list(scm_headers(payload([made], [ref()]))) == [
        ("X-Git-Repo", "app"),
        ("X-Git-Refname", "refs/heads/main"),
        ("X-Git-Reftype", "branch"),
        ("X-Git-Oldrev", "a" * 40),
        ("X-Git-Newrev", "b" * 40),
        ("X-Git-Rev", "c" * 40),
        ("X-Git-NotificationType", "ref_changed_plus_diff"),
    ]


def test_a_commit_beside_others():
    made = commit(raw_node="c" * 40)
    assert list(scm_headers(payload([made], [ref()]), is_part=True)) == [
        ("X-Git-Repo", "app"),
        ("X-Git-Refname", "refs/heads/main"),
        ("X-Git-Reftype", "branch"),
        ("X-Git-Rev", "c" * 40),
        ("X-Git-NotificationType", "diff"),
    ]


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        (ref("dev", action="create"), ("refs/heads/dev", "branch", ZEROS, "b" * 40)),
        (ref("dev", action="delete"), ("refs/heads/dev", "branch", "a" * 40, ZEROS)),
        (ref("v1", "tag", "create"), ("refs/tags/v1", "tag", ZEROS, "b" * 40)),
        (ref("v1", "tag", "create", tagger={"name": "Ann"}), ("refs/tags/v1", "annotated tag", ZEROS, "b" * 40)),
        (ref("1/head", "other"), ("refs/pull/1/head", "reference", "a" * 40, "b" * 40)),
    ],
)
def test_a_ref_alone(moved, expected):
    told = dict(scm_headers(payload([], [moved])))
    assert tuple(told[f"X-Git-{name}"] for name in ("Refname", "Reftype", "Oldrev", "Newrev")) == expected
    assert told["X-Git-NotificationType"] == "ref_changed"
    assert "X-Git-Rev" not in told


def test_several_refs_are_named_one_after_another_and_not_without_end():
    told = list(scm_headers(payload([commit(), commit("Two")], [ref(f"b{number}") for number in range(100)])))
    assert [value for name, value in told if name == "X-Git-Refname"] == [f"refs/heads/b{number}" for number in range(20)]
    assert not {"X-Git-Oldrev", "X-Git-Newrev", "X-Git-Rev"}.intersection(dict(told))


def test_mercurial_s():
    assert list(scm_headers(samples.load("hg-new-branch"))) == [
        ("X-Hg-Repo", "lid"),
        ("X-Hg-Branch", "next"),
        ("X-Hg-Notification", "changeset 9c9caa0a917a"),
        ("X-Hg-Rev", "9c9caa0a917a6989a0efd21d88bdbcceb9403856"),
    ]
    assert list(scm_headers(samples.load("hg-bookmark"))) == [("X-Hg-Repo", "lid"), ("X-Hg-Bookmark", "tea-time")]


def test_what_does_not_say_which_it_is_has_none():
    assert list(scm_headers(samples.load("twitter-2008"))) == []


def test_an_alert():
    assert list(scm_headers(samples.load("alert"))) == [("X-Git-Repo", "kettle")]
