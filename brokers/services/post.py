"""POST: the push to an address, as Bitbucket's POST service sent it, or as GitHub, Gitea or GitLab would."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from brokers.base import BaseBroker, Field
from brokers.errors import PermanentFailure
from brokers.render import webhook
from brokers.render.subject import alert_of
from brokers.render.template import PUSH, Template, check_json, values_of
from brokers.transport import http, signature
from payload.dialects import REQUESTS

_SCHEMES = {"gitea": "gitea", "gitlab": "gitlab"}  # how the format's service signs; others as GitHub


def _check_hooks(hooks: Collection[str]) -> None:
    if not hooks or not set(hooks) <= set(webhook.HOOKS):
        raise ValueError(f"write some of {', '.join(webhook.HOOKS)}")


class Post(BaseBroker):
    r"""Sends each push to an address, as a form with one field, `payload`, that holds JSON.

    Whatever understands Bitbucket's POST service understands it: Buildbot, Weblate, Jenkins' Bitbucket plugin, Packagist.
    Other receivers want another `format`: `github`, `gitea` or `gitlab`, each as that service writes it, with its headers,
    or `json`, all that Oberon knows of the push.

    It needs the address; one with `user:password@` logs in with basic authentication. It may hold `${repository.slug}`
    and its like, behind the host; what is put there is percent-encoded.

        # git config                                   # hgrc
        [service "ci"]                                 [services]
            broker = post                              ci.broker = post
            url = https://ci.example.org/hook          ci.url = https://ci.example.org/hook
        [service "deploy"]
            broker = post                              deploy.broker = post
            url = https://example.org/github           deploy.url = https://example.org/github
            format = github                            deploy.format = github
            secret = file:/etc/oberon/deploy           deploy.secret = file:/etc/oberon/deploy

    `github` and `gitea` send a `push` for each branch and tag that moved, with its newest 2048 or 15 commits, `create` and
    `delete` only if `hooks` names them: most receivers know `push` alone. Of a branch that is gone Gitea tells by `delete`
    and no `push`. `gitlab` sends a Push Hook or Tag Push Hook for each, with its newest 20 commits.

    With a `secret` each request is signed as the format's service does it (`X-Hub-Signature-256`, `X-Gitea-Signature`,
    `X-Gitlab-Token`); `sign = standard` signs by Standard Webhooks, during a rotation also with `old-secret`. Without one
    nothing is signed.

    `body` says it in your own words, as JSON, or whatever `content` says; each value is encoded for where it stands. Git
    takes a `"` with a backslash before it only:

        # git config                                   # hgrc
        body = "{\"text\": \"${subject}\"}"           ci.body = {"text": "${subject}"}

    It is delivered when every request was answered with a 2xx. Redirects are not followed, so give the final address. If one
    fails, all are sent again, each with the id that it had (`X-GitHub-Delivery`, `X-Gitea-Delivery`, `Idempotency-Key`,
    `webhook-id`): a receiver can tell by it what it has seen.
    """

    fields = (
        Field("URL", required=True, type="push url", help="where to send it: https://[user:password@]host/path"),
        Field("Format", type="choice", choices=tuple(REQUESTS), default="bitbucket", help="whose webhook it looks like"),
        Field("Hooks", type="list", default=("push",), validate=_check_hooks, help="of github and gitea: push, create, delete"),
        Field(
            "Content",
            type="choice",
            choices=tuple(webhook.CONTENTS),
            help="of the body; else form for bitbucket, json for others",
        ),
        Field("Content-Type", help="the header, if it is to be another one"),
        Field("Method", type="choice", choices=("POST", "PUT"), default="POST", help="the request's method"),
        Field("Headers", type="headers", secret=True, help="more headers, one a line: `X-Token: abc`"),
        Field("Body", type="push text", validate=check_json, help='what to send instead, as {"text": "${subject}"}'),
        Field("Secret", secret=True, validate=signature.check, help="what requests are signed with"),
        Field("Old-Secret", secret=True, validate=signature.check, help="the one before it, for `sign = standard`"),
        Field("Sign", type="choice", choices=("service", "hub", "standard"), default="service", help="how they are signed"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note is the last answer's status line: `200 OK`."""
        settings = payload["service"]
        url = settings["url"]
        if "${" in url:
            url = Template.parse(url, PUSH, "url").expand(values_of(payload))
        method, answers = settings.get("method") or "POST", []
        for message in webhook.messages(payload, settings):
            headers = {**message.headers, **_headers(message, settings)}
            answers.append(http.check(http.request(method, url, data=message.body, headers=headers)))
        if not answers and alert_of(payload):
            raise PermanentFailure(f"{settings['format']} has no words for an alert; let oberon.alert name another service")
        if not answers:
            return f"nothing to send: {settings['format']} has no event for this push, or `hooks` leaves it out"
        return str(answers[-1]) if len(answers) == 1 else f"{len(answers)} requests, the last: {answers[-1]}"

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the address."""
        return http.endpoint(str(settings.get("url", "")))


def _headers(message: webhook.Message, settings: Mapping[str, Any]) -> dict[str, str]:
    """The admin's own, and the signature's."""
    headers = dict(line.split(": ", 1) for line in settings.get("headers") or ())
    if settings.get("secret"):
        secrets = tuple(filter(None, (settings["secret"], settings.get("old-secret"))))
        scheme = settings.get("sign") or "service"
        sign = signature.SCHEMES[_SCHEMES.get(settings.get("format") or "", "hub") if scheme == "service" else scheme]
        headers |= sign(signature.Signed(message.id, message.body, message.json, secrets))
    return headers
