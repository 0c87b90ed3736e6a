"""The process in which apprise sends a message: `python -I chat_process.py`, started by `brokers.transport.chat`.

Apprise opens its own sockets, takes proxies and logins from the environment, keeps threads, and waits as long as it likes. In a
process of its own none of that matters: what it asks of `requests` goes through `brokers.transport.http`, with its deadline,
address guard and record; what speaks another protocol gets sockets that judge whom they connect to; and the process is ended
when its time is over.

In, on stdin: JSON, the fields of `Order`. Out, on stdout: JSON, those of `Told`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from brokers.errors import BrokerError, DeliveryFailed
from brokers.transport import address, http
from brokers.transport.call import KEPT_BYTES, Call, Exchange, placing
from brokers.transport.connect import barred
from payload import text

GRACE_S = 1.0
"""How long after its deadline the process ends by itself, should nobody end it before."""
_ANSWER_BYTES = 1024 * 1024  # of an answer that apprise reads: a list of rooms
_REASON_CHARS = 400
_SHORTEST_S = 0.1
# What apprise calls plain text and the service reads as Markdown (each service's own documentation of its messages).
_READS = {
    "discord": "markdown",
    "guilded": "markdown",
    "irc": "irc",
    "mattermost": "markdown",
    "nextcloudtalk": "markdown",
    "revolt": "markdown",
    "zulip": "markdown",
}
"""Plugin -> the markup that its service reads, whatever the plugin calls it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to send."""

    urls: Sequence[str]
    messages: Mapping[str, Mapping[str, Any]]
    """Markup -> the fields of `brokers.render.chat.Message`."""
    deadline: float
    """On the clock of time.monotonic(), which all processes share."""
    allow_hosts: Sequence[str]
    proxy: str | None
    ca_bundle: str | None
    dry_run: bool


@dataclass(slots=True)
class Told:
    """How it went."""

    exchanges: list[dict[str, Any]] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    """The services' names."""
    error: dict[str, Any] | None = None
    """The name of a class of `brokers.errors`, as `kind`, and its arguments; None if all took it."""


class Transport:
    """What stands between apprise and the network."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.error: BrokerError | None = None
        """Why the last thing that was said has failed; None if it has not, as far as it could be seen here."""
        self._hosts: dict[str, str] = {}  # address -> the name it was looked up by

    def install(self) -> None:
        """For all of this process, which does nothing else."""
        transport = self

        def send(adapter: HTTPAdapter, request: requests.PreparedRequest, **how: Any) -> requests.Response:
            return transport._send(adapter, request, verify=how.get("verify", True))

        HTTPAdapter.send = send  # type: ignore[method-assign,assignment]  # the one way to reach every session of every plugin
        for name, place in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
            setattr(socket.socket, name, self._judged(getattr(socket.socket, name), place))
        resolve = socket.getaddrinfo

        def resolved(host: Any, *arguments: Any, **named: Any) -> list[Any]:
            found = resolve(host, *arguments, **named)
            self._hosts |= {str(row[4][0]): host for row in found if isinstance(host, str)}
            return found

        socket.getaddrinfo = resolved

    def _send(self, adapter: HTTPAdapter, request: requests.PreparedRequest, *, verify: object) -> requests.Response:
        # What apprise and requests say of themselves would undo ours: what is kept can be read, and is one request.
        headers = {
            name: str(value) for name, value in request.headers.items() if name.lower() not in ("accept-encoding", "connection")
        }
        body = request.body or b""
        try:
            if verify is False:
                raise DeliveryFailed("`verify=no` is not kept to: let oberon.caBundle name the certificates", endpoint_down=False)
            with placing(self.call):
                answer = http.request(
                    str(request.method),
                    str(request.url),
                    data=body.encode() if isinstance(body, str) else bytes(body),
                    headers=headers,
                    max_body_bytes=_ANSWER_BYTES,
                )
        except BrokerError as error:
            self.error = error
            raise requests.ConnectionError(str(error), request=request) from error
        self.error = _judgement(answer)
        raw = HTTPResponse(BytesIO(answer.body), dict(answer.headers), answer.status, reason=answer.reason, preload_content=False)
        return adapter.build_response(request, raw)

    def _judged(self, method: Callable[..., Any], place: int) -> Callable[..., Any]:
        def judged(connection: socket.socket, *arguments: Any) -> Any:
            where = arguments[place]
            self._judge(str(where[0]) if isinstance(where, tuple) else "")
            return method(connection, *arguments)

        return judged

    def _judge(self, where: str) -> None:
        """Raises OSError for an address that no service may have; '' is that of a socket which is no network's."""
        if not where or self.call.dry_run:
            raise PermissionError("nothing is said, as this is a dry run" if where else "a chat is reached over a network")
        host = self._hosts.get(where, where)
        if self.call.proxy and host == urlsplit(self.call.proxy).hostname:
            return  # the admin's own; http judges where it is asked for
        try:
            is_permitted = address.permits(self.call.allow_hosts, host, address.parse(where))
        except ValueError:
            raise PermissionError(f"{where} is no address: what it was looked up as cannot be judged") from None
        if not is_permitted:
            self.error = barred(self.call, host, [where])
            raise PermissionError(str(self.error))


