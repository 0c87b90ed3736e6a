"""The issues of forges: what each calls things in its API.

Sources: the API description of Gitea and Forgejo (their routers/api/v1/repo/issue.go and issue_comment.go, shown at /api/swagger);
GitLab's doc/api/issues.md and doc/api/notes.md; GitHub's "REST API endpoints for issues" and "... for issue comments".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from brokers.errors import ConfigError
from brokers.trackers.tracker import Found, since
from brokers.trackers.verbs import Action
from brokers.transport.rest import Rest, part, value


@dataclass(frozen=True, slots=True)
class Forge:
    """One kind of forge."""

    api: str
    """What follows the server's address."""
    login: Callable[[str], Mapping[str, str]]
    """Token -> headers."""
    project: Callable[[str], str] = lambda project: f"/repos/{'/'.join(map(part, project.split('/')))}"
    """`owner/name` -> path of the project."""
    comments: str = "comments"
    """Last part of the path of an issue's comments."""
    count: str = "comments"
    """Key of an issue: how many comments it has."""
    open: str = "open"
    """What the `state` of an issue is then."""
    method: str = "PATCH"
    """Of an update."""
    states: Mapping[Action, Mapping[str, str]] = field(
        default_factory=lambda: {Action.CLOSE: {"state": "closed"}, Action.REOPEN: {"state": "open"}}
    )
    """What an update says."""
    newest: Callable[[Mapping[str, Any]], Mapping[str, str]] = since
    """Payload -> the query for the comments that may be of an earlier attempt."""


_GITEA = Forge("/api/v1", lambda token: {"Authorization": f"token {token}"})

FORGES: Mapping[str, Forge] = {
    "gitea": _GITEA,
    "forgejo": _GITEA,
    "gitlab": Forge(
        "/api/v4",
        lambda token: {"PRIVATE-TOKEN": token},
        project=lambda project: f"/projects/{part(project)}",
        comments="notes",
        count="user_notes_count",
        open="opened",
        method="PUT",
        states={Action.CLOSE: {"state_event": "close"}, Action.REOPEN: {"state_event": "reopen"}},
        newest=lambda _: {"sort": "desc", "order_by": "created_at", "per_page": "100"},
    ),
    "github": Forge(
        "",
        lambda token: {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        newest=lambda payload: {**since(payload), "per_page": "100"},
    ),
}
"""Kind, as a configuration names it -> what it calls things."""


class ForgeIssues:
    """The issues of one project."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        """As the payload's settings say: `kind`, `url`, `token`, and `project`, else the repository's own name.

        Raises ConfigError for what can be no project.
        """
        settings = payload["service"]
        self.forge = FORGES[settings["kind"]]
        self.server = Rest(settings["url"].rstrip("/") + self.forge.api, self.forge.login(settings["token"]))
        self.project = self.forge.project(_project(settings, payload["repository"]))
        self.newest = self.forge.newest(payload)

    def find(self, key: str) -> Found | None:
        """Its comments are asked for only if it has some."""
        answer = self.server.request("GET", self._path(key))
        if self.server.is_missing(answer, self.project):
            return None
        issue = value(answer, dict)
        comments = (
            value(self.server.request("GET", self._comments(key), query=self.newest), list) if issue.get(self.forge.count) else []
        )
        state = issue.get("state")
        return Found(
            [str(each.get("body")) for each in comments if isinstance(each, Mapping)],
            None if state is None else state == self.forge.open,
        )

    def update(self, key: str, said: str, action: Action | None) -> str:
        """The comment first, so that who is told of the closing finds why."""
        if said:
            self.server.tell("POST", self._comments(key), {"body": said})
        if action:
            self.server.tell(self.forge.method, self._path(key), self.forge.states[action])
        return ""

    def _path(self, key: str) -> str:
        return f"{self.project}/issues/{key}"

    def _comments(self, key: str) -> str:
        return f"{self._path(key)}/{self.forge.comments}"


def _project(settings: Mapping[str, Any], repository: Mapping[str, Any]) -> str:
    project = str(settings.get("project") or f"{repository.get('owner')}/{repository.get('slug')}").strip("/")
    if {"", ".", ".."}.intersection(project.split("/")):
        raise ConfigError(f"{project!r} is no project", setting="project", remedy="write it as owner/name")
    return project
