"""HTTP requests to services: each watched from the lookup to the last byte, and entered in the call's record.

    response = http.check(http.post(url, data=body, headers={...}))

In: an address, which the configuration named. Out: the answer's status, headers and the first 8 KiB of its body as it
came (not decoded, whatever its Content-Encoding), or an error of `brokers.errors`. Redirects are not followed; no cookie
is kept; proxy and certificates are the call's, never the environment's. Only http and https. A connection is kept for some
seconds (`brokers.transport.http_pool`), for requests of calls in the same circumstances.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from brokers.errors import DeliveryFailed, ServiceGone, chain
from brokers.transport.call import KEPT_BYTES, Call, Exchange, current
from brokers.transport.connect import check_proxied, timed_out
from brokers.transport.deadline import Watchdog
from payload import text

if TYPE_CHECKING:
    from brokers.transport.http_request import Request

_MASK = "***"
_MASKED_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_LONGEST_WAIT_S = 86_400.0  # of a Retry-After that is believed
_REASON_CHARS = 200
_REMEDIES: Mapping[int, str] = {
    401: "the service does not know the login: look at the user and password, or the token",
    403: "the service does not allow it to this login: look at what the user or token may do",
    404: "there is nothing at that address, or the login may not see it: look at the address and its names",
    405: "nothing takes this method at that address: look at the address",
    413: "the service wants less at once: lower oberon.maxCommits, maxFiles or maxDiff",
}
"""Status -> what the admin of the repository can do about it."""
_OK = 200

E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True, slots=True)
class Response:
    """A service's answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name, in any case; several of one name are joined by `, `."""
    body: bytes = b""
    """The first KEPT_BYTES, or as many as were asked for, as they came."""
    reason: str = ""
    """The status line's words; '' if it has none."""

    def __str__(self) -> str:
        return text.visible(f"{self.status} {self.reason}".strip())[:_REASON_CHARS]


def post(url: str, *, data: bytes, headers: Mapping[str, str] | None = None, auth: tuple[str, str] | None = None) -> Response:
    """POST `data` to `url`; see `request`."""
    return request("POST", url, data=data, headers=headers, auth=auth)


def request(
    method: str,
    url: str,
    *,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    max_body_bytes: int = KEPT_BYTES,
) -> Response:
    """The answer to one request, whatever its status (`check` judges that).

    `auth` is (user, password) for basic authentication; without it, what stands before the `@` of `url` is. Whither the
    request goes, how long it is and whether its connection is kept is never taken from `headers`. Of the answer's body
    `max_body_bytes` are read. One that has not come in full by the deadline is cut there: with the status and headers
    the service has answered.
    Raises DeliveryFailed when no whole answer comes, PermanentFailure for what can never be sent.
    """
    from brokers.transport import http_request

    call = current()
    prepared = http_request.prepare(method, url, data or b"", headers or {}, auth)
    record = Exchange("http", _request_text(prepared))
    call.exchanges.append(record)
    started = time.monotonic()
    try:
        response = Response(_OK, reason="OK") if call.dry_run else _sent(prepared, call, max_body_bytes)
    finally:
        record.duration_s = time.monotonic() - started
    record.status = response.status
    if not call.dry_run:
        record.response = _message_text(f"HTTP {response}", response.headers.items(), response.body)
    return response


def check(response: Response) -> Response:
    """`response`, if it is a 2xx; else the error that its status means.

    ServiceGone for 410; DeliveryFailed for all others, with what a `Retry-After` of a 429 or 503 asks for.
    """
    status = response.status
    if status // 100 == 2:  # noqa: PLR2004 - the class of successes
        return response
    if status == 410:  # noqa: PLR2004 - Gone
        raise ServiceGone(f"HTTP {response}: the service is gone for good")
    if status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        target = text.visible(response.headers.get("Location", ""))[:_REASON_CHARS]
        told = f"HTTP {response}: redirects are not followed; it points to {target or 'nowhere'}"
        raise DeliveryFailed(told, endpoint_down=False)
    said, remedy = _first_line(response.body), _REMEDIES.get(status)
    raise DeliveryFailed(
        f"HTTP {response}" + (f": {said}" if said else "") + (f"; {remedy}" if remedy else ""),
        after_s=retry_after_s(response.headers.get("Retry-After", "")) if status in (429, 503) else None,
        slow_down=status == 429,  # noqa: PLR2004 - Too Many Requests
        endpoint_down=status in (408, 425) or status >= 500,  # noqa: PLR2004 - the class of the server's own faults
    )


