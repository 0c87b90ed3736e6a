"""A push as plain text, 72 columns wide but for what its authors wrote wider.

At the head the repository, who pushed, and which refs moved; of several commits a list; then each commit with its
message, files and, where it is wanted, its diff. What is left out for length is said where it is missing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from textwrap import wrap
from typing import Any
from unicodedata import east_asian_width

from brokers.render.diff import Room, Shown
from brokers.render.subject import CUT, alert_of, first_line, ref_words, refs, repository_name, total_commits
from payload import text

COLUMNS = 72
MAX_COMMITS = 100
"""The newest are told; a mail with more is not read."""
MAX_FILES = 100
"""Per commit."""
MAX_REFS = 50
MAX_DROPPED = 50
"""Commits that a rewind took off a ref, per ref."""
MAX_CHARS = 400_000
"""Of all commits together, without their diffs; the newest is always told."""

_LETTERS = {"added": "A", "modified": "M", "removed": "D"}
_INDENT = "    "
_UNDER = " " * 12


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a mail: its head, or a commit."""

    lines: tuple[str, ...]
    """Without control characters."""
    title: str = ""
    """The commit's first line; '' of the head."""
    url: str = ""
    """The commit's page; '' if there is none."""
    diff: Shown | None = None


def body(payload: Mapping[str, Any]) -> str:
    """Lines, each with its line feed and without any other control character."""
    return plain(sections(payload))


def plain(parts: Sequence[Section]) -> str:
    """`sections` as text; of a diff the tabs are kept."""
    lines: list[str] = []
    is_ruled = sum(bool(part.title) for part in parts) > 1
    for part in parts:
        if lines:
            lines.append("")
        if part.title and is_ruled:
            lines += ["-" * COLUMNS, ""]
        lines += part.lines
        if part.diff is not None:
            lines += ["", *part.diff.lines] if part.diff.lines else []
            lines += ["", *wrap(f"[{part.diff.remark}]", COLUMNS)] if part.diff.remark else []
    return "\n".join(lines) + "\n"


def sections(payload: Mapping[str, Any], *, room: Room | None = None, is_part: bool = False) -> list[Section]:
    """The head, then each commit that is told, oldest first; with its diff if there is `room` for it.

    `is_part`: the push has been told of elsewhere, so the head says of it only where and by whom.
    """
    if alert := alert_of(payload):
        return [Section(tuple(text.visible(line) for line in alert["text"].split("\n")))]
    commits = payload["commits"]
    details = (payload.get("oberon") or {}).get("commits") or {}
    told = _told(commits[-MAX_COMMITS:], details)
    untold = total_commits(payload) - len(told)
    remarks = [f"{untold:,} older {_plural(untold, 'commit is', 'commits are')} not told here."] if untold > 0 else []
    parts = [Section(tuple(_head(payload)))] if is_part else [_summary(payload, remarks, is_listed=len(commits) > 1)]
    for commit, lines in told:
        about = details.get(commit.get("raw_node"), {})
        diff = room.show(about) if room else None
        parts.append(Section(tuple(lines), first_line(commit), text.visible(str(about.get("url") or "")), diff))
    return parts


def summary(payload: Mapping[str, Any], without_mail: int) -> list[Section]:
    """The head alone, of a push whose commits have mails of their own, but for the `without_mail` oldest."""
    remarks = ["Each commit follows in a mail of its own."]
    if without_mail:
        others = total_commits(payload) - without_mail
        remarks = [
            f"{without_mail:,} older {_plural(without_mail, 'commit has', 'commits have')} no mail of {_plural(without_mail, 'its', 'their')} own."
        ]
        remarks += [f"The {others:,} newest follow." if others > 1 else "The newest follows."] if others else []
    return [_summary(payload, remarks, is_listed=True)]


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


def _summary(payload: Mapping[str, Any], remarks: Iterable[str], *, is_listed: bool) -> Section:
    paragraphs = [[*_head(payload), *_refs(payload)]]
    commits = payload["commits"][-MAX_COMMITS:]
    if is_listed:
        unlisted = total_commits(payload) - len(commits)
        paragraphs.append([*_list(commits), *([f"  and {unlisted:,} older"] if unlisted > 0 and commits else [])])
    paragraphs.append(wrap(" ".join(remarks), COLUMNS))
    lines: list[str] = []
    for paragraph in filter(None, paragraphs):
        lines += ["", *paragraph] if lines and lines[-1] else paragraph
    return Section(tuple(lines))


def _head(payload: Mapping[str, Any]) -> Iterator[str]:
    yield f"Repository: {repository_name(payload)}"
    address = web_address(payload)
    if address:
        yield _UNDER + address
    if payload.get("user"):
        yield f"Pushed by:  {text.visible(str(payload['user']))}"


def _refs(payload: Mapping[str, Any]) -> Iterator[str]:
    moved = refs(payload)
    is_whole = total_commits(payload) == len(payload["commits"])
    for ref in moved[:MAX_REFS]:
        yield from _ref(ref, is_whole=is_whole)
    if len(moved) > MAX_REFS:
        yield f"{_UNDER}and {len(moved) - MAX_REFS:,} more refs"
    compare = ((payload.get("oberon") or {}).get("links") or {}).get("compare")
    if compare:
        yield f"Compare:    {text.visible(str(compare))}"


