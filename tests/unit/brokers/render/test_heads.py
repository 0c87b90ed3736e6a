from __future__ import annotations

import pytest

from brokers.errors import ConfigError
from brokers.render.heads import heads, repository_address
from payload import samples


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("git-push", [("main", "a52e869ce8b9", 2)]),
        ("git-rewind", [("main", "6e398435b431", 1)]),
        ("git-new-branch", [("feature/whistle", "406018390686", 1)]),
        ("git-truncated", [("main", "e27ac11f6d7f", 2)]),
        ("git-delete", []),
        ("git-tag", []),
        ("git-lightweight-tag", []),
        ("hg-bookmark", []),
        ("hg-two-branches", [("stable", "71cc52335a06", 1), ("default", "0fec9ae38869", 1)]),
        ("alert", []),
        ("twitter-2008", []),
    ],
)
def test_the_branches_that_moved_and_are_still_there(sample, expected):
    found = [(head.branch, head.node[:12], len(head.commits)) for head in heads(samples.load(sample))]
    assert found == expected


def test_a_branch_of_another_commit_has_what_its_ref_says():
    payload = samples.load("git-push")
    first, second = payload["commits"]
    [ref] = payload["oberon"]["refs"]
    payload["oberon"]["refs"] = [
        {**ref, "name": "old", "action": "create", "new": first["raw_node"], "commits": [first["node"]]},
        {**ref, "name": "made", "action": "create", "commits": []},
        {**ref, "name": "gone", "action": "delete", "new": None, "commits": []},
    ]
    old, made = heads(payload)
    assert [commit["node"] for commit in old.commits] == [first["node"]]
    assert (made.node, made.commits) == (second["raw_node"], [])
    assert (old.values["branch"], old.values["action"], old.values["new"]) == ("old", "create", first["raw_node"])


def test_a_payload_of_2008_has_the_branches_of_its_commits():
    payload = samples.load("hg-two-branches")
    del payload["oberon"]
    assert [(head.branch, head.node, head.values) for head in heads(payload)] == [
        (commit["branch"], commit["raw_node"], {"branch": commit["branch"], "new": commit["raw_node"]})
        for commit in payload["commits"]
    ]


def test_the_repository_is_known_by_its_page_or_as_the_service_says():
    payload = samples.load("git-push")
    assert repository_address(payload, None) == "https://git.example.org/team/kettle/"
    assert repository_address(payload, "ssh://git@git.example.org/${repository.path}.git") == (
        "ssh://git@git.example.org/team/kettle.git"
    )
    payload["oberon"]["links"]["repository"] = None
    payload |= {"canon_url": ""}
    payload["repository"]["website"] = ""
    with pytest.raises(ConfigError, match="canonUrl"):
        repository_address(payload, "")
