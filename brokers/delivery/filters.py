"""What of a push concerns one service: its `refs`, `events`, `skipMarks`, `paths` and `authors`, and the push option oberon.skip.

All but `skipMarks` are lists of globs (fnmatch: `*` matches `/` too; one that ends with `/` stands for all below it), case matters.
A value matches the list if it matches a pattern without `!`, or if all patterns have one; and matches none with `!`.

Each ref is judged as if it had been pushed alone: with all listed commits that it brings, of which the payload counts each as one
ref's. A named branch of Mercurial is no pointer and brings its own; of an annotated tag only what it counts is known. `refs`,
`events` and `skipMarks` leave out a ref with the commits that it alone brings; what another brings too counts as that one's then.
`paths` and `authors` leave out commits, and then the refs that brought none but those. What remains is the service's payload,
whose `oberon.filtered` counts what was left out; if nothing remains, the service is skipped.

A mark counts where CI services look for theirs: in the message of the newest commit of a ref, in any case (GitLab, "Skip a
pipeline"; GitHub, "Skipping workflow runs"). Marks in older commits of the push do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, TypeAlias

from brokers.config import ServiceSettings
from payload import narrowing

_SKIP_OPTIONS = ("oberon.skip", "oberon_skip")  # git's, and hg's pushvar
_NO = ("0", "false", "no", "off", "never")

Row: TypeAlias = Mapping[str, Any]


def matches(patterns: Sequence[str], *values: str) -> bool:
    """Whether any of `values` (names of one thing) matches the list; True if it is empty."""
    if not patterns:
        return True
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    if _any(refused, values):
        return False
    return not wanted or _any(wanted, values)


def concerns(service: ServiceSettings, composed: Row) -> tuple[dict[str, Any] | None, str]:
    """The part of a payload (`payload.build.compose`'s) that is for `service`, and ''; or None and why it is skipped."""
    own = composed["oberon"]
    if own.get("alert"):
        return dict(composed), ""
    if any(map(_is_skip, own["options"])):
        return None, "skipped: the push option oberon.skip"
    if not own["refs"] and not composed["commits"]:
        return None, "skipped: no ref that counts has moved"
    ref_filters, commit_filters = list(_ref_filters(service, composed)), list(_commit_filters(service, own["commits"]))
    if not ref_filters and not commit_filters:
        return dict(composed), ""
    refs = narrowing.as_if_alone(composed)
    commits: Sequence[Row] = composed["commits"]
    by: list[str] = []
    for name, is_wanted in ref_filters:
        kept = [ref for ref in refs if is_wanted(ref)]
        if not kept:
            return None, f"skipped: {name}"
        if len(kept) < len(refs):
            refs = kept
            brought = _brought(refs)
            commits = [commit for commit in commits if commit["node"] in brought]
            by.append(name)
    for name, is_wanted in commit_filters:
        wanted = [commit for commit in commits if is_wanted(commit)]
        if len(wanted) == len(commits):
            continue
        if not composed["truncated"]:  # else what is not listed may concern it
            nodes = {commit["node"] for commit in wanted}
            refs = [ref for ref in refs if not ref["commits"] or nodes.intersection(ref["commits"])]
        if not wanted and not refs:
            return None, f"skipped: {name}"
        commits = wanted
        by.append(name)
    if not by:
        return dict(composed), ""
    part = narrowing.narrowed(composed, refs, commits)
    left_out = {"commits": len(composed["commits"]) - len(commits), "refs": len(own["refs"]) - len(refs)}
    return {**part, "oberon": {**part["oberon"], "filtered": {**left_out, "by": by}}}, ""


def told(composed: Row) -> str:
    """What was left out of a payload, for the note of its delivery; '' if nothing was."""
    filtered = composed.get("oberon", {}).get("filtered")
    if not filtered:
        return ""
    of = {"commits": len(composed["commits"]), "refs": len(composed["oberon"]["refs"])}
    counts = [f"{filtered[what]} of {filtered[what] + left} {what}" for what, left in of.items() if filtered[what]]
    return f"left out: {', '.join(counts)} ({', '.join(filtered['by'])})"


def _ref_filters(service: ServiceSettings, composed: Row) -> Iterable[tuple[str, Callable[[Row], bool]]]:
    if service.refs:
        yield "refs filter", lambda ref: matches(service.refs, ref["ref"], ref["name"])
    if service.events:
        yield "events filter", lambda ref: matches(service.events, ref["action"], ref["kind"], *_push_word(ref))
    messages = {node: commit["message"] for commit in composed["commits"] for node in (commit["node"], commit["raw_node"])}
    for mark in service.skip_marks:
        is_marked = partial(_is_marked, mark.casefold(), messages)
        if any(map(is_marked, composed["oberon"]["refs"])):
            yield f"the mark {mark}", partial(_is_not, is_marked)


def _commit_filters(service: ServiceSettings, details: Mapping[str, Row]) -> Iterable[tuple[str, Callable[[Row], bool]]]:
    if service.paths:
        yield "paths filter", lambda commit: _touches(service.paths, commit, details.get(commit["raw_node"], {}))
    if service.authors:
        yield "authors filter", lambda commit: matches(service.authors, commit["raw_author"], commit["author"])


def _touches(patterns: Sequence[str], commit: Row, details: Row) -> bool:
    """Whether a file of it matches; of a commit with more files than are listed (`oberon.maxFiles`), one may."""
    return "files" in details.get("truncated", ()) or any(matches(patterns, file["file"]) for file in commit["files"])


def _is_marked(mark: str, messages: Mapping[str, str], ref: Row) -> bool:
    """Whether the commit that a ref points to says so; of a tag object, the last commit it brings. One not pushed now says nothing."""
    nodes = [ref["new"], *(ref["commits"][-1:] if ref["kind"] == "tag" else ())]
    return mark in next((messages[node] for node in nodes if node in messages), "").casefold()


def _is_not(judged: Callable[[Row], bool], row: Row) -> bool:
    return not judged(row)


def _push_word(ref: Row) -> Iterable[str]:
    return ("push",) if ref["commits"] else ()


def _brought(refs: Iterable[Row]) -> set[str]:
    return {node for ref in refs for node in ref["commits"]}


def _is_skip(option: str) -> bool:
    name, _, value = option.partition("=")
    return name.lower() in _SKIP_OPTIONS and value.strip().lower() not in _NO


def _any(patterns: Sequence[str], values: Iterable[str]) -> bool:
    globs = [pattern + "*" if pattern.endswith("/") else pattern for pattern in patterns]
    return any(fnmatchcase(value, glob) for value in values for glob in globs)
