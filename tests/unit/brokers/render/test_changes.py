from __future__ import annotations

import json

import pytest

from brokers.render.changes import changes
from payload import samples


def test_a_change_says_all_that_the_payload_does():
    payload = samples.load("git-push")
    first, last = changes(payload, 100)
    assert last == {
        "author": "Jürgen Müller <jm@example.net>",
        "committer": last["committer"],
        "comments": "Prüfungen ziehen um\n",
        "revision": "a52e869ce8b9699205175451581a75a1eeb6a562",
        "branch": "main",
        "files": json.dumps(["Grüner Tee.txt", "src/test_kettle.py", "tests/test_kettle.py"]),
        "when_timestamp": "1774746300.0",
        "revlink": "https://git.example.org/team/kettle/commit/a52e869ce8b9699205175451581a75a1eeb6a562",
        "repository": "https://git.example.org/team/kettle/",
        "properties": json.dumps({"scm": "git", "pusher": "ada", "oberon_event": payload["oberon"]["event"]}),
    }
    assert first["committer"] == "Ada Byron <ada@example.org>"


def test_a_branch_that_came_to_a_known_commit_is_a_change_by_its_pusher():
    payload = samples.load("git-new-branch")
    payload["commits"] = []
    payload["oberon"]["refs"][0]["commits"] = []
    [change] = changes(payload, 100)
    assert (change["author"], change["branch"], change["files"]) == ("ada", "feature/whistle", "[]")
    assert change["comments"] == "branch feature/whistle created"
    assert change["revision"] == payload["oberon"]["refs"][0]["new"]


@pytest.mark.parametrize("sample", ["git-delete", "git-tag", "hg-bookmark", "alert"])
def test_what_is_no_branch_is_no_change(sample):
    assert changes(samples.load(sample), 100) == []


@pytest.mark.parametrize(
    ("at_most", "expected"), [(9, "0123ab"), (6, "0123ab"), (5, "123ab"), (4, "13ab"), (3, "3ab"), (2, "ab"), (1, "b")]
)
def test_of_more_commits_the_last_of_each_branch_are_kept_before_the_newest(at_most, expected):
    payload = samples.load("git-push")
    commit, [ref] = payload["commits"][0], payload["oberon"]["refs"]
    nodes = [*"0123", *"ab"]
    payload["commits"] = [{**commit, "node": node, "raw_node": node, "branch": f"on {node}"} for node in nodes]
    brought = {"first": ["0", "1"], "second": ["2", "3"], "third": ["a"], "fourth": ["b"]}
    # The last of the first branch is older than all of the others.
    payload["oberon"]["refs"] = [{**ref, "name": name, "commits": commits} for name, commits in brought.items()]
    assert "".join(change["revision"] for change in changes(payload, at_most)) == expected


def test_a_payload_of_2008_and_hostile_text_come_through():
    payload = samples.load("twitter-2008")
    assert [change["revision"] for change in changes(payload, 9)] == [commit["node"] for commit in payload["commits"]]
    payload["commits"] = [{"node": "1" * 12, "message": "\udc80\ud800\r\n\x00", "files": [{"file": "\udce4", "type": "added"}]}]
    [change] = changes(payload, 9)
    change["comments"].encode("utf-8")
    assert json.loads(change["files"]) == ["\ufffd"]
