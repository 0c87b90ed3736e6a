"""Publish: a message broker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from brokers.base import BaseBroker, Field
from brokers.render.template import PUSH, Template, values_of
from brokers.transport import publishing


class Publish(BaseBroker):
    """Publishes each push, as JSON, to a message broker: AMQP 0-9-1, MQTT 5, NATS, Redis streams or Kafka.

    It needs the message broker's address, and the topic. The scheme says what is spoken, and to what is installed
    (`pip install 'oberon-brokers[EXTRA]'`; all of them: `all`):

        RabbitMQ, LavinMQ    amqp://host[:port]/[virtual-host]    amqps://    amqp     topic = routing key
        Mosquitto, EMQX ...  mqtt://host[:port]                   mqtts://    mqtt     topic
        NATS, JetStream      nats://host[:port]                   tls://               topic = subject
        Redis, Valkey        redis://host[:port]/[database]       rediss://   redis    topic = the stream's key
        Kafka, Redpanda      kafka://host[:port]                  kafka+ssl:// kafka   topic

        # git config                                       # hgrc
        [service "bus"]                                    [services]
            broker = publish                               bus.broker = publish
            url = amqps://mq.example.org/builds            bus.url = amqps://mq.example.org/builds
            user = oberon                                  bus.user = oberon
            password = file:/etc/oberon/mq                 bus.password = file:/etc/oberon/mq
            exchange = pushes                              bus.exchange = pushes
            topic = git.${repository.path}.${branch}       bus.topic = git.${repository.path}.${branch}

    `${name}` in the topic is filled with what was pushed. Each name comes to one word - a character that separates words there
    becomes `_`, and so does one that says nothing, as the branch of a tag - but for `${repository.path}`, which comes to one for each
    of its parts: `git.team.app.main`.

    The message is the payload less `broker` and `service`. Its id, the same for each attempt, is the event's: `message_id`
    (AMQP), a property or header `message-id` (MQTT, Kafka), `Nats-Msg-Id`, by which JetStream leaves a repetition out, the
    field `id` beside `payload` (Redis).

    Delivered: RabbitMQ confirmed it, persistent, and a queue got it; MQTT acknowledged it (quality of service 1); NATS has seen
    it, or with `jetstream = true` a stream keeps it; Redis returned the entry's number; all of Kafka's replicas in sync have it.
    A login, exchange, stream or topic that is not there is tried again on the schedule, as it may be made.

    NATS takes a user and password, or a token; no NKeys. Kafka's logins (SASL) have not been tried against a server that has some.
    """

    fields = (
        Field(
            "URL",
            type="message broker url",
            required=True,
            help="the message broker, as amqps://[user:password@]host/virtual-host",
        ),
        Field("User", help="the login; for NATS without a password, its token"),
        Field("Password", secret=True, help="the login's password"),
        Field("Topic", type="push text", default="oberon", help="topic, routing key, subject or stream"),
        Field("Exchange", help="AMQP: the exchange; else the topic is a queue's name"),
        Field("JetStream", type="boolean", default=False, help="NATS: a stream has to keep the message"),
        Field("Max-Length", type="count", default=10_000, help="Redis: about how many entries the stream keeps"),
        Field(
            "Mechanism", type="choice", choices=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), default="PLAIN", help="Kafka: SASL"
        ),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note is what the message broker said of the message."""
        settings = payload["service"]
        server = _server(settings)
        body = json.dumps({key: value for key, value in payload.items() if key not in ("broker", "service")}).encode()
        values = values_of(payload)
        message = publishing.Message(
            topic=Template.parse(settings.get("topic") or "oberon", PUSH).expand(publishing.words(values, server.protocol)),
            body=body,
            id=values["event"] or hashlib.sha256(body).hexdigest()[:32],
            key=str(values["repository.path"]),
            exchange=settings.get("exchange") or "",
            jetstream=settings.get("jetstream", False),
            max_length=settings.get("max-length") or 10_000,
            mechanism=settings.get("mechanism") or "PLAIN",
        )
        return publishing.publish(server, message)

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the message broker."""
        return _server(settings).endpoint if settings.get("url") else ""

    @classmethod
    def required_with(cls, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """The library of the address's protocol."""
        protocol = publishing.PROTOCOLS.get(urlsplit(str(settings.get("url", ""))).scheme)
        return {protocol.library: protocol.extra} if protocol and protocol.library else {}


def _server(settings: Mapping[str, Any]) -> publishing.Server:
    return publishing.Server.parse(settings["url"], settings.get("user") or "", settings.get("password") or "")
