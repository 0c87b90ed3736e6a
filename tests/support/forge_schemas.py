"""What the requests of GitHub's, Gitea's and GitLab's webhooks look like, as JSON Schemas that allow no other names.

Written down from the pages and sources that each names; of the names there, those that a self-hosted repository can fill.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
NAME = {"type": "string", "minLength": 1}
NUMBER = {"type": "integer", "minimum": 0}
FLAG = {"type": "boolean"}
NOTHING = {"type": "null"}
NODE = {"type": "string", "pattern": "^[0-9a-f]{40}$"}
ADDRESS = {"type": "string", "pattern": "^https://[^ ]+[^/ ]$"}
MOMENT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)$"}
PATHS = {"type": "array", "items": NAME}
FULL_REF = {"type": "string", "pattern": "^refs/(heads|tags)/."}


def closed(*optional: str, **properties: Any) -> dict[str, Any]:
    """An object with these properties, of which only `optional` may be missing."""
    required = sorted(properties.keys() - set(optional))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def many(items: Any, at_most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": at_most}


def either(*schemas: Any) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


# https://github.com/octokit/webhooks, payload-schemas/api.github.com: push, create, delete.
_GITHUB_PERSON = closed("username", name=TEXT, email=TEXT, username=NAME)
_GITHUB_COMMIT = closed(
    id=NODE,
    tree_id=either(NODE, {"const": ""}),
    distinct=FLAG,
    message=TEXT,
    timestamp=MOMENT,
    url=ADDRESS,
    author=_GITHUB_PERSON,
    committer=_GITHUB_PERSON,
    added=PATHS,
    removed=PATHS,
    modified=PATHS,
)
# Of these two, and all the rest, test_forges asks GitHub's own description.
_GITHUB_COMMON = {"repository": {"type": "object"}, "sender": {"type": "object"}}
_GITHUB_REF = {"ref": NAME, "ref_type": {"enum": ["branch", "tag"]}, "pusher_type": {"const": "user"}}
GITHUB = {
    "push": closed(
        ref=FULL_REF,
        before=NODE,
        after=NODE,
        created=FLAG,
        deleted=FLAG,
        forced=FLAG,
        base_ref=NOTHING,
        compare=ADDRESS,
        commits=many(_GITHUB_COMMIT, 2048),
        head_commit=either(_GITHUB_COMMIT, NOTHING),
        pusher=closed(name=TEXT, email=NOTHING),
        **_GITHUB_COMMON,
    ),
    "create": closed(**_GITHUB_REF, master_branch=TEXT, description=NOTHING, **_GITHUB_COMMON),
    "delete": closed(**_GITHUB_REF, **_GITHUB_COMMON),
}

# https://github.com/go-gitea/gitea, modules/structs/hook.go (PushPayload, CreatePayload, DeletePayload, PayloadCommit,
# PayloadUser), repo.go (Repository) and user.go (User), less the addresses of its API. 15: Forgejo's modules/setting/webhook.go.
_GITEA_PERSON = closed(name=TEXT, email=TEXT, username=TEXT)
_GITEA_COMMIT = closed(
    id=NODE,
    message=TEXT,
    url=ADDRESS,
    author=_GITEA_PERSON,
    committer=_GITEA_PERSON,
    verification=NOTHING,
    timestamp=MOMENT,
    added=PATHS,
    removed=PATHS,
    modified=PATHS,
)
_GITEA_USER = closed(id=NUMBER, login=TEXT, full_name=TEXT, email=TEXT, username=TEXT)
_GITEA_COMMON = {
    "repository": closed(
        id=NUMBER,
        owner=_GITEA_USER,
        name=NAME,
        full_name=NAME,
        description=TEXT,
        website=TEXT,
        private=FLAG,
        fork=FLAG,
        html_url=ADDRESS,
        ssh_url=ADDRESS,
        clone_url=ADDRESS,
    ),
    "sender": _GITEA_USER,
}
_GITEA_REF = {"ref": NAME, "ref_type": {"enum": ["branch", "tag"]}}
GITEA = {
    "push": closed(
        ref=FULL_REF,
        before=NODE,
        after=NODE,
        compare_url=ADDRESS,
        commits=many(_GITEA_COMMIT, 15),
        total_commits=NUMBER,
        head_commit=either(_GITEA_COMMIT, NOTHING),
        pusher=_GITEA_USER,
        **_GITEA_COMMON,
    ),
    "create": closed(sha=NODE, **_GITEA_REF, **_GITEA_COMMON),
    "delete": closed(**_GITEA_REF, pusher_type={"const": "user"}, **_GITEA_COMMON),
}

# https://docs.gitlab.com/user/project/integrations/webhook_events/ ("Push events", "Tag events"), and `message` and
# `push_options` of GitLab's lib/gitlab/data_builder/push.rb.
_GITLAB_REPOSITORY = {
    "name": NAME,
    "url": ADDRESS,
    "description": TEXT,
    "homepage": ADDRESS,
    "git_http_url": ADDRESS,
    "git_ssh_url": ADDRESS,
    "visibility_level": {"enum": [0, 10, 20]},
}


def _gitlab(kind: str, ref: str) -> dict[str, Any]:
    return closed(
        object_kind={"const": kind},
        event_name={"const": kind},
        before=NODE,
        after=NODE,
        ref={"type": "string", "pattern": ref},
        ref_protected=FLAG,
        checkout_sha=either(NODE, NOTHING),
        message=either(TEXT, NOTHING),
        user_id=NUMBER,
        user_name=TEXT,
        user_username=TEXT,
        user_email=TEXT,
        user_avatar=NOTHING,
        project_id=NUMBER,
        project=closed(
            **_GITLAB_REPOSITORY,
            id=NUMBER,
            web_url=ADDRESS,
            avatar_url=NOTHING,
            namespace=TEXT,
            path_with_namespace=NAME,
            ssh_url=ADDRESS,
            http_url=ADDRESS,
        ),
        commits=many(
            closed(
                id=NODE,
                message=TEXT,
                title=TEXT,
                timestamp=MOMENT,
                url=ADDRESS,
                author=closed(name=TEXT, email=TEXT),
                added=PATHS,
                modified=PATHS,
                removed=PATHS,
            ),
            20,
        ),
        total_commits_count=NUMBER,
        push_options={"type": "object"},
        repository=closed(**_GITLAB_REPOSITORY),
    )


GITLAB = {"Push Hook": _gitlab("push", "^refs/heads/."), "Tag Push Hook": _gitlab("tag_push", "^refs/tags/.")}

SCHEMAS = {"github": GITHUB, "gitea": GITEA, "gitlab": GITLAB}
"""Dialect -> event -> schema."""
