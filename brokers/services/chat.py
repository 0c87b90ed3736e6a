"""Chat: the push as a message to a chat or push service, over apprise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from brokers.base import BaseBroker, Field
from brokers.config import ServiceSettings
from brokers.render.chat import message
from brokers.render.neutral import Markup
from brokers.secrets import SECRET_WORDS, SHORTEST_MASKED, is_reference
from brokers.transport import chat

_LOCAL = frozenset({"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
_TOKEN = re.compile(r"(?=.*\d|.*[a-z].*[A-Z]).{8,}", re.DOTALL)
"""A part of an address that is shorter, or has neither a digit nor a capital within it, is a name."""
_HOST = re.compile(r"localhost|(?:[a-z0-9-]+\.)+(?:[a-z]{2,}|xn--[a-z0-9-]+)\.?|\d+(?:\.\d+){3}|\[[0-9a-f:.]+\]", re.IGNORECASE)
"""What of an address is a place, where another service has a token: `o.gn5kj6nfhv736I7j`."""


def _check(value: str) -> None:
    for url in value.split():
        scheme, separator, rest = url.partition("://")
        if not separator or not rest or not re.fullmatch(r"[a-z0-9]+", scheme.lower()) or not _is_readable(url):
            raise ValueError("write apprise's addresses, as mmosts://chat.example.org/TOKEN, one after another")
        if scheme.lower() in _LOCAL:
            raise ValueError(f"{scheme} is of the machine on which the deliveries run, where nobody would see it: name a service")


def _is_readable(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def _is_place(netloc: str) -> bool:
    return _HOST.fullmatch(re.sub(r":\d+$", "", netloc)) is not None


def _secrets(url: str) -> list[str]:
    """What of an address lets its reader speak in the chat: passwords, and all that looks like a token."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    words = ["" if _is_place(host) else host, parts.username or "", *re.split("[/@:]", parts.path)]
    found = [word for word in words if _TOKEN.fullmatch(word)]
    found += [value for key, value in parse_qsl(parts.query) if any(word in key.lower() for word in (*SECRET_WORDS, "sig"))]
    found += [url, parts.password or ""]
    return [secret for word in found for secret in {word, unquote(word)} if len(secret) >= SHORTEST_MASKED]


class Chat(BaseBroker):
    """Tells a chat or push service of each push, in one message: any of the 170 that apprise knows.

    It needs `oberon-brokers[chat]`, and the service's address as apprise writes it: brokers/services/chat.md has those of Slack,
    Mattermost, Rocket.Chat, Discord, Matrix, Zulip, Telegram, Teams, Google Chat, ntfy, Gotify and IRC, and where to get the
    tokens in them; https://appriseit.com/services/ has all. Several addresses, one after another, all get it; if one of them
    fails, all get it again, so better give each a service of its own.

        # git config                                   # hgrc
        [service "team"]                               [services]
            broker = chat                              team.broker = chat
            url = mmosts://chat.example.org/TOKEN      team.url = mmosts://chat.example.org/TOKEN
            maxAge = 1h                                team.maxAge = 1h

    Nothing in a commit names anybody, formats or links; the links are to the commits. It counts as delivered when the service
    has taken it, by what apprise knows of its answers. News grow old: with maxAge = 1h none comes after an hour.
    """

    fields = (
        Field("URL", required=True, secret=True, validate=_check, help="where to send it: apprise's address of the service"),
    )
    requires: ClassVar[Mapping[str, str]] = {"apprise": "chat"}

    def handle(self, payload: dict[str, Any]) -> str:
        """The note names the services that took it."""
        markups = (Markup.TEXT, Markup.MARKDOWN, Markup.HTML, Markup.IRC)
        return chat.send(payload["service"]["url"].split(), {str(markup): asdict(message(payload, markup)) for markup in markups})

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the first address; its scheme, where that is a service with one place for all. '' of one that stands elsewhere."""
        url = next(iter(str(settings.get("url", "")).split()), "")
        parts = urlsplit("" if is_reference(url) else url)
        place = parts.netloc.rpartition("@")[2]
        return place if _is_place(place) else parts.scheme

    @classmethod
    def secrets_of(cls, service: ServiceSettings, values: Mapping[str, Any]) -> list[str]:
        """The addresses, and each token in them: a request has these one by one."""
        return [
            *super().secrets_of(service, values),
            *(found for url in str(values.get("url", "")).split() for found in _secrets(url)),
        ]
