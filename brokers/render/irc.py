"""A push as lines for IRC: short, few, each of them one message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from brokers.render.neutral import Markup, neutral, neutral_lines
from brokers.render.subject import alert_of, author_name, first_line, ref_words, refs, repository_name, total_commits
from payload import text

MAX_BYTES = 400
"""Of a line. RFC 2812, 2.3: 510 with the command, the channel and the sender's name and host."""
_MAX_NAME_BYTES = 100


def lines(payload: Mapping[str, Any], max_lines: int) -> list[str]:
    """At most `max_lines` (from 1 upward) lines of at most MAX_BYTES bytes, and no control character in them.

    One commit: who, where, what, and its link. Several: how many and the link to all of them, then the newest, oldest first.
    No commit: what happened to each ref.
    """
    if alert := alert_of(payload):
        return [_line(neutral_lines(alert["text"], Markup.IRC))]
    commits = payload["commits"]
    if not commits:
        return [*islice(_of_refs(payload), max_lines)]
    if total_commits(payload) == 1:
        return [_of_commit(payload, commits[-1])]
    told = commits[len(commits) - min(len(commits), max_lines - 1) :]
    return [_summary(payload), *(_of_commit(payload, commit) for commit in told)]


def _of_refs(payload: Mapping[str, Any]) -> Iterator[str]:
    who = f"{payload['user']}: " if payload.get("user") else ""
    moved = refs(payload)
    yield from (_line(f"{repository_name(payload)}: {who}{ref_words(ref)}") for ref in moved)
    if not moved:
        yield _line(f"{repository_name(payload)}: {who}nothing new was pushed")


def _summary(payload: Mapping[str, Any]) -> str:
    places = ", ".join(dict.fromkeys(str(commit["branch"]) for commit in payload["commits"] if commit.get("branch")))
    link = str(((payload.get("oberon") or {}).get("links") or {}).get("compare") or "")
    where = f" to {places}" if places else ""
    return _line(
        f"{repository_name(payload)}: {payload.get('user') or 'somebody'} pushed {total_commits(payload):,} commits{where}", link
    )


def _of_commit(payload: Mapping[str, Any], commit: Mapping[str, Any]) -> str:
    details = ((payload.get("oberon") or {}).get("commits") or {}).get(commit.get("raw_node")) or {}
    branch = f" {text.cut(text.repair(str(commit['branch'])), _MAX_NAME_BYTES)[0]}" if commit.get("branch") else ""
    said = f"{repository_name(payload)}: {author_name(commit)}{branch} * {commit.get('node', '')}: {first_line(commit)}"
    return _line(said, str(details.get("url") or ""))


def _line(said: str, link: str = "") -> str:
    """`said` and the link; of what is too long, `said` is cut, or the link left out."""
    target = neutral(link, Markup.IRC)
    room = MAX_BYTES - len(target.encode()) - 1 if target else MAX_BYTES
    if room < MAX_BYTES // 4:
        target, room = "", MAX_BYTES
    kept, was_cut = text.cut(neutral(said, Markup.IRC), room)
    if was_cut:
        kept = text.cut(kept, room - 3)[0] + "..."
    return f"{kept} {target}".rstrip()
