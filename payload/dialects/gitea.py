"""Gitea's and Forgejo's webhooks: `push`, `create` and `delete`, as services/webhook/notifier.go and modules/structs/hook.go have them.

A branch that goes is told by `delete` alone, a tag by `push` and `delete` (services/repository/push.go). Commits come
newest first; `total_commits` is how many there were. `create` and `delete` have the short name, as Gitea's; Forgejo's now the full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payload.dialects import encoding, forge, github
from payload.dialects.forge import Change, Request

CONTENT_TYPE = encoding.JSON_TYPE
MAX_COMMITS = 15
"""In one `push`; of more, the newest. Forgejo's `[webhook] PAYLOAD_COMMIT_LIMIT`; Gitea sends `[ui] FEED_MAX_COMMIT_NUM`, five."""


def write(payload: Mapping[str, Any]) -> list[Request]:
    """The requests, in the order of the refs; [] if no branch or tag moved."""
    requests = []
    for change in forge.changes_of(payload):
        named = {"ref": change.name, "ref_type": "tag" if change.is_tag else "branch"}
        if change.is_new:
            requests.append(_request("create", change, payload, {"sha": change.after, **named}))
        if change.is_gone:
            requests.append(_request("delete", change, payload, {**named, "pusher_type": "user"}))
        if change.is_tag or not change.is_gone:
            requests.append(_request("push", change, payload, _push(change, payload)))
    return requests


def _push(change: Change, payload: Mapping[str, Any]) -> dict[str, Any]:
    head = forge.head_of(change, payload)
    return {
        "ref": change.ref,
        "before": change.before,
        "after": change.after,
        "compare_url": forge.compare_page(change, payload),
        "commits": [_commit(each, payload) for each in reversed(change.commits[-MAX_COMMITS:])],
        "total_commits": forge.total_commits(change, payload),
        "head_commit": _commit(head, payload) if head else None,
        "pusher": _user(str(payload.get("user") or "")),
    }


def _commit(told: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": forge.node(told),
        "message": str(told.get("message") or ""),
        "url": forge.commit_page(told, payload),
        "author": forge.person(told, payload),
        "committer": forge.person(told, payload, "committer"),
        "verification": None,
        "timestamp": forge.time(told, payload),
        **forge.files(told),
    }


def _repository(payload: Mapping[str, Any]) -> dict[str, Any]:
    """modules/structs/repo.go, the keys that are GitHub's too and mean the same; `url` does not, it is the API's (services/convert)."""
    told = github.repository(payload)
    same = ("id", "name", "full_name", "private", "fork", "html_url", "ssh_url", "clone_url")
    return {
        "owner": _user(str(payload["repository"].get("owner") or "")),
        "description": "",
        "website": str(payload["repository"].get("website") or ""),
        **{key: told[key] for key in same},
    }


def _user(login: str) -> dict[str, Any]:
    """modules/structs/user.go; `username` is written beside `login` for older receivers."""
    return {"id": forge.number(login), "login": login, "full_name": login, "email": "", "username": login}


def _request(event: str, change: Change, payload: Mapping[str, Any], body: Mapping[str, Any]) -> Request:
    identity = forge.request_id(payload, event, change.ref)
    headers = {
        f"X-{service}-{name}": value
        for service in ("Gitea", "Gogs", "GitHub")
        for name, value in (("Delivery", identity), ("Event", event), ("Event-Type", event))
    }
    sender = _user(str(payload.get("user") or ""))
    return Request(event, identity, {**body, "repository": _repository(payload), "sender": sender}, headers)
