"""smtplib over a guarded and watched socket, with replies that are whole or none.

What it raises are smtplib's errors, OSError, and ValueError for a reply without end; of `connect`, those of `brokers.errors`.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
from dataclasses import dataclass
from io import BufferedIOBase

from brokers.transport.call import Call
from brokers.transport.connect import connect
from brokers.transport.deadline import GRACE_S, Watchdog
from brokers.transport.tls import context

DEFAULT_PORTS = {"none": 25, "starttls": 587, "tls": 465}
"""TLS -> port: RFC 5321, RFC 6409, RFC 8314."""
_FAREWELL_S = 1.0  # how long the answer to QUIT is waited for
_REPLY_BYTES = 64 * 1024  # of one reply's lines: that to EHLO names each extension


@dataclass(frozen=True, slots=True)
class Server:
    """The mail server and how to speak to it."""

    host: str = "localhost"
    port: int | None = None
    """None: as `DEFAULT_PORTS`."""
    tls: str = "none"
    """`none`, `starttls` (refused if the server does not offer it) or `tls` from the first byte."""
    user: str = ""
    """'' sends without a login."""
    password: str = ""
    ehlo: str = ""
    """What this machine calls itself; '': its own name, or its address if that has no domain."""

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port or DEFAULT_PORTS[self.tls]}"


class _LongReplyError(ValueError):
    """A reply that has not come to its end within _REPLY_BYTES. No OSError: smtplib would take it for a lost connection."""


class _Reply:
    """The lines of replies, as smtplib should read them: it takes what was cut off for a line, so that half of a refusal or
    a `250` at the deadline counts, and keeps all of a reply, for as long as its lines come.
    """

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self.left = _REPLY_BYTES

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(limit)
        self.left -= len(line)
        if self.left < 0:
            raise _LongReplyError(f"a reply is longer than {_REPLY_BYTES // 1024} KiB")
        return line if line.endswith(b"\n") or len(line) == limit else b""  # b'': the connection was lost

    def close(self) -> None:
        self._file.close()


class Client(smtplib.SMTP):
    """A connection to `server`, made when it is made; `ready` before the first mail, `leave` after the last."""

    def __init__(self, server: Server, call: Call, watchdog: Watchdog) -> None:
        self._server, self._call, self._watchdog = server, call, watchdog
        port = server.port or DEFAULT_PORTS[server.tls]
        # Without a name smtplib asks the resolver for one, outside every deadline.
        name = server.ehlo or socket.gethostname()
        super().__init__(server.host, port, local_hostname=name, timeout=call.remaining_s() + GRACE_S)
        if self.sock and not server.ehlo and "." not in name:  # RFC 5321, 4.1.3: then the address, as a literal
            address = self.sock.getsockname()[0]
            self.local_hostname = f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - smtplib's signature; `call` has the deadline
        if self._server.tls != "tls":
            return connect(host, port, self._call, self._watchdog)
        trusted = context(self._call.ca_bundle)
        return trusted.wrap_socket(connect(host, port, self._call, self._watchdog), server_hostname=host)

    def getreply(self) -> tuple[int, bytes]:
        """(code, words) of the next reply, once all of it is there."""
        if self.file is None:
            assert self.sock is not None
            self.file = _Reply(self.sock.makefile("rb"))
        self.file.left = _REPLY_BYTES
        try:
            return super().getreply()
        except _LongReplyError:
            self.close()
            raise

    def ready(self) -> None:
        """STARTTLS, greeting and login, as the server's settings have it."""
        if self._server.tls == "starttls":
            self.starttls(context=context(self._call.ca_bundle))
        self.ehlo_or_helo_if_needed()
        if self._server.user:
            self.login(self._server.user, self._server.password)

    def leave(self) -> None:
        """What happens after the answer to the last message changes nothing, and must not have it sent again."""
        with contextlib.suppress(smtplib.SMTPException, OSError, ValueError):
            if self.sock is not None:
                self.sock.settimeout(_FAREWELL_S)
            self.quit()
        self.close()
