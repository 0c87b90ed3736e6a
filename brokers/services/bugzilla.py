"""Bugzilla: the bugs that commits name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.base import Field
from brokers.trackers.bugzilla import Bugs
from brokers.trackers.tracker import WORDS, Tracker
from brokers.trackers.verbs import Grammar


class Bugzilla(Tracker):
    """Comments on the bugs that commit messages name (`bug 1234`, `refs #1234`), resolves them (`fixes bug 1234`) and opens them again.

    It needs Bugzilla 5.0 or later, its address, and the API key of a user who may edit bugs: Preferences, API Keys.

        # git config                                   # hgrc
        [service "bugs"]                               [services]
            broker = bugzilla                          bugs.broker = bugzilla
            url = https://bugs.example.org             bugs.url = https://bugs.example.org
            key = file:/etc/oberon/bugzilla            bugs.key = file:/etc/oberon/bugzilla

    Delivered is a push when each bug it names has its comment and its status, or is not there for that user. An attempt that is
    repeated looks for the comment first. What closes and what does not is said by `refs`; a commit counts on the branch where it
    came first, and does not when that is merged later. A push tells at most 20 bugs, and each of at most 10 commits.
    """

    fields = (
        Field("URL", type="url", required=True, help="Bugzilla's address"),
        Field("Key", secret=True, required=True, help="the API key of a user who may edit bugs"),
        Field("Closed-Status", default="RESOLVED", help="the status that closing sets"),
        Field("Resolution", default="FIXED", help="and its resolution"),
        Field("Reopened-Status", default="CONFIRMED", help="the status that reopening sets; in older workflows REOPENED"),
        *WORDS,
    )

    def grammar(self, settings: Mapping[str, Any]) -> Grammar:
        """A bug needs no verb."""
        return Grammar.of(settings["closes"], settings["reopens"], settings["references"], bare=True)

    def tracker(self, payload: Mapping[str, Any]) -> Bugs:
        """The server's bugs."""
        return Bugs(payload)
