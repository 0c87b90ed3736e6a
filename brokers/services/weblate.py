"""Weblate: a push makes it fetch the translations' source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.base import BaseBroker, Field
from brokers.render.heads import heads
from brokers.transport import http, rest
from payload import text
from payload.dialects import bitbucket

MAX_BRANCHES = 20
"""Of one push: of more, Weblate is told of the repository as a whole."""
_NOTE_CHARS = 200


class Weblate(BaseBroker):
    """Tells Weblate which branches were pushed, so that it fetches them at once.

    It needs Weblate's address, and there, in the project's settings, "Enable hooks". Weblate's hooks take no login. It goes by the
    repository: the address of a component's source code has to be `HOST/OWNER/SLUG`, of the payload's `canon_url`, `owner` and `slug`
    (`oberon test REPO SERVICE --dry-run` shows them), or end with `OWNER/SLUG`.

        # git config                                     # hgrc
        [service "translations"]                         [services]
            broker = weblate                             translations.broker = weblate
            url = https://weblate.example.org            translations.url = https://weblate.example.org

    It is one request for each branch that was pushed, as Bitbucket's POST service sent it, since Weblate looks at one branch of
    each; none for tags, bookmarks and deleted branches. Of more than 20 branches, or with one that came
    without new commits, it is a single request that names none: Weblate then fetches all branches it has.

    The note has Weblate's answer: the components it updates. `No matching repositories found!` is delivered too: Weblate has
    no component of that repository and branch.
    """

    fields = (Field("URL", type="url", required=True, help="Weblate's address, as https://weblate.example.org"),)

    def handle(self, payload: dict[str, Any]) -> str:
        """The note: what Weblate said, each thing once."""
        url = payload["service"]["url"].rstrip("/") + "/hooks/bitbucket/"
        headers = {**bitbucket.HEADERS, "Content-Type": bitbucket.CONTENT_TYPE}
        pushed = heads(payload)
        told = [[{**commit, "branch": head.branch} for commit in head.commits] for head in pushed]
        if len(told) > MAX_BRANCHES or not all(told):
            told = [[]]  # without commits it names no branch
        notes = []
        for commits in told if pushed else []:
            answer = http.post(url, data=bitbucket.form({**payload, "commits": commits}), headers=headers)
            notes.append(text.visible(str(rest.value(answer, dict).get("message") or answer))[:_NOTE_CHARS])
        return "; ".join(dict.fromkeys(notes)) or "nothing to fetch: no branch was pushed"

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of Weblate."""
        return http.endpoint(str(settings.get("url", "")))
