"""Kafka, over kafka-python: taken over when all replicas in sync have it.

Servers name others, to which the client then connects: those are judged like the first.
"""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack
from itertools import count
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    SaslAuthenticationFailedError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

from brokers.errors import BrokerError, DeliveryFailed, PermanentFailure
from brokers.transport.publishing import Link, Message

_SCHEME = "oberon"
_FAREWELL_S = 0.1
_HEADERS_BYTES = 64 * 1024  # at most, of the rest of a request
_links: dict[str, Link] = {}
"""Number of a producer's, as a host's name -> the way to its servers: the library's thread knows nothing of the call."""
_failures: dict[str, BrokerError] = {}
"""Likewise -> why one of them could not be connected to: the library would not say."""
_numbers = count(1)

logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it logs each failure, and tries again; we tell the last one


class _Guarded(KafkaNetSocket):  # type: ignore[misc]  # the library has no types
    """How the library looks up and connects to a server, chosen by the scheme of its `proxy_url`."""

    SCHEMES = (_SCHEME,)

    def __init__(self, proxy_url: str) -> None:
        self._number = proxy_url.removeprefix(f"{_SCHEME}://")

    def dns_lookup(self, host: str, port: int, raise_error: bool = False) -> list[Any]:  # noqa: ARG002, FBT001, FBT002 - the library's signature
        try:
            found = _links[self._number].addresses(host, port)
        except BrokerError as error:
            _failures[self._number] = error
            return []
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where) for family, where in found]

    def socket(self, *kinds: int) -> socket.socket:
        """Watched, as the library waits for a handshake as long as it takes."""
        made: socket.socket = super().socket(*kinds)
        _links[self._number].watchdog.watch(made)
        return made


def publish(message: Message, link: Link) -> str:
    """The note is the topic, the partition and the message's number in it."""
    number = str(next(_numbers))
    link.opened().close()  # the library would try again and again, and not say why
    _links[number] = link
    try:
        return _published(message, link, f"{_SCHEME}://{number}")
    except SaslAuthenticationFailedError as error:
        raise link.refused_login(error) from error
    except AuthorizationError as error:
        raise link.refused(error, "look at what the user may do") from error
    except MessageSizeTooLargeError as error:
        raise PermanentFailure(
            f"the message has {len(message.body):,} bytes, which is more than Kafka takes; lower oberon.maxCommits or maxFiles"
        ) from error
    except KafkaTimeoutError as error:
        raise _failures.get(number) or _late(link) from error
    except BrokerResponseError as error:
        raise link.refused(error) from error
    except KafkaError as error:
        raise _failures.get(number) or link.lost(error) from error
    finally:
        del _links[number]
        _failures.pop(number, None)


def _late(link: Link) -> DeliveryFailed:
    """The library tries a login that was refused again, and only says that time ran out."""
    hint = "; if that goes on, look at the user, the password and the mechanism" if link.server.user else ""
    return DeliveryFailed(f"{link.late()}{hint}", slow_down=True)


def _published(message: Message, link: Link, proxy_url: str) -> str:
    clients: list[KafkaNetClient] = []

    def client(**options: Any) -> KafkaNetClient:
        clients.append(KafkaNetClient(**options))
        return clients[-1]

    def close() -> None:
        for made in clients:
            made.close()

    with ExitStack() as stack:
        stack.callback(close)  # a producer that could not be made leaves them open
        producer = KafkaProducer(**_settings(message, link), kafka_client=client, proxy_url=proxy_url)
        stack.callback(producer.close, timeout=_FAREWELL_S)
        headers = [("message-id", message.id.encode()), ("content-type", b"application/json")]
        sent = producer.send(message.topic, message.body, key=message.key.encode() or None, headers=headers)
        found = sent.get(timeout=link.remaining_s())
    return f"{found.topic}[{found.partition}] {found.offset}"


def _settings(message: Message, link: Link) -> dict[str, Any]:
    server, within_ms = link.server, max(1, int(link.remaining_s() * 1000))
    login = {"sasl_mechanism": message.mechanism, "sasl_plain_username": server.user, "sasl_plain_password": server.password}
    return {
        "bootstrap_servers": [server.endpoint],
        "client_id": "oberon",
        "security_protocol": f"{'SASL_' if server.user else ''}{'SSL' if server.has_tls else 'PLAINTEXT'}",
        "ssl_context": link.context() if server.has_tls else None,
        **(login if server.user else {}),
        "acks": "all",
        "retries": 0,
        "enable_idempotence": False,
        "max_request_size": len(message.body) + _HEADERS_BYTES,
        **dict.fromkeys(("bootstrap_timeout_ms", "max_block_ms", "request_timeout_ms", "delivery_timeout_ms"), within_ms),
    }
