"""What GitHub tells of a repository and of people that no push knows: addresses of its API, counts, and what is switched on.

GitHub's description of its webhooks requires these keys, so receivers that read by it refuse a body without them. The
addresses are those that a GitHub Enterprise Server has at the payload's `canon_url`; nothing answers there. Counts are 0.

Source of the names: https://github.com/github/rest-api-description, `webhooks-repository` and `simple-user`; of what stands
behind them: https://docs.github.com/en/rest/repos/repos, "Get a repository", and .../rest/users/users, "Get a user".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from payload import text
from payload.dialects import forge

_OF_REPOSITORY: Mapping[str, str] = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_OF_USER: Mapping[str, str] = {
    "events_url": "/events{/privacy}",
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "organizations_url": "/orgs",
    "received_events_url": "/received_events",
    "repos_url": "/repos",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "url": "",
}
_COUNTS = ("forks", "forks_count", "open_issues", "open_issues_count", "size", "stargazers_count", "watchers", "watchers_count")
_SWITCHES = ("archived", "disabled", "has_downloads", "has_issues", "has_pages", "has_projects", "has_wiki")
_UNKNOWN = ("language", "license", "mirror_url")


def of_repository(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Of `repository`. The times are that of the push, the only one that is known."""
    place = f"{_api(payload)}/repos/{quote(text.repair(forge.full_name(payload)))}"
    pushed_at = forge.push_time(payload)
    return {
        **{key: place + rest for key, rest in _OF_REPOSITORY.items()},
        **dict.fromkeys(_COUNTS, 0),
        **dict.fromkeys(_SWITCHES, False),
        **dict.fromkeys(_UNKNOWN),
        "created_at": pushed_at,
        "default_branch": default_branch(payload),
        "node_id": str(forge.number(forge.clone_url(payload))),
        "pushed_at": pushed_at,
        "svn_url": forge.page(payload),
        "topics": [],
        "updated_at": pushed_at,
        "url": place,
    }


def default_branch(payload: Mapping[str, Any]) -> str:
    """Mercurial's; git's, which no payload tells, is ''."""
    return "default" if payload["repository"].get("scm") == "hg" else ""


def user(login: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """A `simple-user`: the sender or the owner."""
    place = f"{_api(payload)}/users/{quote(text.repair(login), safe='')}"
    number = forge.number(login)
    return {
        **{key: place + rest for key, rest in _OF_USER.items()},
        "avatar_url": "",
        "gravatar_id": "",
        "html_url": f"{payload.get('canon_url') or ''}/{quote(text.repair(login), safe='')}",
        "id": number,
        "login": login,
        "node_id": str(number),
        "site_admin": False,
        "type": "User",
    }


def _api(payload: Mapping[str, Any]) -> str:
    return f"{payload.get('canon_url') or ''}/api/v3"
