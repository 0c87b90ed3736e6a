"""Redmine: it is told to read the repository, or its issues are told of the commits that name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from brokers.base import Field
from brokers.config import ServiceSettings
from brokers.errors import ConfigError
from brokers.render.subject import alert_of
from brokers.secrets import Resolver
from brokers.trackers.comment import Style
from brokers.trackers.redmine import RedmineIssues
from brokers.trackers.tracker import WORDS, Tracker
from brokers.transport import http
from payload.dialects import encoding


class Redmine(Tracker):
    """Has Redmine read a repository at once that it knows by itself; or writes notes to the issues that commits name, and sets their status.

    The first is for a repository on Redmine's own machine: Redmine then links commits and issues by its own keywords
    (Administration, Settings, Repositories). It needs `key`, from the same page under "Enable WS for repository management".

        # git config                                   # hgrc
        [service "redmine"]                            [services]
            broker = redmine                           redmine.broker = redmine
            url = https://redmine.example.org          redmine.url = https://redmine.example.org
            project = kettle                           redmine.project = kettle
            key = file:/etc/oberon/redmine             redmine.key = file:/etc/oberon/redmine

    The second is for every other repository. It needs `token`: the API access key of a user, from "My account", while
    Administration, Settings, API has the REST web service enabled; and the numbers of the statuses (Administration, Issue
    statuses: the number in the address of each).

        # git config                                   # hgrc
        [service "redmine"]                            [services]
            broker = redmine                           redmine.broker = redmine
            url = https://redmine.example.org          redmine.url = https://redmine.example.org
            token = file:/etc/oberon/redmine           redmine.token = file:/etc/oberon/redmine
            closed-status = 5                          redmine.closed-status = 5

    Delivered is a push when Redmine has read the repository, and each issue has its note and status, or is not there. A note is not written
    twice: an attempt that is repeated looks for it first. Where the workflow knows no way to the status, Redmine leaves the old one.
    A push tells at most 20 issues, and each of at most 10 commits.
    """

    style = Style.REDMINE
    fields = (
        Field("URL", type="url", required=True, help="Redmine's address"),
        Field("Key", secret=True, help="the key of its repository management: it is told to read the repository"),
        Field("Project", help="with `key`: the identifier of one project; else all are read"),
        Field("Token", secret=True, help="the API access key of a user: notes are written to issues"),
        Field("Closed-Status", type="count", help="with `token`: the number of the status that closing sets"),
        Field("Reopened-Status", type="count", help="with `token`: the number of the status that reopening sets"),
        *WORDS,
    )

    @classmethod
    def settings_of(cls, service: ServiceSettings, resolve: Resolver | None = None) -> tuple[dict[str, Any], list[ConfigError]]:
        """As of every broker, and there has to be a key or a token."""
        values, problems = super().settings_of(service, resolve)
        if not values.get("key") and not values.get("token"):
            problems.append(
                ConfigError(
                    "neither a key nor a token is set",
                    setting=f"{service.section}.{service.service}.key",
                    origin=service.origins.get("broker", ""),
                    remedy="set one: see `oberon brokers redmine`",
                )
            )
        return values, problems

    def handle(self, payload: dict[str, Any]) -> str:
        """The note: whether the repository was read, and what became of which issue."""
        settings = payload["service"]
        if alert_of(payload):
            return "an alert names no issue"
        notes = []
        if settings.get("key"):
            # In the body: an address ends up in logs.
            asked = {"key": settings["key"], **({"id": settings["project"]} if settings.get("project") else {})}
            form = {"Content-Type": encoding.FORM_TYPE}
            place = settings["url"].rstrip("/") + "/sys/fetch_changesets"
            http.check(http.post(place, data=urlencode(asked).encode(), headers=form))
            notes.append("the repository was read")
        if settings.get("token"):
            notes.append(super().handle(payload))
        return "; ".join(notes)

    def tracker(self, payload: Mapping[str, Any]) -> RedmineIssues:
        """The server's issues."""
        return RedmineIssues(payload["service"])
