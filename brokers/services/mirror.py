"""Mirror: another repository that is kept equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.base import BaseBroker, Field
from brokers.errors import PermanentFailure
from brokers.render.template import PUSH, Place, Template, values_of
from brokers.transport import git_push, hg_push
from brokers.transport.call import current
from brokers.transport.remote import Remote

_OF_GIT = {"branches-and-tags": git_push.BRANCHES_AND_TAGS, "all": git_push.EVERYTHING}


class Mirror(BaseBroker):
    """Keeps another repository equal to this one: `git push`, forced and with what is deleted, or `hg push`.

    It needs the other repository's address - ssh, https, http or a path - and the repository there: it makes none. With
    `${repository.owner}` and `${repository.slug}` in the address, one service in the system's configuration does for all.

    The login: over https, the user and a token that may write (GitHub: Settings, Developer settings, Personal access tokens;
    GitLab: the project's Settings, Access tokens; Gitea: Settings, Applications). Over ssh, a key that the other side knows as
    a deploy key with write access, and the host's own key in known_hosts (`ssh-keyscan HOST`); without `key`, those of the user
    whose worker it is. Neither ~/.ssh/config nor an agent is used.

        # git config                                               # hgrc
        [service "backup"]                                         [services]
            broker = mirror                                        backup.broker = mirror
            url = https://git.example.org/team/app.git             backup.url = ssh://hg@hg.example.org//srv/hg/app
            user = oberon                                          backup.key = /etc/oberon/mirror-key
            password = file:/etc/oberon/mirror-token               backup.known-hosts = /etc/oberon/known_hosts
            timeout = 10m                                          backup.timeout = 10m
            ordered = true                                         backup.ordered = true

    Delivered: all was taken, or was there already. It is pushed as it is when it is pushed, whatever the payload says; filters
    (`refs`, `events`) decide when, and not what. Set `timeout` to what the first push takes, `ordered` so that no two are under
    way at once, and let the worker deliver: inline it would be the pusher who pushes.

    git: branches and tags, or with `what = all` each ref there is; a ref that is only there is deleted. The owner of the repository
    must be one that git trusts (`safe.directory`). Mercurial: changesets that are not secret, on new heads and branches too, and
    the bookmarks that moved; nothing is ever deleted there but bookmarks. If this repository is not publishing, the other one must
    not be either, for hg makes public here what is public there.
    """

    fields = (
        Field("URL", type="repository url", required=True, help="the other repository: ssh://, https://, http:// or a path"),
        Field("User", help="the login for http and https"),
        Field("Password", secret=True, help="its password or token"),
        Field("Key", type="path", help="ssh: the private key, without a passphrase"),
        Field("Known-Hosts", type="path", help="ssh: the file with the host's key"),
        Field("What", type="choice", choices=tuple(_OF_GIT), default="branches-and-tags", help="git: what is pushed"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note says whether there was anything to push."""
        settings, oberon, repository = payload["service"], payload.get("oberon") or {}, current().repository
        if oberon.get("alert"):
            return "an alert, so there is nothing to push"
        if not repository:
            raise PermanentFailure("there is no repository to push from")
        remote = _remote(settings, values_of(payload))
        if payload["repository"].get("scm") == "git":
            return git_push.push(repository, remote, _OF_GIT[settings.get("what") or "branches-and-tags"])
        return hg_push.push(repository, remote, [ref["name"] for ref in oberon.get("refs", ()) if ref["kind"] == "bookmark"])

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the other repository; '' for a path."""
        return _remote(settings, {}).endpoint if settings.get("url") else ""


def _remote(settings: Mapping[str, Any], values: Mapping[str, Any]) -> Remote:
    place: Place = "text" if settings["url"].startswith("/") else "url"
    return Remote.parse(
        Template.parse(settings["url"], PUSH, place).expand(values),
        user=settings.get("user") or "",
        password=settings.get("password") or "",
        key=settings.get("key") or "",
        known_hosts=settings.get("known-hosts") or "",
    )
