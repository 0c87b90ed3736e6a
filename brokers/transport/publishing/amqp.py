"""AMQP 0-9-1 (RabbitMQ, LavinMQ), over pika: persistent, confirmed by the server, and refused if no queue gets it."""

from __future__ import annotations

import logging
import time
from typing import Any

import pika
from pika import exceptions
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout

from brokers.transport.publishing import Link, Message

_PERSISTENT = 2
_ACCESS_REFUSED = 403
_FAREWELL_S = 0.1
_DEFAULT_LOGIN = "guest"  # of a server of this machine; from elsewhere RabbitMQ takes it from nobody

logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs each failure with its traceback, which we tell in one line


def publish(message: Message, link: Link) -> str:
    """The note names the routing key and the exchange."""
    server, addresses = link.server, link.addresses(link.server.host, link.server.port)
    parameters = [
        pika.ConnectionParameters(
            host=where[0],
            port=server.port,
            virtual_host=server.path or "/",
            credentials=pika.PlainCredentials(server.user or _DEFAULT_LOGIN, server.password or _DEFAULT_LOGIN),
            ssl_options=pika.SSLOptions(link.context(), server.host) if server.has_tls else None,
            socket_timeout=link.remaining_s() / len(addresses),
            stack_timeout=link.remaining_s() / len(addresses),
            client_properties={"connection_name": "oberon"},
        )
        for _, where in addresses
    ]
    publishing = _Publishing(message, link)
    publishing.run(parameters)
    if publishing.error is not None:
        raise publishing.error
    return f"{message.topic} at {message.exchange or 'the default exchange'}"


class _Publishing:
    """What happens, one after the other, in this thread's own loop; `error` is None once the message was confirmed."""

    def __init__(self, message: Message, link: Link) -> None:
        self.error: BaseException | None = None
        self._message = message
        self._link = link
        self._loop = IOLoop()
        self._connection: Any = None
        self._returned: Any = None
        self._has_ended = False

    def run(self, parameters: list[pika.ConnectionParameters]) -> None:
        try:
            pika.SelectConnection.create_connection(parameters, self._connected, custom_ioloop=self._loop)
            self._loop.call_later(self._link.remaining_s(), self._late)
            self._loop.start()
            if self._connection is not None and not self._connection.is_closed:
                self._connection._adapter_disconnect_stream()  # noqa: SLF001 - `close` would wait for the server, whose time is over
                self._loop.call_later(0, self._loop.stop)
                self._loop.start()
        finally:
            self._loop.close()

    def _late(self) -> None:
        self._end(self._link.late())
        # What is still connecting has its own time-out, and cleans up by itself.
        self._loop.call_later(_FAREWELL_S if self._connection is None else 0, self._loop.stop)

    def _connected(self, result: Any) -> None:
        if isinstance(result, BaseException):
            self._end(_refusal(result, self._link))
            self._loop.stop()
            return
        self._connection = result
        result.add_on_close_callback(self._closed)
        result.channel(on_open_callback=self._opened)

    def _closed(self, _connection: Any, why: BaseException) -> None:
        self._end(_refusal(why, self._link))
        self._loop.stop()

    def _opened(self, channel: Any) -> None:
        channel.add_on_close_callback(lambda _, why: self._end(_refusal(why, self._link)))
        channel.add_on_return_callback(self._returns)
        channel.confirm_delivery(self._confirmed, callback=lambda _: self._publish(channel))

    def _publish(self, channel: Any) -> None:
        properties = pika.BasicProperties(
            app_id="oberon",
            content_encoding="utf-8",
            content_type="application/json",
            delivery_mode=_PERSISTENT,
            message_id=self._message.id,
            timestamp=int(time.time()),
        )
        channel.basic_publish(self._message.exchange, self._message.topic, self._message.body, properties, mandatory=True)

    def _returns(self, _channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        self._returned = method

    def _confirmed(self, frame: Any) -> None:
        if self._returned is not None:
            told = f"{self._returned.reply_code} {self._returned.reply_text}"
            self._end(self._link.refused(told, f"bind a queue for {self._message.topic}"))
        elif frame.method.NAME == "Basic.Nack":
            self._end(self._link.refused("Basic.Nack"))
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        """The first one counts; then it is told goodbye to."""
        if self._has_ended:
            return
        self._has_ended, self.error = True, error
        if self._connection is not None and self._connection.is_open:
            self._connection.close()


def _refusal(error: BaseException, link: Link) -> BaseException:
    """What pika's `error` means in plain words."""
    causes = [error]
    for cause in causes:  # it grows
        causes += [
            inner
            for inner in (*getattr(cause, "exceptions", ()), getattr(cause, "exception", None), *cause.args)
            if isinstance(inner, BaseException)
        ]
    for cause in reversed(causes):
        if isinstance(cause, exceptions.ProbableAuthenticationError):
            return link.refused_login(cause)
        if isinstance(cause, exceptions.ConnectionClosedByBroker | exceptions.ChannelClosedByBroker):
            said = f"{cause.reply_code} {cause.reply_text}"
            return link.refused_login(said) if cause.reply_code == _ACCESS_REFUSED else link.refused(said)
        if isinstance(cause, exceptions.ProbableAccessDeniedError):
            return link.refused(cause)
        if isinstance(cause, AMQPConnectorStackTimeout):
            return link.late()
        if isinstance(cause, OSError):
            return cause
    return link.lost(causes[-1])
