"""One message to a message broker, taken over when this returns: AMQP 0-9-1, MQTT 5, NATS, Redis streams, Kafka.

    note = publish(Server.parse("amqps://mq.example.org/builds", "oberon", password), message)

In: where it is, and a `Message`. Out: what the message broker said of it, an entry in the call's record, or an error of
`brokers.errors`. One module per protocol, with the function `publish(message, link)`; imported when it is needed, since most
of them need a library that does not come along (`Protocol.library`).
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport.call import KEPT_BYTES, Call, Exchange, current
from brokers.transport.connect import connect, resolve, timed_out
from brokers.transport.deadline import Watchdog
from brokers.transport.tls import context
from payload import text

_SAID_CHARS = 300


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one kind of message broker is spoken to."""

    name: str
    """Of the module in this package."""
    port: int
    tls_port: int
    library: str = ""
    """The Python module it needs; '' for none."""
    extra: str = ""
    """The extra of oberon-brokers that brings it."""
    separator: str = "."
    """What stands between the words of a topic."""
    no_word: str = r"[\s.*#>]"
    """Regular expression of a character that no word of a topic may have."""
    longest_topic: int = 3072
    """Bytes."""


# https://rabbitmq.com/uri-spec.html; the ports are IANA's; a routing key is a short string (AMQP 0-9-1, 4.2.5.3)
_AMQP = Protocol("amqp", 5672, 5671, "pika", "amqp", longest_topic=255)
_MQTT = Protocol("mqtt", 1883, 8883, "paho", "mqtt", "/", r"[+#/]", 65_535)  # MQTT 5.0, 4.7 and 1.5.4
# https://docs.nats.io/reference/protocols/client; a control line has at most 4096 bytes (max_control_line), beside it sizes and inbox
_NATS = Protocol("nats", 4222, 4222)
_REDIS = Protocol("redis", 6379, 6379, "redis", "redis", ":", r"[\s:]", 65_535)
_KAFKA = Protocol("kafka", 9092, 9093, "kafka", "kafka", ".", r"[^A-Za-z0-9._-]", 249)  # org.apache.kafka.common.internals.Topic
PROTOCOLS: Mapping[str, Protocol] = {
    **dict.fromkeys(("amqp", "amqps"), _AMQP),
    **dict.fromkeys(("mqtt", "mqtts"), _MQTT),
    **dict.fromkeys(("nats", "tls"), _NATS),
    **dict.fromkeys(("redis", "rediss"), _REDIS),
    **dict.fromkeys(("kafka", "kafka+ssl"), _KAFKA),
}
"""By the scheme of the address."""
_WITH_TLS = frozenset({"amqps", "mqtts", "tls", "rediss", "kafka+ssl"})


