"""irker: the push as lines on IRC, through a daemon that stays there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from brokers.base import BaseBroker, Field
from brokers.config import ServiceSettings
from brokers.render import irc
from brokers.secrets import SHORTEST_MASKED
from brokers.transport.lines import send

PORT = 6659
"""irkerd(8)."""


def _check(urls: list[str]) -> None:
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("irc", "ircs") or not parts.hostname or not (parts.path.strip("/") or parts.fragment):
            raise ValueError("write channels as irc://irc.example.org/builds, one after another")


class Irker(BaseBroker):
    """Tells IRC channels of each push, through irkerd, which stays in them: no joining and leaving with each message.

    It needs an irkerd (Debian's package `irker`; http://www.catb.org/esr/irker/), and the channels, as irkerd(8) writes them:
    `ircs` for TLS, `?key=KEY` for a channel that has one, `,isnick` behind a name that is a person's. Quote what has a `#` in
    git's configuration; it may be left out.

        # git config                                   # hgrc
        [service "irc"]                                [services]
            broker = irker                             irc.broker = irker
            to = ircs://irc.example.org/builds         irc.to = ircs://irc.example.org/builds
            host = localhost                           irc.host = localhost
            maxAge = 1h                                irc.maxAge = 1h

    One commit is one line. Several are a line that says how many, and one for each of the newest, up to Max-Lines in all.
    irkerd answers nothing. Over TCP it counts as delivered when irkerd has read all of it; over UDP when it is sent, whether or
    not somebody listens. What IRC makes of it is in irkerd's log only.
    """

    fields = (
        Field("To", required=True, type="list", validate=_check, help="the channels: irc://HOST/CHANNEL, one after another"),
        Field("Host", default="localhost", help="where irkerd runs"),
        Field("Port", type="count", default=PORT, help="its port"),
        Field("Transport", type="choice", choices=("tcp", "udp"), default="tcp", help="how it is spoken to"),
        Field("Max-Lines", type="count", default=5, help="how many lines a push may have"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note says how many lines were sent, and where."""
        service = payload["service"]
        said = irc.lines(payload, service["max-lines"])
        requests = [json.dumps({"to": service["to"], "privmsg": line}) for line in said]
        return send(service["host"], service["port"], requests, udp=service["transport"] == "udp")

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of irkerd."""
        return f"{settings.get('host') or 'localhost'}:{settings.get('port') or PORT}"

    @classmethod
    def secrets_of(cls, service: ServiceSettings, values: Mapping[str, Any]) -> list[str]:
        """Keys of channels, beside what any address may hold."""
        keys = [url.partition("?")[2].removeprefix("key=") for url in values.get("to") or ()]  # irkerd takes `?KEY` too
        return [*super().secrets_of(service, values), *(key for key in keys if len(key) >= SHORTEST_MASKED)]
