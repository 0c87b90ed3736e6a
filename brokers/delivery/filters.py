"""What of a push concerns one service: its `refs`, `paths`, `events` and `authors`.

Each is a list of globs (fnmatch: `*` matches `/` too; one that ends with `/` stands for all below it), case matters. A value matches the list if it matches a pattern without
`!`, or if all patterns have one; and matches none with `!`. The rest of the push is left out of that service's payload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from brokers.config import ServiceSettings

SKIP_OPTIONS = ("oberon.skip", "OBERON_SKIP=1", "OBERON_SKIP=true")


def matches(patterns: Sequence[str], *values: str) -> bool:
    """Whether any of `values` (names of one thing) matches the list; True if it is empty."""
    if not patterns:
        return True
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    if _any(refused, values):
        return False
    return not wanted or _any(wanted, values)


def concerns(service: ServiceSettings, composed: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The part of a payload (`payload.build.compose`'s) that is for `service`, and ''; or None and why it is skipped."""
    if composed["oberon"].get("alert"):
        return dict(composed), ""
    if any(option in SKIP_OPTIONS for option in composed["oberon"]["options"]):
        return None, "skipped: the push option oberon.skip"
    if not composed["oberon"]["refs"] and not composed["commits"]:
        return None, "skipped: no ref that counts has moved"
    refs = [ref for ref in composed["oberon"]["refs"] if matches(service.refs, ref["ref"], ref["name"])]
    if service.refs and not refs:
        return None, "skipped: refs filter"
    refs = [ref for ref in refs if matches(service.events, ref["action"], ref["kind"], *_push_word(ref))]
    if service.events and not refs:
        return None, "skipped: events filter"
    commits = composed["commits"]
    if service.refs or service.events:
        kept = {node for ref in refs for node in ref["commits"]}
        commits = [commit for commit in commits if commit["node"] in kept]
    had_commits = bool(commits)
    if service.paths:
        commits = [commit for commit in commits if any(matches(service.paths, file["file"]) for file in commit["files"])]
        if had_commits and not commits:
            return None, "skipped: paths filter"
    if service.authors:
        commits = [commit for commit in commits if matches(service.authors, commit["raw_author"], commit["author"])]
        if had_commits and not commits:
            return None, "skipped: authors filter"
    return _narrowed(composed, refs, commits), ""


def _push_word(ref: Mapping[str, Any]) -> Iterable[str]:
    return ("push",) if ref["commits"] else ()


def _any(patterns: Sequence[str], values: Iterable[str]) -> bool:
    globs = [pattern + "*" if pattern.endswith("/") else pattern for pattern in patterns]
    return any(fnmatchcase(value, glob) for value in values for glob in globs)


def _narrowed(composed: Mapping[str, Any], refs: list[dict[str, Any]], commits: list[dict[str, Any]]) -> dict[str, Any]:
    own = composed["oberon"]
    if len(refs) == len(own["refs"]) and len(commits) == len(composed["commits"]):
        return dict(composed)
    kept = {commit["raw_node"] for commit in commits}
    return {
        **composed,
        "commits": commits,
        "oberon": {**own, "refs": refs, "commits": {node: told for node, told in own["commits"].items() if node in kept}},
    }
