"""GitLab's webhooks: `Push Hook` for each branch that moved, `Tag Push Hook` for each tag.

https://docs.gitlab.com/user/project/integrations/webhook_events/ and lib/gitlab/data_builder/push.rb,
app/services/web_hook_service.rb of GitLab. A ref that came or went is told by the zeros in `before` or `after`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payload.dialects import encoding, forge
from payload.dialects.forge import Change, Request

CONTENT_TYPE = encoding.JSON_TYPE
HEADERS = {"User-Agent": "GitLab/oberon"}
MAX_COMMITS = 20
"""In one request; of more, the newest. `total_commits_count` has how many there were."""

_PRIVATE, _PUBLIC = 0, 20  # `visibility_level`
_HOOKS = {"push": "Push Hook", "tag_push": "Tag Push Hook"}


def write(payload: Mapping[str, Any]) -> list[Request]:
    """The requests, in the order of the refs; [] if no branch or tag moved."""
    return [_request(change, payload) for change in forge.changes_of(payload)]


def _request(change: Change, payload: Mapping[str, Any]) -> Request:
    kind = "tag_push" if change.is_tag else "push"
    identity = forge.request_id(payload, kind, change.ref)
    user, project = str(payload.get("user") or ""), _project(payload)
    body = {
        "object_kind": kind,
        "event_name": kind,
        "before": change.before,
        "after": change.after,
        "ref": change.ref,
        "ref_protected": False,
        # Of an annotated tag GitLab's is its commit, which no payload has.
        "checkout_sha": None if change.is_gone else change.after,
        "message": change.message,
        "user_id": forge.number(user),
        "user_name": user,
        "user_username": user,
        "user_email": "",
        "user_avatar": None,
        "project_id": project["id"],
        "project": project,
        "commits": [_commit(each, payload) for each in change.commits[-MAX_COMMITS:]],
        "total_commits_count": forge.total_commits(change, payload),
        "push_options": _options((payload.get("oberon") or {}).get("options") or ()),
        "repository": {
            key: project[key]
            for key in ("name", "url", "description", "homepage", "git_http_url", "git_ssh_url", "visibility_level")
        },
    }
    headers = {**HEADERS, "X-Gitlab-Event": _HOOKS[kind], "X-Gitlab-Event-UUID": identity, "Idempotency-Key": identity}
    server = str(payload.get("canon_url") or "")
    if server and server.isascii():
        headers["X-Gitlab-Instance"] = server
    return Request(_HOOKS[kind], identity, body, headers)


def _commit(told: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    message = str(told.get("message") or "")
    author = forge.person(told, payload)
    return {
        "id": forge.node(told),
        "message": message,
        "title": message.strip().partition("\n")[0].strip(),  # whole; GitLab cuts a long one
        "timestamp": forge.time(told, payload, "committer"),
        "url": forge.commit_page(told, payload),
        "author": {"name": author["name"], "email": author["email"]},
        **forge.files(told),
    }


def _project(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The one address that is known stands for ssh and for http."""
    repository, clone, page = payload["repository"], forge.clone_url(payload), forge.page(payload)
    return {
        "id": forge.number(clone),
        "name": str(repository.get("name") or forge.slug(payload)),
        "description": "",
        "web_url": page,
        "avatar_url": None,
        "git_ssh_url": clone,
        "git_http_url": clone,
        "namespace": str(repository.get("owner") or ""),
        "visibility_level": _PRIVATE if repository.get("is_private", True) else _PUBLIC,
        "path_with_namespace": forge.full_name(payload),
        "homepage": page,
        "url": clone,
        "ssh_url": clone,
        "http_url": clone,
    }


def _options(options: Any) -> dict[str, dict[str, Any]]:
    """`ci.skip` and `ci.variable=A` as GitLab nests them; those without a dot are none of GitLab's."""
    nested: dict[str, dict[str, Any]] = {}
    for option in options:
        name, equals, value = str(option).partition("=")
        group, dot, key = name.partition(".")
        if dot and key:
            nested.setdefault(group, {})[key] = value if equals else True
    return nested
