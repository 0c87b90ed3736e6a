"""A request of 2008, sent by `brokers.transport.http`, and its answer and errors as urllib and urllib2 knew them.

Then a refused POST was taken for a success unless the broker looked: FancyURLopener returned the page of a 404 as any other.
A push that nobody got would be recorded as delivered, so here an answer that is no 2xx is an error, as it always was with
urllib2, and the delivery is tried again. The errors are OSErrors too: who looked, by `except IOError`, still can.
"""

from __future__ import annotations

import io
import urllib.error
from collections.abc import Mapping
from email.message import Message
from typing import Any

from brokers.errors import BrokerError, DeliveryFailed, PermanentFailure, ServiceGone
from brokers.transport import http

MAX_BODY_BYTES = 1024 * 1024
"""Of an answer that a broker reads."""


class Headers(Message):
    """An answer's headers, by name in any case."""

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """The value; `default` if there is none (Python 2's mimetools.Message)."""
        value: str | None = self.get(name, default)
        return value


class Answer(io.StringIO):
    """An answer as a file of text: in the charset it names, else UTF-8."""

    def __init__(self, url: str, response: http.Response) -> None:
        self.url = url
        self.response = response
        self.code = self.status = response.status
        self.msg = self.reason = response.reason
        self.headers = Headers()
        for name, value in response.headers.items():
            self.headers[name] = value
        super().__init__(_text(response.body[:MAX_BODY_BYTES], self.headers.get_content_charset("utf-8")))

    def read(self, size: int | None = -1, /) -> str:
        """The next `size` characters, or all. Raises URLError if all is asked for and the answer is longer than is kept."""
        if (size is None or size < 0) and len(self.response.body) > MAX_BODY_BYTES:
            raise URLError(f"the answer is longer than {MAX_BODY_BYTES // 1024} KiB")
        return super().read(size)

    def info(self) -> Headers:
        """The headers."""
        return self.headers

    def geturl(self) -> str:
        """The address that was asked."""
        return self.url

    def getcode(self) -> int:
        """The status."""
        return self.code


class URLError(urllib.error.URLError, DeliveryFailed):
    """No answer came (Python 2's urllib2.URLError). Not caught by the broker, it is tried again on the schedule."""

    reason: str

    def __init__(self, reason: object) -> None:
        DeliveryFailed.__init__(self, str(reason))

    def __str__(self) -> str:
        return self.reason


class NeverSentError(URLError, PermanentFailure):
    """Likewise, and none ever will: the address is none, or not allowed. Not caught, the delivery is dead."""


class HTTPError(URLError):
    """An answer that is no 2xx (Python 2's urllib2.HTTPError). It can be read as an answer."""

    def __init__(self, url: str, code: int, msg: str, hdrs: Any, fp: Any) -> None:
        self.response = getattr(fp, "response", None) or http.Response(code, hdrs or {}, b"", msg)
        super().__init__(f"HTTP {self.response}")
        self.__dict__.update(_facts(self.response))
        self.url = self.filename = url
        self.code = code
        self.msg = msg
        self.hdrs = self.headers = hdrs
        self.fp = fp

    def read(self, size: int = -1) -> str:
        """The page that came with it."""
        page: str = self.fp.read(size)
        return page

    def info(self) -> Any:
        """The headers."""
        return self.hdrs

    def geturl(self) -> str:
        """The address that was asked."""
        return self.url

    def getcode(self) -> int:
        """The status."""
        return self.code


class GoneError(HTTPError, ServiceGone):
    """410: the service wants no more. Not caught, it is switched off."""


def send(
    method: str, url: str, data: str | bytes | None, headers: Mapping[str, str], login: tuple[str, str] | None = None
) -> Answer:
    """The answer, whatever its status. `data` as text is sent as UTF-8, and as a form unless `headers` say otherwise.

    `login` is (user, password) for basic authentication. Raises URLError.
    """
    body = data.encode() if isinstance(data, str) else data
    form = {} if body is None else {"content-type": "application/x-www-form-urlencoded"}
    given = {name.lower(): value for name, value in headers.items()}
    written = {name.title(): value for name, value in {**form, **given}.items()}
    try:
        response = http.request(method, url, data=body, headers=written, auth=login, max_body_bytes=MAX_BODY_BYTES + 1)
    except PermanentFailure as error:
        raise _as(NeverSentError, error) from error
    except DeliveryFailed as error:
        raise _as(URLError, error) from error
    return Answer(url, response)


def refused(answer: Answer) -> HTTPError:
    """The error that `answer`, no 2xx, means."""
    kind = GoneError if answer.code == 410 else HTTPError  # noqa: PLR2004 - Gone
    return kind(answer.url, answer.code, answer.msg, answer.headers, answer)


def is_success(answer: Answer) -> bool:
    """Whether it is a 2xx."""
    return answer.code // 100 == 2  # noqa: PLR2004 - the class of successes


def _facts(response: http.Response) -> dict[str, Any]:
    """What the transport makes of a status: the reason, when to try again, whether others may."""
    try:
        http.check(response)
    except (DeliveryFailed, ServiceGone) as error:
        return vars(error)
    return {}


def _as(kind: type[URLError], error: BrokerError) -> URLError:
    told = kind(error)
    told.__dict__.update(vars(error))
    return told


def _text(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset, "replace")
    except (LookupError, ValueError):  # a charset that Python has not, or that is none
        return body.decode("utf-8", "replace")
