"""Jira: the issues that commits name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from brokers.base import Field
from brokers.trackers.comment import Style
from brokers.trackers.jira import JiraIssues
from brokers.trackers.tracker import WORDS, Tracker
from brokers.trackers.verbs import Grammar

_PROJECT = re.compile(r"[A-Z][A-Z0-9_]+")


def _check_projects(projects: Sequence[str]) -> None:
    if not projects or not all(map(_PROJECT.fullmatch, projects)):
        raise ValueError("write the projects' keys in capitals, as ABC, OPS")


class Jira(Tracker):
    """Comments on the Jira issues that commit messages name (`ABC-123`), and moves them on (`fixes ABC-123`, `reopens ABC-123`).

    It needs the address, the keys of the projects (else `UTF-8` would be an issue), and a login. For Cloud: `user`, the mail
    address of an account, and `token`, an API token from id.atlassian.com, Security. For Data Center: `token` alone, a personal
    access token from the profile page. The account must be allowed to comment on and to transition issues.

        # git config                                   # hgrc
        [service "jira"]                               [services]
            broker = jira                              jira.broker = jira
            url = https://example.atlassian.net        jira.url = https://example.atlassian.net
            user = oberon@example.org                  jira.user = oberon@example.org
            token = file:/etc/oberon/jira              jira.token = file:/etc/oberon/jira
            projects = ABC, OPS                        jira.projects = ABC, OPS
            close-transition = Resolve Issue           jira.close-transition = Resolve Issue

    Transitions are named as on the issue's page. One that the workflow does not offer where the issue is now is left out, and the
    note says so. Delivered is a push when each issue has its comment, and the transition where there is one, or is not there.
    An attempt that is repeated looks for the comment first, and leaves alone what is in the right kind of status. A push tells
    at most 20 issues, and each of at most 10 commits.
    """

    style = Style.JIRA
    fields = (
        Field("URL", type="url", required=True, help="Jira's address"),
        Field("User", help="Cloud: the mail address of the account that the token is of"),
        Field("Token", secret=True, required=True, help="an API token (Cloud) or a personal access token (Data Center)"),
        Field("Projects", type="list", required=True, validate=_check_projects, help="the keys of the projects: ABC, OPS"),
        Field("Close-Transition", default="Done", help="the transition that closes; empty: none"),
        Field("Reopen-Transition", default="To Do", help="the transition that opens again; empty: none"),
        *WORDS,
    )

    def grammar(self, settings: Mapping[str, Any]) -> Grammar:
        """An issue's key needs no verb."""
        words = settings["closes"], settings["reopens"], settings["references"]
        return Grammar.of(*words, projects=settings["projects"], bare=True)

    def tracker(self, payload: Mapping[str, Any]) -> JiraIssues:
        """The server's issues."""
        return JiraIssues(payload["service"])
