"""POST: the push as Bitbucket's POST service sent it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.base import BaseBroker, Field
from brokers.transport import http
from payload.dialects import bitbucket


class Post(BaseBroker):
    """Sends each push to an address, as a form with one field, `payload`, that holds JSON.

    Whatever understands Bitbucket's POST service understands it: Buildbot, Weblate, Jenkins' Bitbucket plugin, Packagist.

    It needs the address; one with `user:password@` logs in with basic authentication.

        # git config                                   # hgrc
        [service "ci"]                                 [services]
            broker = post                              ci.broker = post
            url = https://ci.example.org/hook          ci.url = https://ci.example.org/hook

    Any 2xx is success. Redirects are not followed, so give the final address.
    """

    fields = (Field("URL", required=True, type="url", help="where to send it: https://[user:password@]host/path"),)

    def handle(self, payload: dict[str, Any]) -> str:
        """The note is the answer's status line: `200 OK`."""
        headers = {**bitbucket.HEADERS, "Content-Type": bitbucket.CONTENT_TYPE}
        return str(http.check(http.post(payload["service"]["url"], data=bitbucket.form(payload), headers=headers)))

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the address."""
        return http.endpoint(str(settings.get("url", "")))
