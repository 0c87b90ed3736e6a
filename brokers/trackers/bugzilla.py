"""The bugs of Bugzilla, over its REST API.

Sources: Bugzilla's docs/en/rst/api/core/v1: general.rst, bug.rst (Get Bug, Update Bug) and comment.rst.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from brokers.trackers.tracker import Found, since
from brokers.trackers.verbs import Action
from brokers.transport import http
from brokers.transport.rest import JSON, Rest, listed, part, value

_NOT_TO_BE_HAD = (100, 101, 102)
"""`code` of an error: no such alias, no such bug, a bug that the login may not see."""


class Bugs:
    """The bugs of a server."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        """As the payload's settings say: `url`, `key`, and what closing and reopening set."""
        settings = payload["service"]
        # "On every request, you must set both the Accept and Content-Type": general.rst.
        self.server = Rest(
            settings["url"].rstrip("/") + "/rest/bug", {"X-BUGZILLA-API-KEY": settings["key"], "Content-Type": JSON}
        )
        self.states = {
            Action.CLOSE: {"status": settings["closed-status"], "resolution": settings["resolution"]},
            Action.REOPEN: {"status": settings["reopened-status"]},
        }
        self.newest = since(payload, "new_since")

    def find(self, key: str) -> Found | None:
        """With the comments since shortly before the push."""
        answer = self.server.request("GET", f"/{part(key)}", query={"include_fields": "id,is_open"})
        if _error_code(answer) in _NOT_TO_BE_HAD:
            return None
        bugs = listed(value(answer, dict), "bugs")
        told = value(self.server.request("GET", f"/{part(key)}/comment", query=self.newest), dict).get("bugs")
        of_bug = told.get(key) if isinstance(told, Mapping) else None
        comments = listed(of_bug, "comments") if isinstance(of_bug, Mapping) else []
        return Found([str(each.get("text") or "") for each in comments], bugs[0].get("is_open") if bugs else None)

    def update(self, key: str, said: str, action: Action | None) -> str:
        """Comment and status in one request."""
        if action:
            comment = {"comment": {"body": said}} if said else {}
            self.server.tell("PUT", f"/{part(key)}", {**self.states[action], **comment})
        else:
            self.server.tell("POST", f"/{part(key)}/comment", {"comment": said})
        return ""


def _error_code(answer: http.Response) -> int | None:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    code = said.get("code") if isinstance(said, Mapping) and said.get("error") else None
    return code if isinstance(code, int) else None