def _judgement(answer: http.Response) -> BrokerError | None:
    try:
        http.check(answer)
    except BrokerError as error:
        return error
    return None


class _Log(logging.Handler):
    """The warnings of apprise, which has no other way to say why it did not send."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    @property
    def said(self) -> str:
        return text.visible("; ".join(dict.fromkeys(self.lines)))[:_REASON_CHARS]


def deliver(order: Order, told: Told, log: _Log) -> None:
    """Send the message to each of the order's addresses, the later ones even if an earlier one failed; raises the first error."""
    import apprise

    call = Call(
        deadline=order.deadline,
        allow_hosts=tuple(order.allow_hosts),
        proxy=order.proxy,
        ca_bundle=order.ca_bundle,
        dry_run=order.dry_run,
    )
    transport = Transport(call)
    transport.install()
    asset = apprise.AppriseAsset(
        app_id="Oberon", app_desc="Oberon", app_url="", image_url_mask="", image_url_logo="", storage_mode="memory",
        async_mode=False, service_timeout=0, http_redirects=False, interpret_emojis=False, allow_templates=False, pgp_autogen=False, pem_autogen=False,
    )  # fmt: skip
    failures: list[BrokerError] = []
    for url in order.urls:
        log.lines.clear()
        transport.error = None
        try:
            told.delivered.append(_deliver(apprise, url, asset, order, transport, log))
        except BrokerError as error:
            failures.append(error)
    told.exchanges += [exchange.to_record() for exchange in call.exchanges]
    if failures:
        raise failures[0]


def _deliver(apprise: Any, url: str, asset: Any, order: Order, transport: Transport, log: _Log) -> str:
    """The name of the service that took it."""
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        why = log.said or "something in it is missing"
        raise DeliveryFailed(f"apprise cannot use the address {url.partition('://')[0]}://...: {why}", endpoint_down=False)
    # What an address may ask for and Oberon does itself, or would be wronged by: `optional` calls a failure a success.
    service.retry, service.optional, service.overflow_mode = 0, False, apprise.OverflowMode.TRUNCATE
    service.request_rate_per_sec = 0
    service.socket_connect_timeout = service.socket_read_timeout = limit_s = max(_SHORTEST_S, transport.call.remaining_s())
    target = service.resolve_format()
    plugin = type(service).__module__.removeprefix("apprise.plugins.").partition(".")[0]
    message = order.messages[_READS.get(plugin, target.value)]
    # What apprise calls a title of theirs is the beginning of the message; Zulip's is a conversation, which a repository has one of.
    title = message["topic"] if plugin == "zulip" else "" if plugin in _READS or service.title_maxlen <= 0 else message["title"]
    title, body = title[: service.title_maxlen], fitted(message, service.body_maxlen, headed=plugin == "zulip" or not title)
    name = str(service.service_name)
    shown = [f"{name} ({url.partition('://')[0]})", *([title] if title else []), "", *body.split("\n")]
    transport.call.exchanges.append(Exchange("apprise", text.cut("\n".join(map(text.visible, shown)), KEPT_BYTES)[0]))
    sending = apprise.Apprise(asset=asset)
    sending.add(service)
    result = sending.notify(body=body, title=title, body_format=target, timeout=limit_s)
    if result or order.dry_run:
        return name
    raise transport.error or DeliveryFailed(f"{name}: {log.said or 'apprise does not say what is wrong'}", endpoint_down=False)


def fitted(message: Mapping[str, Any], max_chars: int, *, headed: bool) -> str:
    """Of the message as many lines as fit, and how many are not told; `headed`: its heading is the first line."""
    lines = [*([message["heading"]] if headed else []), *message["lines"]]
    parting: str = message["line_break"]
    for count in range(len(lines), 0, -1):
        left = len(lines) - count
        body = parting.join([*lines[:count], *([f"and {left:,} more {'line' if left == 1 else 'lines'}"] if left else [])])
        if len(body) <= max_chars:
            return body
    # Half of an escape would be worse than none.
    return re.sub(r"(&[#\w]*|\\+)$", "", str(lines[0])[:max_chars])


def main() -> None:
    """Take the order, carry it out, tell."""
    order = Order(**json.load(sys.stdin))
    signal.setitimer(signal.ITIMER_REAL, max(0.0, order.deadline - time.monotonic()) + GRACE_S)
    told, log = Told(), _Log()
    logger = logging.getLogger("apprise")
    logger.addHandler(log)
    answer, sys.stdout = sys.stdout, sys.stderr  # what a plugin prints is no answer
    try:
        deliver(order, told, log)
    except BrokerError as error:
        told.error = {"kind": type(error).__name__, **vars(error)}
    json.dump(asdict(told), answer)
    answer.flush()
    os._exit(0)  # a plugin's thread may wait for something still


if __name__ == "__main__":
    main()
