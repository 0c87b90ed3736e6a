"""The issues of Jira, over version 2 of its REST API, which Cloud and Data Center have in common.

Sources: Atlassian's "Jira REST API Example - Add Comment"; "Get transitions" and "Transition issue" of the platform's REST API v2; "Basic
auth for REST APIs" (Cloud) and "Using Personal Access Tokens" (Data Center).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.trackers.tracker import Found, told_only
from brokers.trackers.verbs import Action
from brokers.transport.rest import Rest, listed, part, value


class JiraIssues:
    """The issues of a server."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """As the settings say: `url`, `token`, `user` for Cloud, and the names of transitions."""
        user, token = settings.get("user"), settings["token"]
        login = {} if user else {"Authorization": f"Bearer {token}"}
        self.server = Rest(settings["url"].rstrip("/") + "/rest/api/2", login, (user, token) if user else None)
        self.transitions = {Action.CLOSE: settings["close-transition"], Action.REOPEN: settings["reopen-transition"]}

    def find(self, key: str) -> Found | None:
        """With its comments, as many as Jira tells at once."""
        answer = self.server.request("GET", _path(key), query={"fields": "status,comment"})
        if self.server.is_missing(answer, f"/project/{part(key.rpartition('-')[0])}"):
            return None
        fields = _inner(value(answer, dict), "fields")
        category = _inner(_inner(fields, "status"), "statusCategory").get("key")
        comments = [str(each.get("body") or "") for each in listed(_inner(fields, "comment"), "comments")]
        return Found(comments, None if category is None else category != "done")

    def update(self, key: str, said: str, action: Action | None) -> str:
        """The comment first: it is right whatever the workflow lets one do."""
        if said:
            self.server.tell("POST", f"{_path(key)}/comment", {"body": said})
        wanted = self.transitions.get(action, "") if action else ""
        if not wanted:
            return told_only(said) if action else ""
        place = f"{_path(key)}/transitions"
        known = listed(value(self.server.request("GET", place), dict), "transitions")
        chosen = next((row for row in known if str(row.get("name")).casefold() == wanted.casefold()), None)
        if chosen is None:
            return f"{told_only(said)}, but now without a transition {wanted}"
        self.server.tell("POST", place, {"transition": {"id": str(chosen.get("id"))}})
        return ""


def _path(key: str) -> str:
    return f"/issue/{part(key)}"


def _inner(of: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = of.get(key)
    return found if isinstance(found, Mapping) else {}
