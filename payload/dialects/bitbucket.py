"""Bitbucket's POST service of 2008 to 2015: one form field `payload`, holding JSON.

Live receivers (Buildbot, Weblate, the Jenkins Bitbucket plugin, Packagist, Notifico) choose their parser by which names
are there: a top-level `push` or `repository.links`, say, would make them read a later Bitbucket's form. So nothing is
passed through: each key is taken by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payload.dialects import encoding

CONTENT_TYPE = encoding.FORM_TYPE
HEADERS = {
    # Weblate takes a request without it for a ping; Jenkins reads `Bitbucket-Webhooks/2.0` as the later form.
    "X-Event-Key": "repo:push",
    "User-Agent": "Bitbucket.org",
}

_TOP = ("canon_url", "user", "truncated")
_REPOSITORY = ("absolute_url", "name", "owner", "slug", "website", "scm", "fork", "is_private")
_COMMIT = (
    "author",
    "branch",
    "files",
    "message",
    "node",
    "parents",
    "raw_author",
    "raw_node",
    "revision",
    "size",
    "timestamp",
    "utctimestamp",
)


def write(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The classic payload: no `broker`, no `service`, no `oberon`. Keys that `payload` lacks stay absent."""
    written: dict[str, Any] = {key: payload[key] for key in _TOP if key in payload}
    written["repository"] = {key: payload["repository"][key] for key in _REPOSITORY if key in payload["repository"]}
    written["commits"] = [{key: commit[key] for key in _COMMIT if key in commit} for commit in payload["commits"]]
    return written


def form(payload: Mapping[str, Any]) -> bytes:
    """The request body."""
    return encoding.form(write(payload))
