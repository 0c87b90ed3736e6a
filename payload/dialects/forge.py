"""What the webhooks of GitHub, Gitea and GitLab have in common: one request per ref that moved, and the facts it is made of.

Forges tell of branches and tags; Mercurial's named branches and bookmarks are branches to them, notes and other refs nothing.
What a forge counts (ids) is made of names here, so that it stays the same; what nobody knows is empty, null or left out.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from payload import text
from payload.push import Person

_PREFIXES = {"branch": "refs/heads/", "bookmark": "refs/heads/", "tag": "refs/tags/"}
_FIRST_BRANCH = {"hg": "default", "git": "master"}  # of a commit that names none, as in payloads of 2008
_SHA1_DIGITS = 40
_ID_BITS = 31  # a positive `int` in every language
_EPOCH = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a webhook."""

    event: str
    """As the service names it: `push`, `create`, `Tag Push Hook`; '' where it has no name."""
    id: str
    """A UUID: the same for each attempt, another for each request of a push."""
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those of the service but Content-Type and signatures."""


@dataclass(frozen=True, slots=True)
class Change:
    """A branch or tag that moved."""

    ref: str
    """With its refs/heads/ or refs/tags/."""
    name: str
    is_tag: bool
    action: str
    """create, update, rewind or delete."""
    before: str
    """All hex digits, zeros where it was not there; of a payload of 2008 as many as that has."""
    after: str
    commits: Sequence[Mapping[str, Any]]
    """Of the payload's, which it brought; oldest first."""
    message: str | None = None
    """Of an annotated tag."""
    tagger: Mapping[str, Any] | None = None
    """Likewise."""

    @property
    def is_new(self) -> bool:
        """Whether the push made it."""
        return self.action == "create"

    @property
    def is_gone(self) -> bool:
        """Whether the push deleted it."""
        return self.action == "delete"


def changes_of(payload: Mapping[str, Any]) -> list[Change]:
    """What moved, in the payload's order; without `oberon.refs` one branch for each that the commits name. [] of an alert."""
    oberon = payload.get("oberon") or {}
    if "refs" not in oberon:
        return _by_branch(payload)
    by_node = {commit.get("node"): commit for commit in payload["commits"]}
    return [_change(ref, by_node) for ref in oberon["refs"] if ref.get("kind") in _PREFIXES]


