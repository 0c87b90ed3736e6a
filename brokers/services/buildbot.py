"""Buildbot: a change for each commit that was pushed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from brokers.base import BaseBroker, Field
from brokers.render.changes import changes
from brokers.render.heads import heads
from brokers.render.subject import total_commits
from brokers.render.template import PUSH, Template, values_of
from brokers.transport import http
from payload.dialects import bitbucket

MAX_CHANGES = 100
"""Of one push, unless the service says otherwise."""
_NAMES = ("repository", "project", "codebase", "category")
_FORM = {"Content-Type": bitbucket.CONTENT_TYPE}


class Buildbot(BaseBroker):
    """Sends Buildbot a change for each commit that was pushed, over its change hooks.

    Buildbot takes them if its master.cfg says so, best with a login (its manual: Change Hooks, Change Hooks Auth):

        c['www'] = {..., 'change_hook_dialects': {'base': True},
                    'change_hook_auth': [strcred.makeChecker('file:/srv/buildbot/changehook.passwd')]}

        # git config                                     # hgrc
        [service "ci"]                                   [services]
            broker = buildbot                            ci.broker = buildbot
            url = https://buildbot.example.org           ci.url = https://buildbot.example.org
            user = oberon                                ci.user = oberon
            password = file:/etc/oberon/buildbot         ci.password = file:/etc/oberon/buildbot
            project = kettle                             ci.project = kettle

    With `dialect = base` it is one request for each commit, oldest first, and the change says all there is: author, message,
    branch, files, time, page, repository; as properties `scm`, `pusher` and `oberon_event`, the push's own id. A branch that came
    to a known commit, made or rewound, is a change without files by the pusher. Of more than `max-changes` commits the newest are sent,
    and the last of each branch. With `dialect = bitbucket` it is one request for all of a push, as Bitbucket's POST service
    sent it; nothing of branches without new commits, and links as Bitbucket has them. Tags and deleted branches are not told.

    It is delivered when Buildbot has accepted all of it (202). Buildbot takes a change twice if it is sent twice: when an answer was
    lost, or a request after the first one failed, where `base` begins anew from the first commit. What is not built yet is built
    once for both (`collapseRequests`, which Buildbot does unless told otherwise); the property `oberon_event` is the same in both.
    """

    fields = (
        Field("URL", type="url", required=True, help="Buildbot's address, as https://buildbot.example.org"),
        Field("User", help="the login of change_hook_auth, if there is one"),
        Field("Password", secret=True, help="its password"),
        Field("Dialect", type="choice", choices=("base", "bitbucket"), default="base", help="which change hook takes it"),
        Field("Repository", type="push text", help="what changes name as their repository; else its page; `base` alone has it"),
        Field("Project", type="push text", help="what they name as their project"),
        Field("Codebase", type="push text", help="what they name as their codebase; `base` alone has it"),
        Field("Category", type="push text", help="what they name as their category; `base` alone has it"),
        Field("Max-Changes", type="count", default=MAX_CHANGES, help="of one push; for `base`, which takes a request for each"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note: how many changes Buildbot was told of."""
        settings, values = payload["service"], values_of(payload)
        own = {name: Template.parse(settings[name], PUSH).expand(values) for name in _NAMES if settings.get(name)}
        auth = (settings["user"], settings.get("password") or "") if settings.get("user") else None
        if settings.get("dialect") == "bitbucket":
            told, headers = len(payload["commits"]), {**_FORM, **bitbucket.HEADERS}
            query = f"?{urlencode({'project': own['project']})}" if "project" in own else ""
            place, bodies = f"bitbucket{query}", [bitbucket.form(payload)] if told else []
        else:
            place, headers = "base", _FORM
            made = changes(payload, settings.get("max-changes") or MAX_CHANGES)
            told, bodies = len(made), [urlencode({**change, **own}).encode("ascii") for change in made]
        for body in bodies:
            http.check(http.post(f"{settings['url'].rstrip('/')}/change_hook/{place}", data=body, headers=headers, auth=auth))
        if not told:
            return "no commit and no branch to tell of"
        known = 0 if settings.get("dialect") == "bitbucket" else sum(not head.commits for head in heads(payload))
        left_out = total_commits(payload) + known - told
        return f"changes: {told}" + (f"; {left_out} more are not told" if left_out > 0 else "")

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of Buildbot."""
        return http.endpoint(str(settings.get("url", "")))
