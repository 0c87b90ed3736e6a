"""Packagist: a push makes it look at the package's branches and tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.base import BaseBroker, Field
from brokers.render.heads import repository_address
from brokers.render.subject import alert_of
from brokers.transport import http
from brokers.transport.rest import Rest, value
from payload import text


class Packagist(BaseBroker):
    """Has Packagist look at a repository's branches and tags again, so that Composer finds them at once.

    It needs the name of a maintainer of the package and an API token of theirs (packagist.org, Profile, Show API Token; the SAFE one
    will do), and the repository's address as the package has it, if it is not that of the repository's page. Packagist has to reach it.

        # git config                                           # hgrc
        [service "packagist"]                                  [services]
            broker = packagist                                 packagist.broker = packagist
            user = ada                                         packagist.user = ada
            token = file:/etc/oberon/packagist                 packagist.token = file:/etc/oberon/packagist
            repository = https://git.example.org/team/kettle   packagist.repository = https://hg.example.org/team/kettle

    It is one request a push, whatever moved. It is delivered when Packagist has accepted it (202); a 404 says that `user` maintains
    no package of that repository.
    """

    fields = (
        Field("User", required=True, help="who maintains the package, by their name at Packagist"),
        Field("Token", secret=True, required=True, help="their API token"),
        Field("Repository", type="push text", help="the repository's address as the package has it; else that of its page"),
        Field("URL", type="url", default="https://packagist.org", help="a Packagist of your own"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note: what Packagist says of it, `success`."""
        settings = payload["service"]
        if alert_of(payload):
            return "an alert: nothing to look at"
        repository = repository_address(payload, settings.get("repository"))
        login = {"Authorization": f"Bearer {settings['user']}:{settings['token']}"}
        server = Rest(str(settings.get("url") or "https://packagist.org").rstrip("/"), login)
        answer = value(server.request("POST", "/api/update-package", {"repository": repository}), dict)
        return text.visible(str(answer.get("status") or "accepted"))

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of Packagist."""
        return http.endpoint(str(settings.get("url", "")))
