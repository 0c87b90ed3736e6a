"""Python 2's `xmlrpclib`, which is Python 3's `xmlrpc.client`, over the guarded transport."""

from __future__ import annotations

import xmlrpc.client
from typing import Any
from urllib.parse import urlsplit

from brokers.compat.answers import is_success, refused, send
from brokers.transport.call import current


class _Transport(xmlrpc.client.Transport):
    def __init__(self, scheme: str) -> None:
        super().__init__()
        self._scheme = scheme

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - xmlrpc.client's signature
        answer = send("POST", f"{self._scheme}://{host}{handler}", request_body, {"Content-Type": "text/xml"})
        if not is_success(answer):
            raise refused(answer)
        if current().dry_run:
            return ("",)
        parser, unmarshaller = self.getparser()
        parser.feed(answer.response.body)
        parser.close()
        return unmarshaller.close()


class ServerProxy(xmlrpc.client.ServerProxy):
    """Calls methods of the server at `uri`: http or https, with `user:password@` if it asks for a login.

    Raises URLError, HTTPError, and xmlrpclib.Fault for a method that failed.
    """

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri, transport=_Transport(urlsplit(uri).scheme), **options)
