"""NATS: its client protocol, as far as one message needs it.

Source: https://docs.nats.io/reference/protocols/client; that a stream knows by `Nats-Msg-Id` what comes twice is tested with
nats-server 2.9.
Not by the library nats-py, which sends the login in clear where whoever answers says that there is no TLS.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from typing import Any, BinaryIO

from brokers.errors import PermanentFailure
from brokers.transport.publishing import Link, Message

_LONGEST_LINE = 64 * 1024  # INFO names the servers of a cluster
_LONGEST_REPLY = 64 * 1024
_NO_RESPONDERS = b"NATS/1.0 503"


def publish(message: Message, link: Link) -> str:
    """The note is the subject, or the stream and the message's number in it."""
    with link.connected() as connection, connection.makefile("rb") as reader:
        word, _, said = _line(reader, link).partition(" ")
        if word != "INFO":
            raise link.refused(f"{word} {said}", "is it a NATS server?")
        info = json.loads(said)
        if info.get("tls_required") and not link.server.has_tls:
            raise link.refused("it wants TLS", "write its address as tls://")
        if not link.server.has_tls:
            return _publish(message, link, connection, reader, info)
        if not (info.get("tls_required") or info.get("tls_available")):
            raise link.refused("it offers no TLS", "write its address as nats:// if it may go in clear")
        with link.secured(connection) as secured, secured.makefile("rb") as secured_reader:
            return _publish(message, link, secured, secured_reader, info)


def _publish(message: Message, link: Link, connection: socket.socket, reader: BinaryIO, info: dict[str, Any]) -> str:
    if not message.topic or len(message.topic.split()) != 1 or message.topic != message.topic.strip():
        raise PermanentFailure(f"{message.topic!r} is no subject: it is empty, or has a space")
    headers = f"NATS/1.0\r\nNats-Msg-Id: {message.id}\r\nContent-Type: application/json\r\n\r\n".encode()
    size = len(headers) + len(message.body)
    if size > info.get("max_payload", size):
        raise PermanentFailure(
            f"the message has {size:,} bytes, and {link.server.endpoint} takes {info['max_payload']:,}; lower oberon.maxCommits or maxFiles"
        )
    inbox = f"_INBOX.{secrets.token_hex(16)}"
    sent = [b"CONNECT " + json.dumps(_hello(link)).encode() + b"\r\n"]
    sent += [f"SUB {inbox} 1\r\n".encode()] if message.jetstream else []
    reply = f"{inbox} " if message.jetstream else ""
    sent += [f"HPUB {message.topic} {reply}{len(headers)} {size}\r\n".encode(), headers, message.body, b"\r\nPING\r\n"]
    connection.sendall(b"".join(sent))
    for word, said, content in _replies(reader, link):
        if word == "PING":
            connection.sendall(b"PONG\r\n")
        elif word == "-ERR":
            is_login = "authorization" in said.lower() or "authentication" in said.lower()
            raise link.refused_login(said) if is_login else link.refused(said)
        elif word == "PONG" and not message.jetstream:
            return f"published to {message.topic}"
        elif word in ("MSG", "HMSG"):
            return _acknowledged(content, message, link)
    raise link.lost()


def _acknowledged(content: bytes, message: Message, link: Link) -> str:
    """What a stream replied."""
    if content.startswith(_NO_RESPONDERS):
        raise link.refused(f"no stream takes {message.topic}", "make one, or leave JetStream out")
    reply = json.loads(content)
    if "error" in reply:
        raise link.refused(reply["error"].get("description", reply["error"]))
    return f"{reply['stream']} {reply['seq']}{', which had it already' if reply.get('duplicate') else ''}"


def _hello(link: Link) -> dict[str, Any]:
    login: dict[str, str] = {}
    if link.server.user:
        known = {"user": link.server.user, "pass": link.server.password}
        login = known if link.server.password else {"auth_token": link.server.user}
    return {
        "verbose": False, "pedantic": True, "tls_required": link.server.has_tls, "name": "oberon", "lang": "python",
        "version": "1", "protocol": 1, "echo": False, "headers": True, "no_responders": True, **login,
    }  # fmt: skip


def _replies(reader: BinaryIO, link: Link) -> Iterator[tuple[str, str, bytes]]:
    """(operation, what follows it, content of a message) of each that comes."""
    while True:
        word, _, said = _line(reader, link).partition(" ")
        content = b""
        if word in ("MSG", "HMSG"):
            size = int(said.rpartition(" ")[2])
            if size > _LONGEST_REPLY:
                raise link.refused(f"it replied {size:,} bytes")
            content = reader.read(size + 2)[:size]
            if len(content) < size:
                raise link.lost()
        yield word, said, content


def _line(reader: BinaryIO, link: Link) -> str:
    raw = reader.readline(_LONGEST_LINE)
    if not raw.endswith(b"\n"):
        raise link.late() if link.watchdog.fired else link.lost()
    return raw.decode("utf-8", "replace").strip()
