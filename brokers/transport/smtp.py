"""A mail to a server that speaks SMTP, by the rules of its call: deadline, address guard, certificates, record."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from io import BufferedIOBase

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport.call import Call, current
from brokers.transport.connect import connect, timed_out
from brokers.transport.deadline import GRACE_S, Watchdog
from brokers.transport.mail import check_envelope, recorded
from brokers.transport.tls import context
from payload import text

DEFAULT_PORTS = {"none": 25, "starttls": 587, "tls": 465}
"""TLS -> port: RFC 5321, RFC 6409, RFC 8314."""
_REPLY_CHARS = 300
_REPLY_BYTES = 64 * 1024  # of one reply's lines: that to EHLO names each extension
_ASKS_FOR_LOGIN = frozenset({530, 534, 535, 538})  # RFC 4954: what the admin can mend, the mail being right


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


def send(message: EmailMessage, sender: str, recipients: Sequence[str], server: Server) -> str:
    """Hand `message` over; the note says what the server answered and whom it refused.

    Delivered is what the server took with a 250 for at least one recipient. PermanentFailure: it refused all of them, the
    sender or the message for good (5xx). DeliveryFailed: anything else, and when it put one recipient off (4xx) - the
    others then get the mail again, under the same Message-ID.
    """
    call = current()
    check_envelope(sender, recipients)
    if not (server.user + server.password).isascii():
        raise PermanentFailure("User and Password of a mail server must be ASCII")
    record = recorded("smtp", sender, recipients, message)
    call.exchanges.append(record)
    if call.dry_run:
        return f"would be sent to {len(recipients)} through {server.endpoint}"
    started = time.monotonic()
    with Watchdog(call.remaining_s()) as watchdog:
        try:
            record.status, record.response = _transact(message, sender, recipients, server, call, watchdog)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            if isinstance(error, smtplib.SMTPResponseException):
                record.status, record.response = error.smtp_code, _shown(error.smtp_error)
            raise _failure(error, server, watchdog) from error
        finally:
            record.duration_s = time.monotonic() - started
    return record.response


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


class _Client(smtplib.SMTP):
    """smtplib over a guarded and watched socket."""

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
        if self.file is None:
            assert self.sock is not None
            self.file = _Reply(self.sock.makefile("rb"))
        self.file.left = _REPLY_BYTES
        try:
            return super().getreply()
        except _LongReplyError:
            self.close()
            raise


def _transact(
    message: EmailMessage, sender: str, recipients: Sequence[str], server: Server, call: Call, watchdog: Watchdog
) -> tuple[int, str]:
    """(code, note) of the server's answer to the message."""
    client = _Client(server, call, watchdog)
    try:
        if server.tls == "starttls":
            client.starttls(context=context(call.ca_bundle))
        client.ehlo_or_helo_if_needed()
        if server.user:
            client.login(server.user, server.password)
        raw = message.as_bytes(policy=SMTP)
        code, said = client.mail(sender, [f"size={len(raw)}"] if client.has_extn("size") else [])
        _judge(code, said, f"the sender {sender}")
        answers = {recipient: client.rcpt(recipient) for recipient in recipients}
        refused = {recipient: answer for recipient, answer in answers.items() if answer[0] // 100 != 2}  # noqa: PLR2004 - the class of successes
        put_off = {recipient: answer for recipient, answer in refused.items() if answer[0] // 100 != 5}  # noqa: PLR2004 - the class of refusals for good
        if len(refused) == len(answers):
            recipient, (code, said) = next(iter((put_off or refused).items()))
            _judge(code, said, f"all recipients, as {recipient}")
        code, said = client.data(raw)
        _judge(code, said, "the message")
        if put_off:
            told = f"sent to {len(answers) - len(refused)}, but put off: {_listed(put_off)}"
            raise DeliveryFailed(told, endpoint_down=False)
        note = f"{code} {_shown(said)}".strip()
        return code, f"{note}; refused: {_listed(refused)}" if refused else note
    finally:
        # What happens after the answer to the message changes nothing, and must not have it sent again.
        with contextlib.suppress(smtplib.SMTPException, OSError, ValueError):
            client.quit()
        client.close()


def _judge(code: int, said: bytes, what: str) -> None:
    if code // 100 == 2:  # noqa: PLR2004 - the class of successes
        return
    reason = f"the mail server refused {what}: {code} {_shown(said)}"
    if code // 100 == 5 and code not in _ASKS_FOR_LOGIN:  # noqa: PLR2004 - the class of refusals for good
        raise PermanentFailure(reason)
    raise DeliveryFailed(reason, endpoint_down=False)


def _failure(error: Exception, server: Server, watchdog: Watchdog) -> DeliveryFailed:
    """What `error`, from smtplib, means in plain words."""
    if watchdog.fired or isinstance(error, TimeoutError):
        return timed_out(watchdog, f"waiting for the answer of {server.endpoint}")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        told = f"{server.endpoint}: {error} (Service: TLS or User asks for what the server does not offer)"
        return DeliveryFailed(told, endpoint_down=False)
    if isinstance(error, smtplib.SMTPResponseException):
        # 421: it closes down, or will not talk now (RFC 5321, 3.8)
        said = f"{server.endpoint} said {error.smtp_code} {_shown(error.smtp_error)}"
        return DeliveryFailed(said, endpoint_down=error.smtp_code == 421)  # noqa: PLR2004 - said above
    if isinstance(error, ssl.SSLCertVerificationError):
        return DeliveryFailed(
            f"the certificate of {server.endpoint} is not accepted: {error.verify_message}; "
            "oberon.caBundle names the certificates to trust"
        )
    if isinstance(error, ssl.SSLError):
        return DeliveryFailed(f"TLS with {server.endpoint} failed: {error.reason or error}")
    if isinstance(error, (smtplib.SMTPServerDisconnected, ConnectionError)):
        return DeliveryFailed(f"{server.endpoint} closed the connection before it had answered")
    return DeliveryFailed(f"{server.endpoint}: {text.visible(str(error))[:_REPLY_CHARS]}")


def _listed(refused: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(f"{recipient} ({code} {_shown(said)})" for recipient, (code, said) in refused.items())


def _shown(said: bytes | str) -> str:
    """A server's words on one line."""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return text.visible(" ".join(words.split()))[:_REPLY_CHARS]