def head_of(change: Change, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The commit that the ref is at now; None when it is gone.

    What the payload does not tell, since it was known before or a filter left it out, is made up from the tag, or from
    the push: a receiver that builds wants the revision.
    """
    if change.is_gone:
        return None
    for commit in payload["commits"]:
        if change.after in (commit.get("raw_node"), commit.get("node")):
            return dict(commit)
    if change.is_tag and change.commits:  # annotated: it is at an object of its own
        return change.commits[-1]
    tagger = change.tagger or {"name": str(payload.get("user") or ""), "email": "", "date": None}
    return {
        "raw_node": change.after,
        "message": change.message or "",
        "author": str(tagger["name"]),
        "raw_author": f"{tagger['name']} <{tagger['email']}>",
        "utctimestamp": tagger["date"],
        "files": [],
    }


def node(commit: Mapping[str, Any]) -> str:
    """All hex digits that the payload has."""
    return str(commit.get("raw_node") or commit.get("node") or "")


def person(commit: Mapping[str, Any], payload: Mapping[str, Any], who: str = "author") -> dict[str, str]:
    """`name`, `email` and `username` of the `author` or `committer`; the last '' if nobody knows the login."""
    told = _details(commit, payload).get(who)
    if told is None:  # Mercurial has no committer, and payloads of 2008 have no details
        parsed = Person.parse(str(commit.get("raw_author") or commit.get("author") or ""))
        told, who = {"name": parsed.name, "email": parsed.email}, "author"
    author = str(commit.get("author") or "")
    is_login = who == "author" and author not in (told["name"], str(commit.get("raw_author") or ""))
    return {"name": told["name"] or author, "email": told["email"], "username": author if is_login else ""}


def time(commit: Mapping[str, Any], payload: Mapping[str, Any], who: str = "author") -> str:
    """RFC 3339 with an offset, of the `author` or `committer`; of the push if the commit tells none."""
    told = (_details(commit, payload).get(who) or {}).get("date") or commit.get("utctimestamp")
    return str(told).replace(" ", "T") if told else push_time(payload)


def push_time(payload: Mapping[str, Any]) -> str:
    """RFC 3339, when it was pushed; 1970 if the payload cannot tell."""
    return str((payload.get("oberon") or {}).get("time") or _EPOCH)


def tree(commit: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    """All hex digits of its tree or manifest; '' if the payload cannot tell."""
    return str(_details(commit, payload).get("tree") or "")


def files(commit: Mapping[str, Any]) -> dict[str, list[str]]:
    """Paths by what happened to them: `added`, `removed`, `modified`."""
    sorts: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}
    for change in commit.get("files") or ():
        sorts[change["type"]].append(change["file"])
    return sorts


def page(payload: Mapping[str, Any]) -> str:
    """The repository's page, without a slash at its end; '' if the payload cannot tell."""
    known = ((payload.get("oberon") or {}).get("links") or {}).get("repository")
    return str(known or clone_url(payload)).rstrip("/")


def commit_page(commit: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    """Of the commit, else of the repository."""
    return str(_details(commit, payload).get("url") or page(payload))


def compare_page(change: Change, payload: Mapping[str, Any]) -> str:
    """Of what the change brought: the comparison, if the payload has one of these two nodes, else its only commit, else the repository."""
    compare = str(((payload.get("oberon") or {}).get("links") or {}).get("compare") or "")
    if change.before in compare and change.after in compare:
        return compare
    return commit_page(change.commits[0], payload) if len(change.commits) == 1 else page(payload)


def clone_url(payload: Mapping[str, Any]) -> str:
    """Where the repository can be had: the server's address and the path, as the admin configured them."""
    return f"{payload.get('canon_url') or ''}{payload['repository'].get('absolute_url') or ''}".rstrip("/")


def full_name(payload: Mapping[str, Any]) -> str:
    """`owner/slug`, or the slug."""
    repository = payload["repository"]
    return "/".join(filter(None, (str(repository.get("owner") or ""), slug(payload))))


def slug(payload: Mapping[str, Any]) -> str:
    """The repository's name in addresses."""
    return str(payload["repository"].get("slug") or payload["repository"].get("name") or "")


def number(name: str) -> int:
    """A positive number that is always the same for `name`: forges count theirs."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:4], "big") >> (32 - _ID_BITS)


def request_id(payload: Mapping[str, Any], *which: str) -> str:
    """A UUID of the push and of `which` of its requests; of a payload of 2008 made of its commits."""
    event = (payload.get("oberon") or {}).get("event") or "".join(map(node, payload["commits"]))
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text.repair("\n".join((f"oberon:{clone_url(payload)}:{event}", *which)))))


def total_commits(change: Change, payload: Mapping[str, Any]) -> int:
    """How many commits the change brought: those in the payload, and those that were left out of it if nothing else moved."""
    oberon = payload.get("oberon") or {}
    left_out = max(0, int(oberon.get("total_commits") or 0) - len(payload["commits"]))
    return len(change.commits) + (left_out if len(oberon.get("refs") or ()) == 1 else 0)


def _change(ref: Mapping[str, Any], by_node: Mapping[Any, Mapping[str, Any]]) -> Change:
    old, new = ref.get("old"), ref.get("new")
    zeros = "0" * len(old or new or "0" * _SHA1_DIGITS)
    full = str(ref["ref"])
    return Change(
        ref=full if full.startswith("refs/") else _PREFIXES[ref["kind"]] + full,
        name=str(ref["name"]),
        is_tag=ref["kind"] == "tag",
        action=str(ref["action"]),
        before=old or zeros,
        after=new or zeros,
        commits=[by_node[short] for short in ref.get("commits") or () if short in by_node],
        message=ref.get("message"),
        tagger=ref.get("tagger"),
    )


def _by_branch(payload: Mapping[str, Any]) -> list[Change]:
    first = _FIRST_BRANCH.get(str(payload["repository"].get("scm")), "default")
    brought: dict[str, list[Mapping[str, Any]]] = {}
    for commit in payload["commits"]:
        brought.setdefault(str(commit.get("branch") or first), []).append(commit)
    changes = []
    for name, commits in brought.items():
        after = node(commits[-1])
        parents = commits[0].get("parents") or ["0" * len(after)]
        change = Change(
            f"refs/heads/{name}", name, is_tag=False, action="update", before=str(parents[0]), after=after, commits=commits
        )
        changes.append(change)
    return changes


def _details(commit: Mapping[str, Any], payload: Mapping[str, Any]) -> Mapping[str, Any]:
    told: Mapping[str, Any] = ((payload.get("oberon") or {}).get("commits") or {}).get(commit.get("raw_node")) or {}
    return told
