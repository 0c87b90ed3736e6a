"""Read the Docs: a push makes it build the branch's documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.base import BaseBroker, Field
from brokers.render.heads import heads
from brokers.transport import http
from brokers.transport.rest import Rest, value
from payload import text


class ReadTheDocs(BaseBroker):
    """Has Read the Docs build the documentation of each branch that was pushed.

    It needs a "Generic API incoming webhook" of the project (Settings, Integrations, Add integration), whose page shows address and token.

        # git config                                                          # hgrc
        [service "docs"]                                                      [services]
            broker = readthedocs                                              docs.broker = readthedocs
            url = https://app.readthedocs.org/api/v2/webhook/kettle/1234/     docs.url = https://app.readthedocs.org/api/v2/webhook/kettle/1234/
            token = file:/etc/oberon/readthedocs                              docs.token = file:/etc/oberon/readthedocs

    It is one request a push, with the names of all branches that were pushed; none for tags, bookmarks and deleted branches.

    The note has the versions that are built. `nothing is built` is delivered too: no active version is of those branches.
    """

    fields = (
        Field("URL", type="url", required=True, help="the webhook's address, as the page of the integration shows it"),
        Field("Token", secret=True, required=True, help="the token on that page"),
        Field("Default-Branch", help="the repository's default branch, where Read the Docs is to follow it"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note: the versions that are built."""
        settings = payload["service"]
        branches = [text.repair(head.branch) for head in heads(payload)]
        if not branches:  # without any, Read the Docs would build the default one
            return "nothing to build: no branch was pushed"
        asked = {"branches": branches, "token": settings["token"]}
        if settings.get("default-branch"):
            asked["default_branch"] = settings["default-branch"]
        answer = value(Rest(settings["url"]).request("POST", "", asked), dict)
        versions = [text.visible(str(version)) for version in answer.get("versions") or ()]
        return (
            f"builds {', '.join(versions)}" if versions else f"nothing is built: no active version is of {len(branches)} branches"
        )

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of Read the Docs."""
        return http.endpoint(str(settings.get("url", "")))
