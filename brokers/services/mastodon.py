"""Mastodon: the push as a status."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from brokers.base import BaseBroker, Field
from brokers.render.status import ONE_COMMIT, SEVERAL_COMMITS, mastodon_length, status
from brokers.transport import http


class Mastodon(BaseBroker):
    """Posts a status for each push, on Mastodon or what has its API (Pleroma, Akkoma, GoToSocial).

    It needs the server's address and a token with the scope `write:statuses`: Preferences, Development, New application, "Your
    access token".

        # git config                                   # hgrc
        [service "toot"]                               [services]
            broker = mastodon                          toot.broker = mastodon
            url = https://social.example.org           toot.url = https://social.example.org
            token = file:/etc/oberon/mastodon          toot.token = file:/etc/oberon/mastodon

    One commit is told by Format, several by Summary, in one status; `${commit.message}` and the like lose their ends where it
    would be longer than Max. Nobody whom a commit names is notified. A 2xx is success; asked twice within an hour, the server
    posts it once.
    """

    fields = (
        Field("URL", type="url", required=True, help="the server: https://social.example.org"),
        Field("Token", secret=True, required=True, help="an access token that may write statuses"),
        Field(
            "Visibility",
            type="choice",
            choices=("public", "unlisted", "private", "direct"),
            default="unlisted",
            help="who sees it",
        ),
        Field("Format", type="commit text", default=ONE_COMMIT, help="what is said of one commit"),
        Field("Summary", type="push text", default=SEVERAL_COMMITS, help="what is said of several"),
        Field("Max", type="count", default=500, help="how many characters the server takes"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note is the answer's status line."""
        service = payload["service"]
        said = status(payload, service["format"], service["summary"], lambda text: mastodon_length(text) <= service["max"])
        event = (payload.get("oberon") or {}).get("event") or hashlib.sha256(said.encode()).hexdigest()
        headers = {
            "Authorization": f"Bearer {service['token']}",
            "Idempotency-Key": event,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = urlencode({"status": said, "visibility": service["visibility"]}).encode()
        return str(http.check(http.post(service["url"].rstrip("/") + "/api/v1/statuses", data=form, headers=headers)))

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the server."""
        return http.endpoint(str(settings.get("url", "")))
