"""commit(...), ref(...) and payload(...): what a broker receives, of which a test says only what it is about."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

EVENT = "0123456789abcdef0123456789abcdef"


def make_commit(message: str = "Fix the thing\n\nIt was broken.\n", **keys: Any) -> dict[str, Any]:
    node = hashlib.sha1((message + repr(keys)).encode("utf-8", "surrogatepass")).hexdigest()
    made = {
        "node": node[:12],
        "raw_node": node,
        "parents": [],
        "author": "ann",
        "raw_author": "Ann Example <ann@example.org>",
        "branch": "main",
        "message": message,
        "revision": 7,
        "size": 684,
        "timestamp": "2024-05-06 07:08:09",
        "utctimestamp": "2024-05-06 05:08:09+00:00",
        "files": [{"file": "src/a.py", "type": "modified"}, {"file": "b.txt", "type": "added"}, {"file": "c", "type": "removed"}],
    }
    return {**made, **keys}


def make_ref(name: str = "main", kind: str = "branch", action: str = "update", **keys: Any) -> dict[str, Any]:
    prefix = {"branch": "refs/heads/", "tag": "refs/tags/", "other": "refs/pull/"}.get(kind, "")
    return {
        "ref": prefix + name,
        "name": name,
        "kind": kind,
        "action": action,
        "old": None if action == "create" else "a" * 40,
        "new": None if action == "delete" else "b" * 40,
        "commits": [],
        "dropped": 0,
        **keys,
    }


def make_payload(commits: list[dict[str, Any]], refs: list[dict[str, Any]] | None = None, **oberon: Any) -> dict[str, Any]:
    return {
        "broker": "email",
        "service": {},
        "repository": {
            "absolute_url": "/team/app/",
            "name": "The App",
            "owner": "team",
            "slug": "app",
            "website": "https://git.example.org/",
            "scm": "git",
            "fork": False,
            "is_private": True,
        },
        "commits": commits,
        "canon_url": "https://git.example.org",
        "user": "pia",
        "truncated": False,
        "oberon": {
            "version": 1,
            "event": EVENT,
            "time": "2024-05-06T05:10:00.000+00:00",
            "refs": [make_ref()] if refs is None else refs,
            "total_commits": len(commits),
            "links": {"repository": None, "compare": None},
            "commits": {},
            **oberon,
        },
    }


@pytest.fixture
def commit():
    return make_commit


@pytest.fixture
def ref():
    return make_ref


@pytest.fixture
def payload():
    return make_payload
