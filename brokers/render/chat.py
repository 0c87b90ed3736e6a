"""A push as a message to people who talk: a title, and a few lines, the newest commit first; all of it neutral."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from brokers.render.neutral import LINE_BREAKS, Markup, link, neutral
from brokers.render.subject import (
    alert_of,
    author_name,
    first_line,
    ref_words,
    refs,
    repository_name,
    short,
    subject,
    total_commits,
)

MAX_COMMITS = 20
MAX_REFS = 10
MAX_CHARS = 120
"""Of a commit's first line."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said, before anybody knows how much of it the service takes."""

    title: str
    """Where a service has a field for it, in which it reads no markup."""
    heading: str
    """The same, as the first line of a body."""
    lines: tuple[str, ...]
    """Any number of the first of them make sense."""
    topic: str
    """What all messages about this repository have in common."""
    line_break: str
    """What stands between them."""


def message(payload: Mapping[str, Any], markup: Markup) -> Message:
    """`payload` in `markup`."""
    title = f"[{repository_name(payload)}] {subject(payload)}"
    lines = tuple(_alert(payload, markup) if alert_of(payload) else _push(payload, markup))
    return Message(
        title=neutral(title, Markup.TEXT),
        heading=neutral(title, markup),
        lines=lines or (neutral(subject(payload), markup),),
        topic=neutral(repository_name(payload), Markup.TEXT),
        line_break=LINE_BREAKS[markup],
    )


def _alert(payload: Mapping[str, Any], markup: Markup) -> Iterator[str]:
    alert = alert_of(payload) or {}
    yield from (neutral(line, markup) for line in str(alert["text"]).split("\n") if line.strip())


def _push(payload: Mapping[str, Any], markup: Markup) -> Iterator[str]:
    compare = ((payload.get("oberon") or {}).get("links") or {}).get("compare")
    user, moved = payload.get("user"), refs(payload)
    told = ", ".join([*map(ref_words, moved[:MAX_REFS]), *([f"{len(moved) - MAX_REFS:,} more"] if moved[MAX_REFS:] else [])])
    if user or told:
        said = neutral(": ".join(part for part in (str(user or ""), told) if part), markup)
        yield f"{said} ({link('compare', compare, markup)})" if compare else said
    commits = payload["commits"]
    details = (payload.get("oberon") or {}).get("commits") or {}
    for commit in reversed(commits[-MAX_COMMITS:]):
        # On IRC a message has some 400 characters; the link to all of it is there.
        url = "" if markup == Markup.IRC else (details.get(commit.get("raw_node")) or {}).get("url") or ""
        said, who = short(first_line(commit), MAX_CHARS), author_name(commit)
        yield f"{link(str(commit.get('node', '')), url, markup)} {neutral(f'{said} ({who})' if who else said, markup)}"
    untold = total_commits(payload) - min(len(commits), MAX_COMMITS)
    if untold > 0:
        yield f"and {untold:,} older {'commit' if untold == 1 else 'commits'}"
