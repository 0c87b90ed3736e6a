from __future__ import annotations

import re

import pytest

from brokers.errors import ConfigError
from brokers.mailing.recipients import Group, groups, rules
from payload import samples
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload
from tests.unit.brokers.render.conftest import make_ref as ref


def touching(*paths: str):
    return commit(f"Touch {paths}", files=[{"file": path, "type": "modified"} for path in paths])


DOCS, CODE, BOTH = touching("docs/guide/a.md"), touching("src/a.py"), touching("docs/b.md", "db/c.sql")
PUSHED = payload(
    [DOCS, CODE, BOTH],
    [
        ref("main", commits=[DOCS["node"], CODE["node"]]),
        ref("release/2", commits=[BOTH["node"]]),
        ref("v2", "tag", "create", message="Two"),
    ],
)


@pytest.fixture
def mapped(tmp_path):
    """mapped(lines) -> what they say"""

    def read(lines: str):
        path = tmp_path / "recipients"
        path.write_text(lines, "utf-8")
        return rules(str(path))

    return read


def told(group: Group):
    """(recipients, first lines of their commits, names of their refs)"""
    oberon = group.payload.get("oberon") or {}
    return (
        list(group.recipients),
        [commit["message"] for commit in group.payload["commits"]],
        [moved["name"] for moved in oberon.get("refs", ())],
    )


def test_without_a_file_everybody_gets_all():
    [group] = groups(PUSHED, ["a@example.org", "b@example.org"], [])
    assert group == Group(("a@example.org", "b@example.org"), PUSHED)


@pytest.mark.parametrize(
    ("line", "commits", "refs"),
    [
        ("docs/ = w@example.org", [DOCS, BOTH], ["main", "release/2"]),
        ("path: docs/*.md = w@example.org", [DOCS, BOTH], ["main", "release/2"]),
        ("*.sql, *.py = w@example.org   # both kinds", [CODE, BOTH], ["main", "release/2"]),
        ("Docs/ = w@example.org", None, None),
        ("ref:release/* = w@example.org", [BOTH], ["release/2"]),
        ("ref: refs/tags/ = w@example.org", [], ["v2"]),
        ("repository:team/* = w@example.org", [DOCS, CODE, BOTH], ["main", "release/2", "v2"]),
        ("repository:web/* = w@example.org", None, None),
    ],
)
def test_a_line_says_who_gets_what(mapped, line, commits, refs):
    found = groups(PUSHED, [], mapped(line))
    if commits is None:
        assert found == []
        return
    assert [told(group) for group in found] == [(["w@example.org"], [one["message"] for one in commits], refs)]
    assert found[0].payload["oberon"]["total_commits"] == len(commits)
    kept = {one["node"] for one in commits}
    assert all(set(moved["commits"]) <= kept for moved in found[0].payload["oberon"]["refs"])


def test_who_gets_the_same_is_told_together_and_nobody_twice(mapped):
    lines = """
        # comment
        docs/        = w@example.org, x@example.org, ALL@example.org
        *.sql        = x@example.org, d@example.org
        ref:v*       = d@example.org
        repository:app = y@example.org
    """
    found = groups(PUSHED, ["all@example.org"], mapped(lines))
    assert [told(group)[:2] for group in found] == [
        (["all@example.org", "y@example.org"], [DOCS["message"], CODE["message"], BOTH["message"]]),
        (["w@example.org", "x@example.org"], [DOCS["message"], BOTH["message"]]),
        (["d@example.org"], [BOTH["message"]]),
    ]
    assert told(found[2])[2] == ["release/2", "v2"]
    assert PUSHED["oberon"]["total_commits"] == 3, "the payload is as it was"


def test_a_commit_whose_files_are_not_all_listed_may_be_below_any_path(mapped):
    pushed = payload([CODE], [ref(commits=[CODE["node"]])])
    pushed["oberon"]["commits"] = {CODE["raw_node"]: {"truncated": ["files"]}}
    assert [group.recipients for group in groups(pushed, [], mapped("zzz/ = z@example.org"))] == [("z@example.org",)]


@pytest.mark.parametrize(("line", "is_kept"), [("ref:main = w@example.org", True), ("ref:v2 = w@example.org", False)])
def test_the_page_that_compares_goes_with_its_ref(mapped, line, is_kept):
    moved = [ref(new="c" * 40), ref("v2", "tag", "create")]
    [group] = groups(payload([], moved, links={"repository": None, "compare": "https://h/" + "c" * 40}), [], mapped(line))
    assert (group.payload["oberon"]["links"]["compare"] is not None) == is_kept


def test_an_alert_is_for_everybody(mapped):
    alert = samples.load("alert")
    lines = mapped("docs/ = w@example.org\nref:main = x@example.org, W@example.org")
    assert [group.recipients for group in groups(alert, [], lines)] == [("w@example.org", "x@example.org")]
    assert [group.recipients for group in groups(alert, ["a@example.org"], lines)] == [("a@example.org",)]


def test_the_payload_of_2008(mapped):
    [group] = groups(samples.load("twitter-2008"), [], mapped("*.css = w@example.org\nref:* = x@example.org"))
    assert told(group) == (["w@example.org"], ["adding bump button, issue #206 fixed"], [])


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("docs/ a@example.org", ":1: 'docs/ a@example.org' is not right; write `docs/ = a@example.org`"),
        ("\n= a@example.org", ":2: '= a@example.org' is not right"),
        ("docs/ = a@b@c", ":1: 'a@b@c' is not right; write addresses one after another"),
        ("docs/ = a@example.org\x1b[2J", r"'a@example.org\\x1b[2J' is not right"),
        ("docs/ =", "'' is not right"),
    ],
)
def test_a_line_that_is_none_is_named(mapped, lines, problem):
    with pytest.raises(ConfigError, match=re.escape(problem)):
        mapped(lines)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"recipients: cannot read it: No such file or directory; write lines"):
        rules(str(tmp_path / "recipients"))


def test_a_ref_has_the_commits_that_it_brings_with_another_one(mapped):
    first, second = commit("One"), commit("Two")
    second["parents"] = [first["node"]]
    both = [first["node"], second["node"]]
    pushed = payload([first, second], [ref("main", commits=both), ref("staging", new=second["raw_node"])])
    [group] = groups(pushed, [], mapped("ref:staging = s@example.org"))
    assert [(moved["name"], moved["commits"]) for moved in group.payload["oberon"]["refs"]] == [("staging", both)]
    assert [each["branch"] for each in group.payload["commits"]] == ["staging", "staging"]
