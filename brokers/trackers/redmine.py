"""The issues of Redmine, over its REST API.

Sources: Redmine's wiki, "Rest api" and "Rest Issues"; of 5.0 app/controllers/issues_controller.rb and app/views/issues/show.api.rsb.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.trackers.tracker import Found, told_only
from brokers.trackers.verbs import Action
from brokers.transport.rest import Rest, listed, value

_OF_THE_LOGIN = "/users/current.json"


class RedmineIssues:
    """The issues of a server."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """As the settings say: `url`, `token`, and the numbers of the statuses, `closed-status` and `reopened-status`."""
        self.server = Rest(settings["url"].rstrip("/"), {"X-Redmine-API-Key": settings["token"]})
        self.statuses = {Action.CLOSE: settings.get("closed-status"), Action.REOPEN: settings.get("reopened-status")}

    def find(self, key: str) -> Found | None:
        """With all of its notes. Before Redmine 5.0 it does not say whether its status is one that closes."""
        answer = self.server.request("GET", _path(key), query={"include": "journals"})
        if self.server.is_missing(answer, _OF_THE_LOGIN):
            return None
        issue = value(answer, dict).get("issue")
        issue = issue if isinstance(issue, Mapping) else {}
        status = issue.get("status")
        is_closed = status.get("is_closed") if isinstance(status, Mapping) else None
        notes = [str(journal.get("notes") or "") for journal in listed(issue, "journals")]
        return Found(notes, None if is_closed is None else not is_closed)

    def update(self, key: str, said: str, action: Action | None) -> str:
        """Note and status in one request. Redmine keeps the old status without a word where its workflow knows no way."""
        status = self.statuses.get(action) if action else None
        changes = {**({"notes": said} if said else {}), **({"status_id": status} if status else {})}
        if changes:
            self.server.tell("PUT", _path(key), {"issue": changes})
        return told_only(said) if action and not status else ""


def _path(key: str) -> str:
    return f"/issues/{key}.json"
