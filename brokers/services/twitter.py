"""Twitter: the push as a status, on X or on what speaks Twitter's first API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from brokers.base import BaseBroker, Field
from brokers.errors import ConfigError
from brokers.render.neutral import BREAK
from brokers.render.status import ONE_COMMIT, SEVERAL_COMMITS, plain_length, status, x_length
from brokers.transport import http

_KEYS = ("consumer-key", "consumer-secret", "token", "token-secret")
_X_CHARS, _OLD_CHARS = 280, 140


class Twitter(BaseBroker):
    """Posts a status for each push: on X, or on GNU social and whatever else takes Twitter's `statuses/update`.

    It needs `oberon-brokers[social]`. For X, of an app that may write, from "Keys and tokens" at https://developer.x.com/: the
    consumer key and its secret, the access token and its secret. For the others their API's address, a user and a password.

        # git config                                   # hgrc
        [service "x"]                                  [services]
            broker = twitter                           x.broker = twitter
            consumer-key = file:/etc/oberon/x1         x.consumer-key = file:/etc/oberon/x1
            consumer-secret = file:/etc/oberon/x2      x.consumer-secret = file:/etc/oberon/x2
            token = file:/etc/oberon/x3                x.token = file:/etc/oberon/x3
            token-secret = file:/etc/oberon/x4         x.token-secret = file:/etc/oberon/x4
        [service "social"]
            broker = twitter                           social.broker = twitter
            url = https://social.example.org/api       social.url = https://social.example.org/api
            username = foo                             social.username = foo
            password = file:/etc/oberon/social         social.password = file:/etc/oberon/social

    One commit is told by Format, several by Summary, in one status; `${commit.message}` and the like lose their ends where it
    would be longer than Max, as the service counts. Nobody whom a commit names is notified. A 2xx is success, and so is a
    refusal because the account has said the same already: an attempt whose answer was lost is made again.
    """

    fields = (
        Field("Consumer-Key", secret=True, help="X: the app's key"),
        Field("Consumer-Secret", secret=True, help="X: the app's secret"),
        Field("Token", secret=True, help="X: the account's access token"),
        Field("Token-Secret", secret=True, help="X: the access token's secret"),
        Field("API", type="url", default="https://api.x.com", help="X: where its API is"),
        Field("URL", type="url", help="others: the address of their API, as https://social.example.org/api"),
        Field("Username", help="others: the account"),
        Field("Password", secret=True, help="others: its password"),
        Field("Format", type="commit text", default=ONE_COMMIT, help="what is said of one commit"),
        Field("Summary", type="push text", default=SEVERAL_COMMITS, help="what is said of several"),
        Field("Max", type="count", help="how many characters the service takes; else 280 of X, 140 of others"),
    )
    requires: ClassVar[Mapping[str, str]] = {"oauthlib": "social"}

    def handle(self, payload: dict[str, Any]) -> str:
        """The note is the answer's status line."""
        service = payload["service"]
        format_, summary = service.get("format", ONE_COMMIT), service.get("summary", SEVERAL_COMMITS)
        if service.get("url"):
            limit = service.get("max") or _OLD_CHARS
            # `sub ann` is a command to GNU social, as is `off`: nothing that was pushed shall stand at the beginning.
            said = BREAK + status(payload, format_, summary, lambda text: plain_length(BREAK + text) <= limit)
            return _judged(_update(service, said))
        if any(not service.get(key) for key in _KEYS):
            told = "X takes no user and password any more" if service.get("password") else "it is not said where to post"
            remedy = f"set {', '.join(_KEYS)} for X, or url, username and password for a service with Twitter's old API"
            raise ConfigError(told, remedy=remedy)
        limit = service.get("max") or _X_CHARS
        return _judged(_tweet(service, status(payload, format_, summary, lambda text: x_length(text) <= limit)))

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the API."""
        return http.endpoint(str(settings.get("url") or settings.get("api") or ""))


def _update(service: Mapping[str, Any], said: str) -> http.Response:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    auth = (service.get("username", ""), service.get("password", ""))
    url = service["url"].rstrip("/") + "/statuses/update.json"
    return http.post(url, data=urlencode({"status": said}).encode(), headers=headers, auth=auth)


def _tweet(service: Mapping[str, Any], said: str) -> http.Response:
    from oauthlib.oauth1 import Client  # type: ignore[import-untyped]  # it ships no types

    url = service["api"].rstrip("/") + "/2/tweets"
    # The body is no part of the signature: it is no form (RFC 5849, 3.4.1.3.1).
    _, headers, _ = Client(*(service[key] for key in _KEYS)).sign(url, "POST")
    return http.post(url, data=json.dumps({"text": said}).encode(), headers={**headers, "Content-Type": "application/json"})


def _judged(answer: http.Response) -> str:
    if answer.status == 403 and b"duplicate" in answer.body.lower():  # noqa: PLR2004 - Forbidden
        return f"{answer}: it was there already"
    return str(http.check(answer))
