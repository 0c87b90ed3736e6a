"""A push as plain text, 72 columns wide but for what its authors wrote wider.

At the head the repository, who pushed, and which refs moved; of several commits a list; then each commit with its
message and files. What is left out for length is said where it is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from brokers.render.subject import alert_of, first_line, ref_words, refs, repository_name, short, total_commits
from payload import text

COLUMNS = 72
MAX_COMMITS = 100
"""The newest are told; a mail with more is not read."""
MAX_FILES = 100
"""Per commit."""
MAX_CHARS = 400_000
"""Of all commits together; the newest is always told."""

_LETTERS = {"added": "A", "modified": "M", "removed": "D"}
_INDENT = "    "


def body(payload: Mapping[str, Any]) -> str:
    """Lines, each with its line feed and without any other control character."""
    if alert := alert_of(payload):
        return "\n".join(text.visible(line) for line in alert["text"].split("\n")) + "\n"
    commits = payload["commits"]
    told = _told(commits[-MAX_COMMITS:], (payload.get("oberon") or {}).get("commits") or {})
    lines = [*_head(payload)]
    if len(commits) > 1:
        lines += ["", *_list(commits[-MAX_COMMITS:])]
    untold = total_commits(payload) - len(told)
    if untold > 0:
        lines += ["", f"{untold:,} older {_plural(untold, 'commit is', 'commits are')} not told here."]
    for commit in told:
        if len(commits) > 1:
            lines += ["", "-" * COLUMNS]
        lines += ["", *commit]
    return "\n".join(lines) + "\n"


def web_address(payload: Mapping[str, Any]) -> str:
    """Where the repository can be looked at; '' if the payload cannot tell."""
    known = ((payload.get("oberon") or {}).get("links") or {}).get("repository")
    if known:
        return text.visible(str(known))
    repository = payload["repository"]
    path = str(repository.get("absolute_url") or "")
    if payload.get("canon_url"):
        return text.visible(f"{payload['canon_url']}{path}")
    # The recipe of 2009, when `website` was Bitbucket's own.
    website = str(repository.get("website") or "")
    return text.visible(website + path[1:]) if website.endswith("/") else ""


def _head(payload: Mapping[str, Any]) -> Iterator[str]:
    yield f"Repository: {repository_name(payload)}"
    address = web_address(payload)
    if address:
        yield f"            {address}"
    if payload.get("user"):
        yield f"Pushed by:  {text.visible(str(payload['user']))}"
    for ref in refs(payload):
        yield from _ref(ref)
    compare = ((payload.get("oberon") or {}).get("links") or {}).get("compare")
    if compare:
        yield f"Compare:    {text.visible(str(compare))}"


def _ref(ref: Mapping[str, Any]) -> Iterator[str]:
    words = ref_words(ref)
    old, new = (str(ref.get(side) or "")[:12] for side in ("old", "new"))
    yield f"Changed:    {words}"
    facts = [f"{old} -> {new}" if old and new else f"was {old}" if old else f"at {new}"]
    if ref.get("commits"):
        facts.append(f"{len(ref['commits']):,} new {_plural(len(ref['commits']), 'commit', 'commits')}")
    if ref.get("dropped"):
        facts.append(f"{ref['dropped']:,} {_plural(ref['dropped'], 'commit', 'commits')} no longer on it")
    yield f"            {', '.join(facts)}"
    if ref.get("message"):
        yield ""
        yield from _message(ref)


def _list(commits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for commit in commits:
        yield short(f"  {commit.get('node', '')}  {first_line(commit)}", COLUMNS)


def _told(commits: Sequence[Mapping[str, Any]], details: Mapping[str, Any]) -> list[list[str]]:
    """The lines of each commit that is told, oldest first."""
    told: list[list[str]] = []
    left = MAX_CHARS
    for commit in reversed(commits):
        lines = [*_commit(commit, details.get(commit.get("raw_node"), {}))]
        left -= sum(len(line) + 1 for line in lines)
        if told and left < 0:
            break
        told.insert(0, lines)
    return told


def _commit(commit: Mapping[str, Any], details: Mapping[str, Any]) -> Iterator[str]:
    revision = commit.get("revision")
    yield f"commit {commit.get('raw_node') or commit.get('node', '')}" + (f" ({revision})" if revision is not None else "")
    # With the author's own zone where the payload has it; `timestamp` is in the server's, and does not say so.
    date = str((details.get("author") or {}).get("date") or "").replace("T", " ") or commit.get("timestamp")
    for title, value in (
        ("Author", commit.get("raw_author") or commit.get("author")),
        ("Date", date),
        ("Branch", commit.get("branch")),
        ("Link", details.get("url")),
    ):
        if value:
            yield f"{title}:".ljust(8) + text.visible(str(value))
    yield ""
    yield from _message(commit)
    yield ""
    yield from _files(commit)


def _message(said: Mapping[str, Any]) -> Iterator[str]:
    """As it was written, line for line, four columns in."""
    for line in str(said.get("message") or "(no message)").replace("\r\n", "\n").rstrip().split("\n"):
        yield (_INDENT + text.visible(line.expandtabs())).rstrip()


def _files(commit: Mapping[str, Any]) -> Iterator[str]:
    files = commit.get("files") or []
    for change in files[:MAX_FILES]:
        yield f"  {_LETTERS.get(change.get('type', ''), '?')} {text.visible(str(change.get('file', '')))}"
    if len(files) > MAX_FILES:
        yield f"  and {len(files) - MAX_FILES:,} more"
    size = commit.get("size")
    grown = f", {size:+,} bytes" if isinstance(size, int) else ""
    yield f"  {len(files):,} {_plural(len(files), 'file', 'files')}{grown}"


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
