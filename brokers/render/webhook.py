"""A push as the requests of a webhook: of the service that a receiver expects, or in the admin's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from brokers.render.template import PUSH, Place, Template, values_of
from payload.dialects import REQUESTS, encoding
from payload.dialects.forge import request_id

HOOKS = ("push", "create", "delete")
"""Events of GitHub and Gitea; which of them are sent is chosen, as there."""
CONTENTS: Mapping[str, tuple[str, Place]] = {
    "json": (encoding.JSON_TYPE, "json"),
    "form": (encoding.FORM_TYPE, "form"),
    "text": ("text/plain; charset=utf-8", "lines"),
}
"""Form of a body -> its Content-Type, and the place that a value has in it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request less its address and signature."""

    id: str
    """A UUID, the same for each attempt."""
    headers: dict[str, str]
    body: bytes
    document: Mapping[str, Any] | None
    """What the JSON in the body says; None of a body in one's own words."""

    @property
    def json(self) -> bytes:
        """The JSON, also where the body is a form that holds it; the body if it is in one's own words."""
        return self.body if self.document is None else encoding.json_bytes(self.document)


def messages(payload: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Message]:
    """What is sent for a push, in order; nothing where the service has no word for it.

    Of `settings`: `format` (key of `dialects.REQUESTS`), `hooks` (which of `HOOKS`, of them `push`), `content` (`form`,
    `json`; of a body of one's own any of `CONTENTS`), `content-type`, `body` (a template); all may be missing.
    """
    form, own = settings.get("format") or "bitbucket", settings.get("body")
    content = settings.get("content") or ("form" if form == "bitbucket" and not own else "json")
    content_type, place = CONTENTS[content]
    more = {"Content-Type": settings.get("content-type") or content_type}
    if own:
        body = Template.parse(own, PUSH, place).expand(values_of(payload)).encode()
        yield Message(request_id(payload), more, body, None)
        return
    hooks = settings.get("hooks") or HOOKS[:1]
    encoded = encoding.form if content == "form" else encoding.json_bytes
    for request in REQUESTS[form](payload):
        if request.event not in HOOKS or request.event in hooks:
            yield Message(request.id, {**request.headers, **more}, encoded(request.body), request.body)
