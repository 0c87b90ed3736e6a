"""Which branches of which repository a push left where: what a CI server is asked to build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brokers.errors import ConfigError
from brokers.render.body import web_address
from brokers.render.subject import refs
from brokers.render.template import PUSH, Template, values_of


@dataclass(frozen=True, slots=True)
class Head:
    """A branch that was pushed and is still there."""

    branch: str
    node: str
    """Where it is now: all hex digits, or the first 12 where the payload has no more."""
    commits: Sequence[Mapping[str, Any]]
    """Those of `payload['commits']` that it brought, oldest first; none for one that was made, or rewound, at a known commit."""
    ref: Mapping[str, Any]
    """Its row of `oberon.refs`; {} in a payload of 2008."""

    @property
    def values(self) -> dict[str, Any]:
        """What the names of `payload.placeholders.PUSH` that tell of a ref stand for, of this one."""
        moved = {"branch": self.branch, "new": self.node}
        return {**{name: self.ref.get(name) for name in ("ref", "kind", "action", "old")}, **moved} if self.ref else moved


def heads(payload: Mapping[str, Any]) -> list[Head]:
    """Each branch that moved and was not deleted, as the payload has them; no tags and no bookmarks.

    A payload without `oberon` names no refs: those are the branches of its commits then.
    """
    commits = payload["commits"]
    if payload.get("oberon") is None:
        branches = dict.fromkeys(commit["branch"] for commit in commits if commit.get("branch"))
        return [_of_commits(branch, [commit for commit in commits if commit.get("branch") == branch]) for branch in branches]
    return [
        Head(ref["name"], ref["new"], [commit for commit in commits if commit["node"] in set(ref["commits"])], ref)
        for ref in refs(payload)
        if ref["kind"] == "branch" and ref["action"] != "delete"
    ]


def repository_address(payload: Mapping[str, Any], template: str | None) -> str:
    """The address that a service knows the repository by: `template`, a `push text`, filled in; else that of its page.

    Raises ConfigError if there is none.
    """
    address = Template.parse(template or "", PUSH).expand(values_of(payload)) or web_address(payload)
    if not address:
        remedy = "set it, or for what is pushed from then on oberon.canonUrl"
        raise ConfigError("nobody says how the service knows it", setting="repository", remedy=remedy)
    return address


def _of_commits(branch: str, commits: Sequence[Mapping[str, Any]]) -> Head:
    newest = commits[-1]
    return Head(branch, newest.get("raw_node") or newest["node"], commits, {})
