"""A server that speaks JSON over HTTP: a request with a login in its headers, and what is in its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from brokers.errors import DeliveryFailed
from brokers.transport import http
from brokers.transport.call import current

MAX_BODY_BYTES = 4 * 1024 * 1024
JSON = "application/json"
_NOT_THERE = (301, 404, 410)
"""What is answered for what was never there, or was moved or deleted."""

T = TypeVar("T", list[Any], dict[str, Any])


@dataclass(frozen=True, slots=True)
class Rest:
    """One server, and how one logs in there."""

    url: str
    """What comes before every path; no `/` at its end."""
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: tuple[str, str] | None = None
    """User and password, for basic authentication."""

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, query: Mapping[str, str] | None = None
    ) -> http.Response:
        """The answer, whatever its status. `path` begins with `/`, its parts encoded by `part`; `body` is sent as JSON."""
        url = self.url + path + ("?" + urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": JSON, **({"Content-Type": JSON} if body is not None else {}), **self.headers}
        return http.request(method, url, data=data, headers=headers, auth=self.auth, max_body_bytes=MAX_BODY_BYTES)

    def tell(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """As `request`. Raises what a status that is no success means."""
        http.check(self.request(method, path, body))

    def is_missing(self, answer: http.Response, place: str) -> bool:
        """Whether an answer says that something is not there, although `place`, the path of where it would be, is.

        Raises what the answer at `place` means, if that is not there either: then the settings are wrong.
        """
        if answer.status not in _NOT_THERE:
            return False
        http.check(self.request("GET", place))
        return True


def value(response: http.Response, kind: type[T]) -> T:
    """The JSON of an answer, empty in a dry run. Raises what a status that is no success means; DeliveryFailed if it is no `kind`."""
    http.check(response)
    if current().dry_run:
        return kind()
    try:
        found = json.loads(response.body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, kind):
        return found
    raise DeliveryFailed(f"HTTP {response}, but the answer is not what the service's API answers: look at the address")


def listed(of: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects that `of` has in the list `key`; [] if it has none."""
    found = of.get(key)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def part(said: str) -> str:
    """`said` as one part of a path."""
    return quote(said, safe="")
