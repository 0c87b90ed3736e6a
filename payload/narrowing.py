"""A part of a push: some of a payload's refs and commits, as a payload of their own.

A payload counts each commit as one ref's, the first that brought it. Who is told of another ref alone is to hear of the commits
that this one brings too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from payload import links

Row: TypeAlias = Mapping[str, Any]


def as_if_alone(composed: Row) -> Sequence[Row]:
    """Each ref with all the commits that it would have brought alone, as far as they are listed and known to be below it."""
    refs, commits = composed["oberon"]["refs"], composed["commits"]
    if len(refs) == 1 or not commits or composed["repository"]["scm"] == "hg":
        return list(refs)
    below: dict[str, int] = {}  # of both of a commit's names: a bit for each commit that it reaches, itself among them
    for place, commit in enumerate(commits):
        bits = 1 << place
        for parent in commit["parents"]:
            bits |= below.get(parent, 0)
        below[commit["node"]] = below[commit["raw_node"]] = bits
    alone = []
    for ref in refs:
        bits = 0
        for node in (ref["new"], *ref["commits"]):
            bits |= below.get(node, 0)
        brought = [commit["node"] for place, commit in enumerate(commits) if bits >> place & 1] if bits else []
        alone.append({**ref, "commits": brought})
    return alone


def narrowed(composed: Row, refs: Sequence[Row], commits: Sequence[Row]) -> dict[str, Any]:
    """`composed` with these of its refs (`as_if_alone`'s) and commits, each of these with the ref that counts it.

    A commit that another ref counts now has that one's branch. `total_commits` is less by what was left out; the comparison
    goes if it is of a ref that did.
    """
    own = composed["oberon"]
    raw_nodes = {commit["raw_node"] for commit in commits}
    owners = _owners(composed, refs)
    before = {node: ref["ref"] for ref in own["refs"] for node in ref["commits"]}
    counted: dict[int, list[str]] = {id(ref): [] for ref in refs}
    kept = []
    for commit in commits:
        node, owner = commit["node"], owners.get(commit["node"])
        if owner is None:
            kept.append(commit)
            continue
        kept.append(commit if before.get(node) == owner["ref"] else _on_branch(commit, owner))
        counted[id(owner)].append(node)
    return {
        **composed,
        "commits": kept,
        "oberon": {
            **own,
            "refs": [{**ref, "commits": counted[id(ref)]} for ref in refs],
            "commits": {node: details for node, details in own["commits"].items() if node in raw_nodes},
            "links": {**own["links"], "compare": links.compares(own["links"]["compare"], refs)},
            "total_commits": own["total_commits"] - len(composed["commits"]) + len(commits),
        },
    }


def _owners(composed: Row, refs: Sequence[Row]) -> dict[str, Row]:
    """Commit -> the one of `refs` (`as_if_alone`'s) that counts it: the one that did; if that is left out, a branch before others, tags last."""
    left = {ref["ref"]: ref for ref in refs}
    owners = {node: left[ref["ref"]] for ref in composed["oberon"]["refs"] if ref["ref"] in left for node in ref["commits"]}
    for ref in sorted(refs, key=lambda ref: (ref["kind"] == "tag", ref["kind"] != "branch")):
        for node in ref["commits"]:
            owners.setdefault(node, ref)
    return owners


def _on_branch(commit: Row, owner: Row) -> Row:
    """`commit` as one that `owner` brought; of one that counted as another ref's the branch is another too."""
    return {**commit, "branch": owner["name"] if owner["kind"] == "branch" else None}
