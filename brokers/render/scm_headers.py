"""Headers by which mail filters sort: those of git-multimail (`X-Git-*`), or for Mercurial their like and that of hgext.notify.

git-multimail writes one mail for each ref; a mail about several refs has the two headers that name a ref once for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from brokers.render.subject import refs

_MAX_REFS = 20
_NO_NODE = "0" * 40
_REFTYPES = {"branch": "branch", "tag": "tag", "note": "reference", "other": "reference"}
"""Kind of a ref -> git-multimail's word."""


def scm_headers(payload: Mapping[str, Any], *, is_part: bool = False) -> Iterator[tuple[str, str]]:
    """(name, value) in their order, a name maybe more than once; values as they were pushed. None for a payload of 2008.

    `is_part`: the mail is about the one commit of `payload`, beside others of its push.
    """
    repository = payload["repository"]
    name = str(repository.get("slug") or repository.get("name") or "")
    scm = repository.get("scm")
    if scm == "git":
        yield "X-Git-Repo", name
        yield from _git(payload, is_part=is_part)
    elif scm == "hg":
        yield "X-Hg-Repo", name
        yield from _hg(payload)


def _git(payload: Mapping[str, Any], *, is_part: bool) -> Iterator[tuple[str, str]]:
    moved, commits = refs(payload), payload["commits"]
    for ref in moved[:_MAX_REFS]:
        yield "X-Git-Refname", str(ref["ref"])
        yield "X-Git-Reftype", "annotated tag" if ref.get("tagger") else _REFTYPES.get(ref["kind"], "reference")
    is_one = len(commits) == 1
    if not is_part and len(moved) == 1:
        yield "X-Git-Oldrev", moved[0]["old"] or _NO_NODE
        yield "X-Git-Newrev", moved[0]["new"] or _NO_NODE
    if is_one:
        yield "X-Git-Rev", _node(commits[0])
    if moved or commits:
        yield "X-Git-NotificationType", "diff" if is_part else "ref_changed_plus_diff" if is_one else "ref_changed"


def _hg(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for ref in refs(payload)[:_MAX_REFS]:
        yield "X-Hg-Bookmark" if ref["kind"] == "bookmark" else "X-Hg-Branch", str(ref["name"])
    commits = payload["commits"]
    if commits:
        yield "X-Hg-Notification", f"changeset {commits[0].get('node', '')}"
    if len(commits) == 1:
        yield "X-Hg-Rev", _node(commits[0])


def _node(commit: Mapping[str, Any]) -> str:
    return str(commit.get("raw_node") or commit.get("node") or "")
