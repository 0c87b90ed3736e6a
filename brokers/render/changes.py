"""A push as changes, the way Buildbot has them: one for each commit, and one for a branch that came without any."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from brokers.render.body import web_address
from brokers.render.heads import Head, heads
from brokers.render.subject import ref_words
from payload import text


def changes(payload: Mapping[str, Any], max_changes: int) -> list[dict[str, str]]:
    """The fields of at most `max_changes` changes, oldest first, as Buildbot's hook `base` takes them in a form.

    Of more commits the last of each branch and the newest. What the payload does not know is left out.
    Source: buildbot.www.hooks.base, and the manual's "Change Attributes".
    """
    commits, pushed = payload["commits"], heads(payload)
    known = [_of_head(payload, head) for head in pushed if not head.commits][:max_changes]
    last = {id(head.commits[-1]) for head in pushed if head.commits}
    by_rank = sorted(range(len(commits)), key=lambda at: (id(commits[at]) in last, at))
    chosen = sorted(by_rank[max(0, len(commits) + len(known) - max_changes) :])
    return [_of_commit(payload, commits[at]) for at in chosen] + known


def _of_commit(payload: Mapping[str, Any], commit: Mapping[str, Any]) -> dict[str, str]:
    details = ((payload.get("oberon") or {}).get("commits") or {}).get(commit.get("raw_node")) or {}
    committer = details.get("committer") or {}
    return _fields(
        payload,
        author=commit.get("raw_author") or commit.get("author"),
        committer=f"{committer['name']} <{committer['email']}>" if committer.get("email") else None,
        comments=commit.get("message"),
        revision=commit.get("raw_node") or commit.get("node"),
        branch=commit.get("branch"),
        files=json.dumps([text.repair(file["file"]) for file in commit.get("files") or ()]),
        when_timestamp=_unix_s(commit.get("utctimestamp")),
        revlink=details.get("url"),
    )


def _of_head(payload: Mapping[str, Any], head: Head) -> dict[str, str]:
    return _fields(
        payload,
        author=payload.get("user") or "unknown",
        comments=ref_words(head.ref),
        revision=head.node,
        branch=head.branch,
        files="[]",
        when_timestamp=_unix_s((payload.get("oberon") or {}).get("time")),
    )


def _fields(payload: Mapping[str, Any], **fields: Any) -> dict[str, str]:
    oberon = payload.get("oberon") or {}
    about = {"scm": payload["repository"].get("scm"), "pusher": payload.get("user"), "oberon_event": oberon.get("event")}
    properties = json.dumps({name: value for name, value in about.items() if value})
    told = {"repository": web_address(payload), **fields, "properties": properties}
    return {name: text.repair(str(value)) for name, value in told.items() if value not in (None, "")}


def _unix_s(moment: str | None) -> float | None:
    return datetime.fromisoformat(moment).timestamp() if moment else None
