"""Commit messages -> the issues that they name, and what is to become of each.

    fixes #4 · closes: #1, #2 and #3 · resolves issue 7 · reopens #6 · refs #5 · see #5 · re #7 · fix ABC-123 · bug 1234

A verb is followed by issues of its own paragraph, with commas, `and` or blanks between them; `issue`, `bug` or `ticket` may stand
before a number instead of a `#`, `issues` and the like before several. The words are those of GitHub ("Linking a pull request to an
issue": close, fix, resolve) and of Trac's commit updater (addresses, re, references, refs, see), and can be others. What stands in code
(fences, backticks), in an address, and in the quoted subject of a `Revert "..."` names nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Self

CLOSES = ("close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved")
REOPENS = ("reopen", "reopens", "reopened")
REFERENCES = ("addresses", "re", "ref", "refs", "references", "see")

MAX_MESSAGE_CHARS = 16 * 1024
"""As much of a message is read."""

_FENCES = ("```", "~~~")
_NO_NAMES = re.compile(r"`[^`\n]{1,1000}`|(?<!\w)[a-z][a-z0-9+.-]{0,20}://\S+", re.IGNORECASE)
_REVERTED = re.compile(r'Revert ".*"|Reapply ".*"')  # git-revert(1)'s subjects
_END = r"(?![\w-]|\.\d)"
_AFTER_VERB = re.compile(r"\s{0,4}:?\s{0,4}")
_BETWEEN = re.compile(r"\s{0,4}(?:[,;&]\s{0,4})?(?:(?:and|or)\s{1,4})?", re.IGNORECASE)
_NUMBER = r"(?P<named>(?:issue|bug|ticket)s?[ \t]{1,4}(?:no\.?[ \t]{0,4})?#?|#|gh-)?(?P<key>0{0,3}[1-9][0-9]{0,8})" + _END


class Action(StrEnum):
    """What a message wants of an issue."""

    CLOSE = "close"
    REOPEN = "reopen"
    REFERENCE = "reference"


class Mention(NamedTuple):
    """One issue, as one message names it."""

    action: Action
    key: str
    """`4` or `ABC-123`."""


@dataclass(slots=True)
class Issue:
    """One issue that a push names."""

    key: str
    action: Action = Action.REFERENCE
    """Close or reopen, whichever was said last; else reference."""
    commits: list[Mapping[str, Any]] = field(default_factory=list)
    """Those of the payload that name it, oldest first."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """The words of one service, and what an issue is called there."""

    verb: re.Pattern[str] | None
    key: re.Pattern[str]
    """`named` matches what says that it is an issue, `key` the issue."""
    actions: Mapping[str, Action]
    """Verb in lower case -> what it wants."""
    bare: bool
    """An issue counts as referenced without a verb as well, if a word or a project's key says that it is one; `#12` may be anything."""

    @classmethod
    def of(
        cls,
        closes: Sequence[str] = CLOSES,
        reopens: Sequence[str] = REOPENS,
        references: Sequence[str] = REFERENCES,
        *,
        projects: Sequence[str] = (),
        bare: bool = False,
    ) -> Self:
        """With these verbs, in any case. Issues are numbers, or, given `projects`, keys as `ABC-123` of one of those."""
        by_action = {Action.REFERENCE: references, Action.REOPEN: reopens, Action.CLOSE: closes}
        actions = {word.lower(): action for action, words in by_action.items() for word in words}
        words = "|".join(map(re.escape, sorted(actions, key=len, reverse=True)))
        named = "|".join(map(re.escape, projects))
        key = re.compile(rf"(?P<key>(?P<named>{named})-[0-9]{{1,9}}){_END}") if projects else re.compile(_NUMBER, re.IGNORECASE)
        verb = re.compile(rf"(?<![\w/.#@-])(?:{words})(?![\w-])", re.IGNORECASE) if actions else None
        return cls(verb, key, actions, bare)

    def mentions(self, message: str) -> Iterator[Mention]:
        """In the order of the message, one for each time that an issue is named."""
        said = _prose(message[:MAX_MESSAGE_CHARS])
        for found in self.verb.finditer(said) if self.verb else ():
            action = self.actions[found[0].lower()]
            for key in self._list(said, _after(_AFTER_VERB, said, found.end())):
                yield Mention(action, key)
        if self.bare:
            for found in self.key.finditer(said):
                before = said[max(0, found.start() - 1) : found.start()]
                if _is_word(found["named"] or "") and not (before.isalnum() or before in ("_", "-", "/", ".", "#", "&")):
                    yield Mention(Action.REFERENCE, _plain(found["key"]))

    def _list(self, said: str, at: int) -> Iterator[str]:
        """The issues that stand at `at`, one after another; after a word in the plural, numbers alone do for the others."""
        is_plural = False
        while found := self.key.match(said, at):
            if not found["named"] and not is_plural:
                return
            is_plural = is_plural or found["named"].split()[0].lower().endswith("s")
            yield _plain(found["key"])
            at = _after(_BETWEEN, said, found.end())


def issues(commits: Iterable[Mapping[str, Any]], grammar: Grammar) -> list[Issue]:
    """The issues that the messages of `commits` (a payload's, oldest first) name, each once: those to close or reopen before the others."""
    named: dict[str, Issue] = {}
    for commit in commits:
        for action, key in grammar.mentions(str(commit.get("message") or "")):
            issue = named.setdefault(key, Issue(key))
            if action is not Action.REFERENCE:
                issue.action = action
            if not issue.commits or issue.commits[-1] is not commit:
                issue.commits.append(commit)
    return sorted(named.values(), key=lambda issue: issue.action is Action.REFERENCE)


def _prose(message: str) -> str:
    """`message` without its code, its addresses and quoted subjects."""
    lines: list[str] = []
    fence = ""
    for line in message.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        start = line.lstrip()[:3]
        if fence:
            fence = "" if start == fence else fence
        elif start in _FENCES:
            fence = start
        elif not _REVERTED.match(line):
            lines.append(line)
    return _NO_NAMES.sub(" ` ", "\n".join(lines))


def _after(gap: re.Pattern[str], said: str, at: int) -> int:
    """The end of `gap`, which may match nothing, at `at`; `at` where it would lead into another paragraph."""
    end = gap.match(said, at).end()  # type: ignore[union-attr]  # matches nothing as well
    return at if said.count("\n", at, end) > 1 else end


def _is_word(named: str) -> bool:
    return named[:1].isalpha() and not named.endswith("-")


def _plain(key: str) -> str:
    return str(int(key)) if key.isdigit() else key