def _ref(ref: Mapping[str, Any], *, is_whole: bool) -> Iterator[str]:
    """`is_whole`: the payload lists all commits, so all of this one's."""
    words = ref_words(ref)
    old, new = (str(ref.get(side) or "")[:12] for side in ("old", "new"))
    yield f"Changed:    {words}"
    facts = [f"{old} -> {new}" if old and new else f"was {old}" if old else f"at {new}"]
    if ref.get("commits"):
        count = len(ref["commits"])
        facts.append(f"{'' if is_whole else 'at least '}{count:,} new {_plural(count, 'commit', 'commits')}")
    if ref.get("dropped"):
        facts.append(f"{ref['dropped']:,} {_plural(ref['dropped'], 'commit', 'commits')} no longer on it")
    together = ", ".join(facts)
    for line in [together] if len(_UNDER + together) <= COLUMNS else facts:
        yield _UNDER + line
    if ref.get("dropped_commits"):
        yield from _dropped(ref)
    if ref.get("tagger"):
        yield f"Tagger:     {_person(ref['tagger'])}"
        if ref["tagger"].get("date"):
            yield _UNDER + _date(ref["tagger"]["date"])
    if ref.get("message"):
        yield ""
        yield from _message(ref, ref)
        yield ""


def _dropped(ref: Mapping[str, Any]) -> Iterator[str]:
    known = ref["dropped_commits"]
    for commit in known:
        yield _fit(f"{_UNDER}- {commit.get('node', '')}  {first_line(commit)}")
    more = (ref.get("dropped") or 0) - len(known)
    if more > 0:
        yield f"{_UNDER}- and {more:,} older"


def _list(commits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for commit in commits:
        yield _fit(f"  {commit.get('node', '')}  {first_line(commit)}")


def _told(commits: Sequence[Mapping[str, Any]], details: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Each commit that is told with its lines, oldest first."""
    told: list[tuple[Mapping[str, Any], list[str]]] = []
    left = MAX_CHARS
    for commit in reversed(commits):
        lines = [*_commit(commit, details.get(commit.get("raw_node"), {}))]
        left -= sum(len(line) + 1 for line in lines)
        if told and left < 0:
            break
        told.insert(0, (commit, lines))
    return told


def _commit(commit: Mapping[str, Any], details: Mapping[str, Any]) -> Iterator[str]:
    revision = commit.get("revision")
    yield f"commit {commit.get('raw_node') or commit.get('node', '')}" + (f" ({revision})" if revision is not None else "")
    # With the author's own zone where the payload has it; `timestamp` is in the server's, and does not say so.
    date = _date((details.get("author") or {}).get("date")) or commit.get("timestamp")
    for title, value in (
        ("Author", commit.get("raw_author") or commit.get("author")),
        ("Date", date),
        ("Branch", commit.get("branch")),
        ("Link", details.get("url")),
    ):
        if value:
            yield f"{title}:".ljust(8) + text.visible(str(value))
    yield ""
    yield from _message(commit, details)
    yield ""
    yield from _files(commit, details)


def _message(said: Mapping[str, Any], details: Mapping[str, Any]) -> Iterator[str]:
    """As it was written, line for line, four columns in; `details` has what limits cut."""
    for line in str(said.get("message") or "(no message)").replace("\r\n", "\n").rstrip().split("\n"):
        yield (_INDENT + text.visible(line.expandtabs())).rstrip()
    if "message" in details.get("truncated", ()):
        yield f"{_INDENT}[What is beyond oberon.maxMessage is not here.]"


def _files(commit: Mapping[str, Any], details: Mapping[str, Any]) -> Iterator[str]:
    files = commit.get("files") or []
    total = max(details.get("total_files") or 0, len(files))  # the payload may list fewer
    for change in files[:MAX_FILES]:
        yield f"  {_LETTERS.get(change.get('type', ''), '?')} {text.visible(str(change.get('file', '')))}"
    listed = min(len(files), MAX_FILES)
    if total > listed:
        yield f"  and {total - listed:,} more"
    size = commit.get("size")
    grown = f", {size:+,} bytes" if isinstance(size, int) else ""
    yield f"  {total:,} {_plural(total, 'file', 'files')}{grown}"


def _fit(line: str) -> str:
    """`line` in COLUMNS columns; Chinese, Japanese and Korean characters take two."""
    ends = [*accumulate(2 if east_asian_width(char) in "WF" else 1 for char in line[: COLUMNS + 1])]
    if not ends or ends[-1] <= COLUMNS:
        return line
    return line[: bisect_right(ends, COLUMNS - len(CUT))].rstrip() + CUT


def _person(person: Mapping[str, Any]) -> str:
    email = f" <{person['email']}>" if person.get("email") else ""
    return text.visible(f"{person.get('name') or ''}{email}".strip())


def _date(iso: object) -> str:
    return text.visible(str(iso or "").replace("T", " "))


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
