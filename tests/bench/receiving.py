"""A receiver that costs next to nothing, as a process of its own: `python receiving.py DELAY_S`; it prints its port.

POST is answered with 200 after DELAY_S. GET tells, as JSON, how many POSTs were answered since the last GET, and the seconds
from the first one's coming to the last one's answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

DELAY_S = float(sys.argv[1])


class Served:
    """Since it was last asked."""

    count = 0
    first_at = 0.0
    last_at = 0.0


class Connection(asyncio.Protocol):
    """One client, one request after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.said = b""

    def data_received(self, data: bytes) -> None:
        self.said += data
        head, end, body = self.said.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET"):
            self.say(json.dumps({"count": Served.count, "seconds": Served.last_at - Served.first_at}).encode(), closing=True)
            Served.count = 0
            return
        fields = head.lower()
        length = int(fields.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self.said = b""
        if not Served.count:
            Served.first_at = time.monotonic()
        Served.count += 1
        asyncio.get_running_loop().call_later(DELAY_S, self.answer, b"connection: close" in fields)

    def answer(self, closing: bool) -> None:
        Served.last_at = time.monotonic()
        self.say(b"", closing=closing)

    def say(self, body: bytes, *, closing: bool) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        if closing:
            self.transport.close()


async def main() -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
