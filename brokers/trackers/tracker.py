"""The base of the brokers that tell an issue tracker which commits name its issues, and close and reopen them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from brokers.base import BaseBroker
from brokers.errors import DeliveryFailed
from brokers.fields import Field
from brokers.render.subject import beyond
from brokers.trackers import verbs
from brokers.trackers.comment import Style, comment, untold
from brokers.trackers.verbs import Action, Grammar, Issue
from brokers.transport import http
from payload import text

MAX_ISSUES = 20
"""Of one push; those to close or reopen first."""
_MARGIN = timedelta(days=1)

WORDS = (
    Field("Closes", type="list", default=verbs.CLOSES, help="words that close the issues after them; empty: none do"),
    Field("Reopens", type="list", default=verbs.REOPENS, help="words that open them again"),
    Field("References", type="list", default=verbs.REFERENCES, help="words that only have the commit told there"),
)
"""Fields of every tracker."""


@dataclass(frozen=True, slots=True)
class Found:
    """An issue as its tracker has it."""

    comments: Sequence[str] = ()
    """Their texts: all, or the newest, or those since shortly before the push."""
    is_open: bool | None = None
    """None: the tracker does not say."""


class IssueTracker(Protocol):
    """What one tracker does."""

    def find(self, key: str) -> Found | None:
        """The issue; None if there is none that the login may see."""

    def update(self, key: str, said: str, action: Action | None) -> str:
        """Comment `said` ('': nothing), and close or reopen (None: neither). What kept it from that, in two words; '' if nothing did."""


_DONE = {Action.CLOSE: "closed", Action.REOPEN: "reopened"}


class Tracker(BaseBroker):
    """Each issue that a push names is told of the commits that name it, once, and then closed or reopened.

    First the issue is read: one that is not there is left out, and what an earlier attempt has said and done is neither
    said nor done again. Where one issue is refused, the others are told all the same, and the attempt fails after them.
    """

    abstract = True
    style: ClassVar[Style] = Style.PLAIN

    def handle(self, payload: dict[str, Any]) -> str:
        """The note: what became of which issue."""
        settings = payload["service"]
        named = verbs.issues(payload["commits"], self.grammar(settings))
        unread = beyond(payload, len(payload["commits"]), "read")
        if not named:
            return "; ".join(["no commit names an issue", *unread])
        tracker = self.tracker(payload)
        results: dict[str, list[str]] = {}
        failed: DeliveryFailed | None = None
        for issue in named[:MAX_ISSUES]:
            try:
                results.setdefault(self._settle(tracker, payload, issue), []).append(issue.key)
            except DeliveryFailed as error:
                if error.endpoint_down or error.slow_down:
                    raise
                failed = failed or error
        if failed:
            raise failed
        notes = [f"{result}: {', '.join(keys)}" for result, keys in results.items()]
        left_out = len(named) - MAX_ISSUES
        notes += [f"{left_out} more issues are not told"] if left_out > 0 else []
        return text.visible("; ".join(notes + unread))

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the tracker."""
        return http.endpoint(str(settings.get("url", "")))

    def grammar(self, settings: Mapping[str, Any]) -> Grammar:
        """How commits name the tracker's issues."""
        return Grammar.of(settings["closes"], settings["reopens"], settings["references"])

    def tracker(self, payload: Mapping[str, Any]) -> IssueTracker:
        """The tracker that the payload's settings tell of."""
        raise NotImplementedError

    def _settle(self, tracker: IssueTracker, payload: Mapping[str, Any], issue: Issue) -> str:
        found = tracker.find(issue.key)
        if found is None:
            return "not there"
        new = untold(issue.commits, found.comments)
        said = comment(payload, new, self.style) if new else ""
        is_settled = issue.action is Action.REFERENCE or found.is_open is (issue.action is Action.REOPEN)
        if not said and is_settled:
            return told_only(said)
        kept_back = tracker.update(issue.key, said, None if is_settled else issue.action)
        return kept_back or (told_only(said) if is_settled else _DONE[issue.action])


def told_only(said: str) -> str:
    """What became of an issue that was commented on (`said`), or had been before, and is as open or closed as it was."""
    return "told" if said else "told before"


def since(payload: Mapping[str, Any], name: str = "since") -> dict[str, str]:
    """The query for what came after the push: `name`, and as its value `2026-03-29T06:26:40Z`; {} if nobody knows when that was.

    A day earlier, since no two clocks agree.
    """
    time = (payload.get("oberon") or {}).get("time")
    return {name: f"{datetime.fromisoformat(time) - _MARGIN:%Y-%m-%dT%H:%M:%SZ}"} if time else {}
