"""An SMTP server on loopback that keeps each mail and refuses what it is told to."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Literal, Self

from brokers.testing.record import Record, Script

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail that was accepted."""

    sender: str
    """Of the envelope; '' for a bounce's."""
    recipients: tuple[str, ...]
    message: EmailMessage
    raw: bytes
    """As sent, lines ending in CRLF."""
    user: str | None
    """Who logged in; None without AUTH."""
    tls: bool

    def __str__(self) -> str:
        return f"{self.sender} -> {', '.join(self.recipients)}: {self.message['Subject']}"


@dataclass(frozen=True, slots=True)
class _Refusal:
    reply: str
    recipient: str | None


class Mailbox:
    """An SMTP server on 127.0.0.1 that keeps each mail.

    `tls`: 'none', 'starttls' (required before MAIL) or 'tls' (from the first byte); the last two need `context`, a
    server's SSLContext. With `user` and `password`, MAIL is refused until these have logged in (AUTH PLAIN or LOGIN).
    Needs aiosmtpd; raises ModuleNotFoundError that says how to get it.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        tls: Literal["none", "starttls", "tls"] = "none",
        context: ssl.SSLContext | None = None,
        user: str | None = None,
        password: str = "",
    ) -> None:
        if (tls == "none") != (context is None):
            raise ValueError("give `context` with tls='starttls' or tls='tls', and with these only")
        self.host = HOST
        self.port = port
        self.tls = tls
        self.context = context
        self.user = user
        self.password = password
        self._record: Record[ReceivedMail] = Record("mails")
        self._script: Script[_Refusal] = Script()
        self._controller: Any = None

    @property
    def messages(self) -> list[ReceivedMail]:
        """What has been accepted so far, in order."""
        return self._record.all()

    def refuse(self, code: int, text: str = "refused", *, recipient: str | None = None, times: int | None = 1) -> None:
        """Answer the next `times` mails with `code` (4xx: not now, 5xx: never): at DATA's end, or at RCPT of `recipient`.

        None: all that follow, until `refuse` is called again.
        """
        self._script.add(_Refusal(f"{code} {text}", recipient), times)

    def wait(self, count: int = 1, timeout_s: float = 10.0) -> list[ReceivedMail]:
        """All mails so far, as soon as there are `count`. Raises NothingCameError."""
        return self._record.wait(count, timeout_s)

    def clear(self) -> None:
        """Forget what came."""
        self._record.clear()

    def start(self) -> Self:
        """Listen. Raises OSError, when the port is taken; ModuleNotFoundError without aiosmtpd."""
        if self._controller is not None:
            raise RuntimeError("this mailbox is listening already")
        try:
            from aiosmtpd.controller import Controller
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("a Mailbox needs aiosmtpd: pip install 'oberon-brokers[demo]'", name="aiosmtpd") from error

        listening = socket.create_server((HOST, self.port))
        self.port = listening.getsockname()[1]

        class OnSocket(Controller):
            """A Controller that takes a socket: given port 0, it would not learn which port it got."""

            def _create_server(self) -> Any:
                return self.loop.create_server(self._factory_invoker, sock=listening, ssl=self.ssl_context)

        later, at_once = (self.context if self.tls == kind else None for kind in ("starttls", "tls"))
        controller = OnSocket(
            _MailHandler(self),
            HOST,
            self.port,
            ssl_context=at_once,
            tls_context=later,
            require_starttls=later is not None,
            auth_require_tls=later is not None,
            authenticator=self._authenticate,
            server_hostname="localhost",
        )
        try:
            controller.start()
        except BaseException:
            listening.close()
            raise
        self._controller = controller
        return self

    def stop(self) -> None:
        """Stop listening and drop every open connection."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> Any:  # noqa: ARG002 - aiosmtpd's call
        from aiosmtpd.smtp import AuthResult

        accepted = self.user is not None and (given.login, given.password) == (self.user.encode(), self.password.encode())
        return AuthResult(success=accepted, handled=False, auth_data=self.user if accepted else None)

    def _refusal(self, recipient: str | None) -> str | None:
        refusal = self._script.next(lambda refusal: refusal.recipient == recipient)
        return refusal.reply if refusal else None

    def _take(self, mail: ReceivedMail) -> None:
        self._record.add(mail)


class _MailHandler:
    """aiosmtpd's hooks, which it finds by name; each returns the reply's line."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: ARG002, N802 - aiosmtpd's call
        if self.mailbox.user is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: ARG002, N802 - aiosmtpd's call
        refusal = self.mailbox._refusal(address)  # noqa: SLF001 - two halves of one thing
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802 - aiosmtpd's call
        refusal = self.mailbox._refusal(None)  # noqa: SLF001 - two halves of one thing
        if refusal is not None:
            return refusal
        mail = ReceivedMail(
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            message=email.message_from_bytes(envelope.content, policy=email.policy.default),
            raw=envelope.content,
            user=session.auth_data if session.authenticated else None,
            tls=self.mailbox.tls == "tls" or session.ssl is not None,
        )
        self.mailbox._take(mail)  # noqa: SLF001 - two halves of one thing
        return "250 OK"
