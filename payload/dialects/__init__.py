"""The same push in the words of others' webhooks: one module per service that a receiver may expect.

Each has `write(payload)`, which takes a payload (`payload.build`) and returns exactly the keys of the service it speaks for,
and says in `CONTENT_TYPE` and `HEADERS` how that service sent them. `bitbucket` writes one dictionary, the forges a
`Request` for each thing that they tell of a push. `REQUESTS` has them all alike, and the payload itself as `json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from payload.dialects import bitbucket, forge, gitea, github, gitlab
from payload.dialects.forge import Request

__all__ = ["REQUESTS", "Request", "bare"]


def bare(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload less `broker` and `service`, which are nobody else's business."""
    return {key: value for key, value in payload.items() if key not in ("broker", "service")}


def _bitbucket(payload: Mapping[str, Any]) -> list[Request]:
    return [Request("", forge.request_id(payload), bitbucket.write(payload), bitbucket.HEADERS)]


def _json(payload: Mapping[str, Any]) -> list[Request]:
    return [Request("", forge.request_id(payload), bare(payload))]


REQUESTS: Mapping[str, Callable[[Mapping[str, Any]], list[Request]]] = {
    "bitbucket": _bitbucket,
    "github": github.write,
    "gitea": gitea.write,
    "gitlab": gitlab.write,
    "json": _json,
}
"""Name -> what is sent for a push, in order; [] where the service says nothing of such a push."""
