"""Python 2's `urllib2`: what Python 3 has of it, with the wire replaced.

Handlers and the order in which they are asked are `urllib.request`'s. Those for proxies, redirects, files and FTP are left out.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote
from urllib.request import HTTPBasicAuthHandler, HTTPPasswordMgr, HTTPPasswordMgrWithDefaultRealm

from brokers.compat.answers import Answer, HTTPError, URLError, refused, send
from brokers.transport.call import Call, current


class Request(urllib.request.Request):
    """A request, with the methods that Python 3's lacks."""

    def __init__(
        self,
        url: str,
        data: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        origin_req_host: str | None = None,
        unverifiable: bool = False,  # noqa: FBT001, FBT002 - urllib2's signature
    ) -> None:
        super().__init__(url, data, dict(headers or {}), origin_req_host, unverifiable)  # type: ignore[arg-type]  # text becomes bytes when it is sent

    def add_data(self, data: str | bytes) -> None:
        """Send `data`, which makes it a POST."""
        self.data = data  # type: ignore[assignment]  # text becomes bytes when it is sent

    def has_data(self) -> bool:
        """Whether there is something to send."""
        return self.data is not None

    def get_data(self) -> object:
        """What is sent; None if nothing is."""
        return self.data

    def get_type(self) -> str:
        """The address's scheme."""
        return self.type

    def get_host(self) -> str:
        """The address's host, with the port if it names one."""
        return self.host

    def get_selector(self) -> str:
        """The address's path and query."""
        return self.selector


class HTTPHandler(urllib.request.BaseHandler):
    """Sends requests for http."""

    def __init__(self, debuglevel: int = 0) -> None:
        """`debuglevel` has no effect: the record of the delivery has every request."""

    def http_open(self, request: urllib.request.Request) -> Answer:
        """The answer, whatever its status. Raises URLError."""
        data: Any = request.data
        sent = {**dict(self.parent.addheaders), **request.unredirected_hdrs, **request.headers}
        return send(request.get_method(), request.full_url, data, sent)

    unknown_open = http_open
    """Any other scheme: the transport refuses it, and says so."""


class HTTPSHandler(HTTPHandler):
    """Sends requests for https."""

    https_open = HTTPHandler.http_open


class _Refusals(urllib.request.HTTPDefaultErrorHandler):
    def http_error_default(self, req: object, fp: Any, code: int, msg: str, hdrs: object) -> Any:  # noqa: ARG002 - urllib.request's signature
        raise refused(fp)


class OpenerDirector(urllib.request.OpenerDirector):
    """Opens addresses and requests through its handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.addheaders = []


def build_opener(*handlers: Any) -> OpenerDirector:
    """An opener with `handlers`, classes or instances, and those that every opener has."""
    opener = OpenerDirector()
    made = [handler() if isinstance(handler, type) else handler for handler in handlers]
    for handler in made:
        opener.add_handler(handler)
    for kind in (HTTPHandler, HTTPSHandler, urllib.request.HTTPErrorProcessor, _Refusals):
        if not any(isinstance(handler, kind) for handler in made):
            opener.add_handler(kind())
    return opener


class _Installed:
    """`urlopen` and `install_opener` of one file."""

    def __init__(self) -> None:
        self._of_file: urllib.request.OpenerDirector | None = None
        self._of_thread = threading.local()

    def install_opener(self, opener: urllib.request.OpenerDirector) -> None:
        """Have `urlopen` use `opener`: installed while the file is loaded always, within `handle` until it returns.

        It may hold the login of one service, which the next one is not to be given.
        """
        call = current()
        if call.placed:
            self._of_thread.held = (call, opener)
        else:
            self._of_file = opener

    def urlopen(self, url: str | urllib.request.Request, data: str | bytes | None = None, timeout: object = None) -> Any:  # noqa: ARG002 - the service's timeout holds
        """The answer to an address or a Request. Raises HTTPError for one that is no 2xx, URLError if none comes."""
        held: tuple[Call | None, Any] = getattr(self._of_thread, "held", (None, None))
        opener = held[1] if held[0] is current() else self._of_file
        return (opener or build_opener()).open(url, data)  # type: ignore[arg-type]  # text becomes bytes when it is sent


def names() -> dict[str, object]:
    """What one file's `urllib2` has."""
    installed = _Installed()
    return {
        "HTTPBasicAuthHandler": HTTPBasicAuthHandler,
        "HTTPError": HTTPError,
        "HTTPHandler": HTTPHandler,
        "HTTPPasswordMgr": HTTPPasswordMgr,
        "HTTPPasswordMgrWithDefaultRealm": HTTPPasswordMgrWithDefaultRealm,
        "HTTPSHandler": HTTPSHandler,
        "OpenerDirector": OpenerDirector,
        "Request": Request,
        "URLError": URLError,
        "build_opener": build_opener,
        "install_opener": installed.install_opener,
        "quote": quote,
        "unquote": unquote,
        "urlopen": installed.urlopen,
    }
