"""GitHub's webhooks: `push` for each branch and tag that moved, `create` and `delete` for one that came or went.

https://docs.github.com/en/webhooks/webhook-events-and-payloads, and GitHub's description of its webhooks, which bodies are
valid by (https://github.com/github/rest-api-description); `github_api` has what it requires and no push knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payload.dialects import encoding, forge, github_api
from payload.dialects.forge import Change, Request

CONTENT_TYPE = encoding.JSON_TYPE
HEADERS = {"User-Agent": "GitHub-Hookshot/oberon"}
MAX_COMMITS = 2048
"""In one `push`; of more, the newest ("The array includes a maximum of 2048 commits")."""


def write(payload: Mapping[str, Any]) -> list[Request]:
    """The requests, in the order of the refs; [] if no branch or tag moved."""
    requests = []
    for change in forge.changes_of(payload):
        if change.is_new:
            requests.append(
                _request(
                    "create",
                    change,
                    payload,
                    {**_named(change), "master_branch": github_api.default_branch(payload), "description": None},
                )
            )
        if change.is_gone:
            requests.append(_request("delete", change, payload, _named(change)))
        requests.append(_request("push", change, payload, push(change, payload)))
    return requests


def push(change: Change, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `push` less `repository` and `sender`."""
    head = forge.head_of(change, payload)
    return {
        "ref": change.ref,
        "before": change.before,
        "after": change.after,
        "created": change.is_new,
        "deleted": change.is_gone,
        "forced": change.action == "rewind",
        "base_ref": None,
        "compare": forge.compare_page(change, payload),
        "commits": [commit(each, payload) for each in change.commits[-MAX_COMMITS:]],
        "head_commit": commit(head, payload) if head else None,
        "pusher": {"name": str(payload.get("user") or ""), "email": None},
    }


def commit(told: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """One of `commits`."""
    return {
        "id": forge.node(told),
        "tree_id": forge.tree(told, payload),
        "distinct": True,  # what was there before the push is not in a payload
        "message": str(told.get("message") or ""),
        "timestamp": forge.time(told, payload),  # not seen: whose; the author's, as Gitea's CommitToPushCommit has it
        "url": forge.commit_page(told, payload),
        "author": _person(told, payload, "author"),
        "committer": _person(told, payload, "committer"),
        **forge.files(told),
    }


def repository(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Of `create` and `delete`; `ssh_url` is the one address that is known."""
    told = payload["repository"]
    owner, clone, page = str(told.get("owner") or ""), forge.clone_url(payload), forge.page(payload)
    is_private = bool(told.get("is_private", True))
    return {
        **github_api.of_repository(payload),
        "id": forge.number(clone),
        "name": forge.slug(payload),
        "full_name": forge.full_name(payload),
        "private": is_private,
        "owner": github_api.user(owner, payload),
        "html_url": page,
        "description": None,
        "fork": bool(told.get("fork", False)),
        "git_url": clone,
        "ssh_url": clone,
        "clone_url": clone,
        "homepage": told.get("website") or None,
        "visibility": "private" if is_private else "public",
    }


def _request(event: str, change: Change, payload: Mapping[str, Any], body: Mapping[str, Any]) -> Request:
    identity = forge.request_id(payload, event, change.ref)
    headers = {**HEADERS, "X-GitHub-Event": event, "X-GitHub-Delivery": identity}
    told = repository(payload)
    if event == "push":  # there the page is its address, and its owner has a name
        told["url"] = told["html_url"]
        told["owner"] |= {"name": told["owner"]["login"], "email": None}
    sender = github_api.user(str(payload.get("user") or ""), payload)
    return Request(event, identity, {**body, "repository": told, "sender": sender}, headers)


def _named(change: Change) -> dict[str, Any]:
    return {"ref": change.name, "ref_type": "tag" if change.is_tag else "branch", "pusher_type": "user"}


def _person(told: Mapping[str, Any], payload: Mapping[str, Any], who: str) -> dict[str, Any]:
    """GitHub leaves `username` out where it knows none."""
    return {key: value for key, value in forge.person(told, payload, who).items() if value or key != "username"}
