"""HTTP requests to services: one at a time, watched from the lookup to the last byte, and entered in the call's record.

    response = http.check(http.post(url, data=body, headers={...}))

In: an address, which the configuration named. Out: the answer's status, headers and the first 8 KiB of its body as it
came (not decoded, whatever its Content-Encoding), or an error of `brokers.errors`. Redirects are not followed; no cookie
or connection is kept; proxy and certificates are the call's, never the environment's. Only http and https.
"""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from brokers.errors import DeliveryFailed, PermanentFailure, ServiceGone
from brokers.transport.call import KEPT_BYTES, Call, Exchange, current
from brokers.transport.connect import check_proxied, timed_out
from brokers.transport.deadline import Watchdog
from payload import text

if TYPE_CHECKING:
    from requests.models import PreparedRequest

USER_AGENT = "Oberon"
_MASK = "***"
_MASKED_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_LONGEST_WAIT_S = 86_400.0  # of a Retry-After that is believed
_REASON_CHARS = 200
_OK = 200

E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True, slots=True)
class Response:
    """A service's answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name, in any case; several of one name are joined by `, `."""
    body: bytes = b""
    """The first KEPT_BYTES, as they came."""
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
) -> Response:
    """The answer to one request, whatever its status (`check` judges that).

    `auth` is (user, password) for basic authentication; without it, what stands before the `@` of `url` is. A body that
    has not come in full by the deadline is cut there: with the status and headers the service has answered.
    Raises DeliveryFailed when no whole answer comes, PermanentFailure for what can never be sent.
    """
    call = current()
    prepared = _prepared(method, url, data, headers or {}, auth)
    record = Exchange("http", _request_text(prepared))
    call.exchanges.append(record)
    started = time.monotonic()
    try:
        response = Response(_OK, reason="OK") if call.dry_run else _sent(prepared, call)
    finally:
        record.duration_s = time.monotonic() - started
    record.status = response.status
    if not call.dry_run:
        record.response = _message_text(f"HTTP {response}", response.headers, response.body)
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
    said = _first_line(response.body)
    raise DeliveryFailed(
        f"HTTP {response}: {said}" if said else f"HTTP {response}",
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


def _prepared(
    method: str, url: str, data: bytes | None, headers: Mapping[str, str], auth: tuple[str, str] | None
) -> PreparedRequest:
    from requests import Request
    from requests.exceptions import RequestException

    if not url.isprintable() or " " in url or "\\" in url:
        # Parsers differ about such an address: some drop the character, some end the host's name there.
        raise PermanentFailure("the address holds a space, a backslash or a control character: write it percent-encoded")
    try:
        parts = urlsplit(url)
        userinfo, _, place = parts.netloc.rpartition("@")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise PermanentFailure(f"{parts.scheme}://{place} is not an http or https address")
        if auth is None and userinfo:
            user, _, password = userinfo.partition(":")
            auth = (unquote(user), unquote(password))
        prepared = Request(
            method, parts._replace(netloc=place, fragment="").geturl(), headers=_headers(headers, auth), data=data
        ).prepare()
    except (RequestException, ValueError) as error:
        raise PermanentFailure(f"the request cannot be made: {text.visible(str(error))}") from error
    prepared.headers["Host"] = urlsplit(str(prepared.url)).netloc
    return prepared


def _headers(given: Mapping[str, str], auth: tuple[str, str] | None) -> dict[str, str]:
    # `identity`: what the record keeps shall be readable, and no bomb shall go off in a decoder.
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **given, "Connection": "close"}
    if auth is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode("ascii")
    for name, value in headers.items():
        if not (name + value).isascii() or not (name + value).isprintable():
            # requests lets NUL, ESC and all above latin-1 pass.
            raise PermanentFailure(f"header {text.visible(name)}: {text.visible(value)!r} holds what no header may")
    return headers


def _sent(prepared: PreparedRequest, call: Call) -> Response:
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    from brokers.transport import http_wire

    place = endpoint(str(prepared.url))
    if call.proxy:
        check_proxied(urlsplit(str(prepared.url)).hostname or "", call)
    with Watchdog(call.remaining_s()) as watchdog:
        try:
            answer = http_wire.exchange(prepared, call, watchdog)
        except (RequestException, HTTPError, OSError, ValueError) as error:
            raise _failure(error, place, watchdog) from error
        body = b""
        try:
            for piece in http_wire.pieces(answer, KEPT_BYTES):
                body += piece
        except (HTTPError, OSError, ValueError) as error:
            # Cut short or late, it is a body all the same; but what is not HTTP has answered nothing.
            malformed = _first(error, http_wire.MalformedAnswer)
            if malformed is not None:
                raise DeliveryFailed(f"{place}: {malformed}") from error
        finally:
            answer.close()
    return Response(answer.status_code, answer.headers, body, answer.reason or "")


def _failure(error: BaseException, place: str, watchdog: Watchdog) -> DeliveryFailed:
    """What `error`, from under requests, means in plain words."""
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
    words = text.visible(str(list(_chain(error))[-1]))[:_REASON_CHARS]
    return DeliveryFailed(f"{place} gave no answer that is HTTP: {words}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it came from, the cause last."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _first(error: BaseException, kind: type[E]) -> E | None:
    return next((one for one in _chain(error) if isinstance(one, kind)), None)


def _first_line(body: bytes) -> str:
    """The first line with anything in it, fit for a terminal; '' for HTML, whose first line says nothing."""
    line = next((line for line in body.decode("utf-8", "replace").split("\n") if line.strip()), "").strip()
    return "" if line.startswith("<") else text.visible(line)[:_REASON_CHARS]


def _request_text(prepared: PreparedRequest) -> str:
    parts = urlsplit(str(prepared.url))
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b""
    return _message_text(f"{prepared.method} {path} HTTP/1.1", prepared.headers, bytes(body))


def _message_text(first: str, headers: Mapping[str, str], body: bytes) -> str:
    """For the record: at most KEPT_BYTES, safe on a terminal, without what would let its reader log in."""
    lines = [first, *(f"{name}: {_shown(name, value)}" for name, value in headers.items()), ""]
    lines += body[:KEPT_BYTES].decode("utf-8", "replace").split("\n")
    return text.cut("\n".join(text.visible(line.removesuffix("\r")) for line in lines), KEPT_BYTES)[0]


def _shown(name: str, value: str) -> str:
    if name.lower() not in _MASKED_HEADERS:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {_MASK}" if space and name.lower().endswith("authorization") else _MASK
