"""MQTT 5 with quality of service 1, over paho-mqtt: its answers say why, and a message says what it is."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from brokers.transport.publishing import Link, Message

_LOGIN = frozenset({0x86, 0x87, 0x8C})  # MQTT 5.0, 3.2.2.2: bad user name or password, not authorized, bad authentication method
_NOBODY = 0x10  # 3.4.2.1: no matching subscribers
_ONCE_AT_LEAST = 1
_TICK_S = 1.0
_KEEPALIVE_S = 60


def publish(message: Message, link: Link) -> str:
    """The note is the topic, and whether nobody listens."""
    client = _Client(message, link)
    try:
        client.connect(link.server.host, link.server.port, keepalive=_KEEPALIVE_S)
        while client.answer is None:
            if link.remaining_s() <= 0.001:  # noqa: PLR2004 - the least it says
                raise link.late()
            if client.loop(min(link.remaining_s(), _TICK_S)) != paho.MQTT_ERR_SUCCESS and client.answer is None:
                raise link.late() if link.watchdog.fired else link.lost(client.farewell)
        if client.answer.is_failure:
            login = client.answer.value in _LOGIN
            raise link.refused_login(client.answer) if login else link.refused(client.answer)
        client.disconnect()
    finally:
        client.loop(0)
        client.let_go()
    return f"published to {message.topic}{', where nobody listens' if client.answer.value == _NOBODY else ''}"


class _Client(paho.Client):
    def __init__(self, message: Message, link: Link) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.answer: ReasonCode | None = None
        """The server's last word on the login or the message."""
        self.farewell = ""
        self._link = link
        self._message = message
        if link.server.user:
            self.username_pw_set(link.server.user, link.server.password or None)
        if link.server.has_tls:
            self.tls_set_context(link.context())
        self.on_connect = self._connected
        self.on_publish = self._published
        self.on_disconnect = self._disconnected

    def _create_socket_connection(self) -> socket.socket:
        return self._link.connected()

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        return self._link.secured(tcp_sock)

    def _connected(self, _client: Any, _userdata: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        if code.is_failure:
            self.answer = code
            return
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        properties.PayloadFormatIndicator = 1  # UTF-8
        properties.UserProperty = [("message-id", self._message.id)]
        self.publish(self._message.topic, self._message.body, qos=_ONCE_AT_LEAST, properties=properties)

    def _published(self, _client: Any, _userdata: Any, _number: int, code: ReasonCode, _properties: Any) -> None:
        self.answer = code

    def _disconnected(self, _client: Any, _userdata: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self.farewell = str(code)

    def let_go(self) -> None:
        """Close the socket, whatever is under way, and the two by which the library wakes itself."""
        self._reset_sockets()
