"""What an issue is told of the commits that name it: which, of what subject, by whom, where to look.

Everything pushed is neutral in the tracker's markup. Each commit's part begins with `Commit ` and the first digits of its node,
whatever the markup: by that, `untold` finds it again among the comments that are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from brokers.render.neutral import BREAK, Markup, link, neutral
from brokers.render.subject import author_name, first_line, repository_name, short
from payload import text

MAX_COMMITS = 10
"""The newest are told, of one issue."""
_SUBJECT_CHARS = 200
_OTHER_ISSUE = re.compile(r"\bGH-(?=\d)", re.IGNORECASE)


class Style(StrEnum):
    """How a tracker reads a comment."""

    MARKDOWN = "markdown"
    PLAIN = "plain"
    JIRA = "jira"  #: Jira's wiki markup
    REDMINE = "redmine"  #: Textile or CommonMark, as its admin chose


def told(commits: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Those of an issue's commits that a comment tells of."""
    return commits[-MAX_COMMITS:]


def untold(commits: Sequence[Mapping[str, Any]], comments: Iterable[str]) -> list[Mapping[str, Any]]:
    """Those of `told(commits)` that none of the comments on the issue tells of."""
    there = "\n".join(comments)
    return [commit for commit in told(commits) if _head(commit) not in there]


def comment(payload: Mapping[str, Any], commits: Sequence[Mapping[str, Any]], style: Style) -> str:
    """The text of a comment that tells of `commits`, of the payload."""
    return "\n\n".join(_part(payload, commit, style) for commit in commits)


def _part(payload: Mapping[str, Any], commit: Mapping[str, Any], style: Style) -> str:
    details = ((payload.get("oberon") or {}).get("commits") or {}).get(commit.get("raw_node")) or {}
    where = f"on {commit['branch']} of {repository_name(payload)}" if commit.get("branch") else f"in {repository_name(payload)}"
    said = (short(first_line(commit), _SUBJECT_CHARS), f"{author_name(commit)}, {text.visible(where)}")
    markup = Markup.MARKDOWN if style is Style.MARKDOWN else Markup.TEXT
    head = link(_head(commit), str(details.get("url") or ""), markup)
    return f"{head}\n\n{_WRITERS[style](said)}"


def _head(commit: Mapping[str, Any]) -> str:
    return f"Commit {text.visible(str(commit.get('node') or ''))}"


def _plain(lines: Iterable[str]) -> str:
    return "\n\n".join(neutral(line, Markup.TEXT) for line in lines)


def _markdown(lines: Iterable[str]) -> str:
    # GitHub takes GH-12 for #12 ("Autolinked references and URLs").
    return "\n\n".join(_OTHER_ISSUE.sub(lambda found: found[0] + BREAK, neutral(line, Markup.MARKDOWN)) for line in lines)


def _jira(lines: Iterable[str]) -> str:
    # Nothing but its own end means anything within it (Jira, "Text Formatting Notation").
    inner = "\n".join(neutral(line, Markup.TEXT).replace("{", "{" + BREAK) for line in lines)
    return f"{{noformat}}\n{inner}\n{{noformat}}"


def _redmine(lines: Iterable[str]) -> str:
    # Code to Textile as well as to CommonMark; the `<` of an end within it has been set apart.
    inner = "\n".join(neutral(line, Markup.TEXT) for line in lines)
    return f"<pre>\n{inner}\n</pre>"


_WRITERS: Mapping[Style, Callable[[Iterable[str]], str]] = {
    Style.MARKDOWN: _markdown,
    Style.PLAIN: _plain,
    Style.JIRA: _jira,
    Style.REDMINE: _redmine,
}