@dataclass(frozen=True, slots=True)
class Server:
    """Where a message broker is, and as whom it is spoken to."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    path: str = ""
    """What stands behind the host's slash: AMQP's virtual host, Redis' number of a database."""

    @classmethod
    def parse(cls, url: str, user: str = "", password: str = "") -> Self:
        """`url` is of the type `message broker url`. A login in it counts where `user` and `password` are ''."""
        parts = urlsplit(url)
        protocol, login = PROTOCOLS[parts.scheme], (unquote(parts.username or ""), unquote(parts.password or ""))
        return cls(
            parts.scheme,
            parts.hostname or "",
            parts.port or (protocol.tls_port if parts.scheme in _WITH_TLS else protocol.port),
            user or login[0],
            password or login[1],
            unquote(parts.path.removeprefix("/")),
        )

    @property
    def protocol(self) -> Protocol:
        """Of its scheme."""
        return PROTOCOLS[self.scheme]

    @property
    def has_tls(self) -> bool:
        """Whether it is spoken to over TLS only."""
        return self.scheme in _WITH_TLS

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is published."""

    topic: str
    """AMQP's routing key, NATS' subject, Redis' key."""
    body: bytes
    """JSON."""
    id: str
    """The same for each attempt."""
    key: str = ""
    """Kafka: messages of one key stay in their order."""
    exchange: str = ""
    """AMQP: '' is the one that takes the routing key for a queue's name."""
    jetstream: bool = False
    """NATS: a stream has to keep it."""
    max_length: int = 10_000
    """Redis: about how many messages the stream keeps."""
    mechanism: str = "PLAIN"
    """Kafka: how the login is proved (SASL)."""


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a server, by the rules of the call."""

    server: Server
    call: Call
    watchdog: Watchdog

    def remaining_s(self) -> float:
        """Until the deadline, and never quite nothing: to some libraries that is `for ever`."""
        return max(0.001, self.call.remaining_s())

    def addresses(self, host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
        """(family, socket address) of each that may be connected to. Raises as `brokers.transport.connect.connect`."""
        return resolve(host, port, self.call, self.watchdog)

    def connected(self) -> socket.socket:
        """Connected, watched, without TLS. Raises as `addresses`."""
        return connect(self.server.host, self.server.port, self.call, self.watchdog)

    def opened(self) -> socket.socket:
        """`connected`, with TLS where the server has it. Raises as `connected` and `secured`."""
        return self.secured(self.connected()) if self.server.has_tls else self.connected()

    def secured(self, connection: socket.socket) -> ssl.SSLSocket:
        """`connection` with TLS. Raises ssl.SSLError."""
        return self.context().wrap_socket(connection, server_hostname=self.server.host)

    def context(self) -> ssl.SSLContext:
        """The one that trusts what the call trusts."""
        return context(self.call.ca_bundle)

    def refused(self, said: object, remedy: str = "") -> DeliveryFailed:
        """The error for a server that is well, and does not want this."""
        told = f"{self.server.endpoint} refused it: {_shown(said)}"
        return DeliveryFailed(f"{told}; {remedy}" if remedy else told, endpoint_down=False)

    def refused_login(self, said: object) -> DeliveryFailed:
        """The error for a login that is not known."""
        return self.refused(said, "look at the user and password")

    def lost(self, said: object = "") -> DeliveryFailed:
        """The error for a server that broke off."""
        why = f": {_shown(said)}" if str(said) else ""
        return DeliveryFailed(f"{self.server.endpoint} closed the connection before it had taken the message{why}")

    def late(self) -> DeliveryFailed:
        """The error for the deadline."""
        return timed_out(self.watchdog, f"waiting for {self.server.endpoint} to take the message")


def words(values: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    """`values` of a template for a topic: each comes to one word, whatever was pushed, but for `repository.path`, one for each part.

    Where there is nothing to tell that is `_`: a topic that begins or ends with its separator is none to NATS.
    """

    def word(value: Any) -> str:
        said = "" if value is None else text.visible(text.repair(str(value)))
        return re.sub(protocol.no_word, "_", said) or "_"

    return {
        name: protocol.separator.join(map(word, str(value).split("/"))) if name == "repository.path" else word(value)
        for name, value in values.items()
    }


def publish(server: Server, message: Message) -> str:
    """Have `message` taken over by the message broker at `server`; the note is what it said of it.

    Raises DeliveryFailed if it was not, PermanentFailure for what can never be.
    """
    size, longest = len(message.topic.encode()), server.protocol.longest_topic
    if size > longest:
        raise PermanentFailure(f"the topic has {size:,} bytes, more than the {longest:,} that there may be: name less in it")
    call = current()
    record = Exchange(server.protocol.name, _request(server, message))
    call.exchanges.append(record)
    if call.dry_run:
        return ""
    started = time.monotonic()
    try:
        with Watchdog(call.remaining_s()) as watchdog:
            link = Link(server, call, watchdog)
            try:
                record.response = import_module(f"{__name__}.{server.protocol.name}").publish(message, link)
            except (OSError, ValueError) as error:
                raise (link.late() if watchdog.fired else _failure(error, link)) from error
    finally:
        record.duration_s = time.monotonic() - started
    return record.response


def _failure(error: Exception, link: Link) -> DeliveryFailed:
    """What `error` means in plain words."""
    where = link.server.endpoint
    if isinstance(error, ssl.SSLCertVerificationError):
        told = (
            f"the certificate of {where} is not accepted: {error.verify_message}; oberon.caBundle names the certificates to trust"
        )
        return DeliveryFailed(told)
    if isinstance(error, ssl.SSLError):
        return DeliveryFailed(f"TLS with {where} failed: {error.reason or error}")
    if isinstance(error, TimeoutError):
        return link.late()
    if isinstance(error, ConnectionRefusedError):
        return DeliveryFailed(f"cannot connect to {where}: connection refused")
    if isinstance(error, ConnectionError):
        return link.lost()
    return DeliveryFailed(f"{where}: {_shown(error)}", endpoint_down=isinstance(error, OSError))


def _request(server: Server, message: Message) -> str:
    """As the record has it: where to, what the protocol has beside the body, an empty line, the body."""
    lines = [f"PUBLISH {server.scheme}://{server.endpoint}/{server.path} {message.topic}"]
    lines += [f"exchange: {message.exchange}"] if message.exchange else []
    lines += [f"message-id: {message.id}", "content-type: application/json", ""]
    lines += message.body[:KEPT_BYTES].decode("utf-8", "replace").split("\n")
    return text.cut("\n".join(map(text.visible, lines)), KEPT_BYTES)[0]


def _shown(said: object) -> str:
    return text.visible(" ".join(str(said).split()))[:_SAID_CHARS]