def endpoint(url: str) -> str:
    """`host:port` of `url`, for the limit per host; '' if it is no address."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""


def retry_after_s(value: str) -> float | None:
    """The seconds that a `Retry-After` header asks for, a day at most; None if it cannot be read.

    RFC 9110, 10.2.3: a whole number of seconds, or a date.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_WAIT_S)  # float, which has no limit of digits as int has
    try:
        moment = parsedate_to_datetime(value)
        wait_s = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def _sent(request: Request, call: Call, max_body_bytes: int) -> Response:
    from urllib3.exceptions import HTTPError

    from brokers.transport import http_wire

    place = request.target.place
    if call.proxy:
        check_proxied(request.target.host, call)
    reply, body, usable = None, b"", False
    try:
        with Watchdog(call.remaining_s()) as watchdog:
            try:
                reply = http_wire.exchange(request, call, watchdog)
            except (HTTPException, HTTPError, OSError, ValueError) as error:
                raise _failure(error, place, watchdog) from error
            try:
                for piece in reply.pieces(max_body_bytes):
                    body += piece
            except http_wire.MalformedAnswer as error:
                raise DeliveryFailed(f"{place}: {error}") from error
            except (HTTPException, OSError, ValueError):
                pass  # cut short or late, it is a body all the same; but what is not HTTP has answered nothing
        usable = not watchdog.fired
        return Response(reply.status, reply.headers(), body, reply.reason)
    finally:
        if reply is not None:
            reply.release() if usable else reply.close()


def _failure(error: BaseException, place: str, watchdog: Watchdog) -> DeliveryFailed:
    """What `error`, from the wire, means in plain words."""
    if watchdog.fired or _first(error, TimeoutError):
        return timed_out(watchdog, f"waiting for the answer of {place}")
    untrusted = _first(error, ssl.SSLCertVerificationError)
    if untrusted is not None:
        return DeliveryFailed(
            f"the certificate of {place} is not accepted: {untrusted.verify_message}; "
            "oberon.caBundle names the certificates to trust"
        )
    tls = _first(error, ssl.SSLError)
    if tls is not None:
        return DeliveryFailed(f"TLS with {place} failed: {tls.reason or tls}")
    if _first(error, ConnectionError):
        return DeliveryFailed(f"{place} closed the connection before it had answered")
    words = text.visible(str(list(chain(error))[-1]))[:_REASON_CHARS]
    return DeliveryFailed(f"{place} gave no answer that is HTTP: {words}")


def _first(error: BaseException, kind: type[E]) -> E | None:
    return next((one for one in chain(error) if isinstance(one, kind)), None)


def _first_line(body: bytes) -> str:
    """The first line with anything in it, fit for a terminal; '' for HTML, whose first line says nothing."""
    line = next((line for line in body.decode("utf-8", "replace").split("\n") if line.strip()), "").strip()
    return "" if line.startswith("<") else text.visible(line)[:_REASON_CHARS]


def _request_text(request: Request) -> str:
    return _message_text(f"{request.method} {request.target.path} HTTP/1.1", request.headers, request.body)


def _message_text(first: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """For the record: at most KEPT_BYTES, safe on a terminal, without what would let its reader log in."""
    lines = [first, *(f"{name}: {shown(name, value)}" for name, value in headers), ""]
    lines += body[:KEPT_BYTES].decode("utf-8", "replace").split("\n")
    return text.cut("\n".join(text.visible(line.removesuffix("\r")) for line in lines), KEPT_BYTES)[0]


def shown(name: str, value: str) -> str:
    """A header's value as it may be kept: without what would let its reader log in."""
    if name.lower() not in _MASKED_HEADERS:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {_MASK}" if space and name.lower().endswith("authorization") else _MASK
