"""Lines of text to a server that says nothing: over TCP, each connection for one delivery, or each in a datagram of its own."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from brokers.errors import DeliveryFailed
from brokers.transport.call import KEPT_BYTES, Call, Exchange, current
from brokers.transport.connect import connect, resolve, timed_out
from brokers.transport.deadline import Watchdog
from payload import text

_REFUSAL_S = 0.1  # how long a datagram's refusal (ICMP) is waited for; from this machine it comes at once
_CHUNK_BYTES = 4096


def send(host: str, port: int, lines: Sequence[str], *, udp: bool = False) -> str:
    """Say `lines`, which have no line breaks, to `host`; the note says how many.

    TCP: done when the server has closed the connection, as it does once it has read to its end. UDP: done when they are sent; it
    may be that nobody is there, or that they are lost.
    Raises PermanentFailure where `allow_hosts` bars the host, DeliveryFailed for anything else.
    """
    call = current()
    place = f"{host}:{port}"
    shown = text.cut("\n".join(text.visible(line) for line in lines), KEPT_BYTES)[0]
    record = Exchange("udp" if udp else "tcp", shown)
    call.exchanges.append(record)
    told = f"{len(lines)} {'line' if len(lines) == 1 else 'lines'} to {place}"
    if call.dry_run:
        return f"would send {told}"
    started = time.monotonic()
    try:
        with Watchdog(call.remaining_s()) as watchdog:
            try:
                (_datagrams if udp else _stream)(host, port, [f"{line}\n".encode() for line in lines], call, watchdog)
            except OSError as error:
                if watchdog.fired or isinstance(error, TimeoutError):
                    raise timed_out(watchdog, f"sending to {place}") from error
                raise DeliveryFailed(f"{place} does not take it: {(error.strerror or str(error)).lower()}") from error
            if watchdog.fired:
                raise timed_out(watchdog, f"waiting until {place} has read it")
    finally:
        record.duration_s = time.monotonic() - started
    return f"sent {told}"


def _stream(host: str, port: int, lines: Sequence[bytes], call: Call, watchdog: Watchdog) -> None:
    with connect(host, port, call, watchdog) as connection:
        connection.sendall(b"".join(lines))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(_CHUNK_BYTES):
            pass


def _datagrams(host: str, port: int, lines: Sequence[bytes], call: Call, watchdog: Watchdog) -> None:
    family, where = resolve(host, port, call, watchdog)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.connect(where)
        for line in lines:
            connection.send(line)
        connection.settimeout(min(_REFUSAL_S, max(0.001, call.remaining_s())))
        try:
            connection.recv(1)
        except TimeoutError:
            pass  # nothing was refused; nothing is answered either
