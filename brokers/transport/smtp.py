"""Mails to a server that speaks SMTP, by the rules of their call: deadline, address guard, certificates, record.

All mails of a delivery go over one connection, one after another.
"""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Sequence
from email.message import EmailMessage

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport.call import Call, current
from brokers.transport.connect import timed_out
from brokers.transport.deadline import Watchdog
from brokers.transport.mail import Mail, Progress, Refusal, check_envelope, recorded
from brokers.transport.smtp_client import DEFAULT_PORTS, Client, Server
from payload import text

__all__ = ["DEFAULT_PORTS", "Server", "deliver", "send"]

_REPLY_CHARS = 300
_ASKS_FOR_LOGIN = frozenset({530, 534, 535, 538})  # RFC 4954: what the admin can mend, the mail being right
_CLOSES_DOWN = 421  # or will not talk now (RFC 5321, 3.8)


def send(message: EmailMessage, sender: str, recipients: Sequence[str], server: Server) -> str:
    """Hand one message over, as `deliver` does."""
    return deliver([Mail.of(message, sender, recipients)], server)


def deliver(mails: Sequence[Mail], server: Server) -> str:
    """Hand `mails` over, in their order; the note says what the server answered to the last one, and whom it refused.

    A mail is taken with a 250 for at least one recipient. One that is refused holds up none of the others. PermanentFailure:
    a mail or its sender was refused for good (5xx), or everybody whom any was for. DeliveryFailed: anything else, and when a
    mail or a recipient was put off (4xx); the next attempt leaves out what was taken (`brokers.transport.mail`).
    """
    call = current()
    for mail in mails:
        check_envelope(mail.sender, mail.recipients)
    if not (server.user + server.password).isascii():
        raise PermanentFailure("User and Password of a mail server must be ASCII")
    if call.dry_run:
        call.exchanges += [recorded("smtp", mail, len(mails)) for mail in mails]
        told = f"to {len(mails[0].recipients)}" if len(mails) == 1 else f"as {len(mails)} mails"
        return f"would be sent {told} through {server.endpoint}"
    progress = Progress(mails, server.endpoint)
    with Watchdog(call.remaining_s()) as watchdog:
        _converse(progress, len(mails), server, call, watchdog)
    return progress.end()


def _converse(progress: Progress, count: int, server: Server, call: Call, watchdog: Watchdog) -> None:
    """Try each mail that is left. Raises DeliveryFailed when the server ends it before that."""
    client: Client | None = None
    is_clean = True
    try:
        for mail in progress.left():
            record, started = recorded("smtp", mail, count), time.monotonic()
            call.exchanges.append(record)
            try:
                if client is None:
                    client = Client(server, call, watchdog)
                    client.ready()
                elif not is_clean:
                    client.rset()
                record.status, record.response = _transact(client, mail, progress)
                is_clean = True
            except _RefusedError as error:
                record.status, record.response, is_clean = error.code, _shown(error.said), False
                if error.code == _CLOSES_DOWN or error.code in _ASKS_FOR_LOGIN:
                    told = progress.told(error.refusal.reason)
                    raise DeliveryFailed(told, endpoint_down=error.code == _CLOSES_DOWN) from error
                progress.refused(error.refusal)
            except (smtplib.SMTPException, OSError, ValueError) as error:
                if isinstance(error, smtplib.SMTPResponseException):
                    record.status, record.response = error.smtp_code, _shown(error.smtp_error)
                failure = _failure(error, server, watchdog)
                failure.reason = progress.told(failure.reason)
                raise failure from error
            finally:
                record.duration_s = time.monotonic() - started
    finally:
        if client is not None:
            client.leave()


class _RefusedError(Exception):
    """The server refused a mail; the connection is as it was."""

    def __init__(self, code: int, said: bytes, what: str, *, of_recipients: bool = False) -> None:
        super().__init__(code, said, what)
        self.code, self.said = code, said
        for_good = code // 100 == 5 and code not in _ASKS_FOR_LOGIN  # noqa: PLR2004 - the class of refusals for good
        self.refusal = Refusal(f"the mail server refused {what}: {code} {_shown(said)}", for_good, of_recipients)


def _transact(client: Client, mail: Mail, progress: Progress) -> tuple[int, str]:
    """(code, note) of the server's answer to `mail`; what became of it is in `progress`. Raises _RefusedError if nobody gets it."""
    options = [f"size={len(mail.raw)}"] if client.has_extn("size") else []
    _judge(*client.mail(mail.sender, options), f"the sender {mail.sender}")
    answers = {recipient: client.rcpt(recipient) for recipient in mail.recipients}
    refused = {recipient: answer for recipient, answer in answers.items() if answer[0] // 100 != 2}  # noqa: PLR2004 - the class of successes
    put_off = {recipient: answer for recipient, answer in refused.items() if answer[0] // 100 != 5}  # noqa: PLR2004 - the class of refusals for good
    if len(refused) == len(answers):
        recipient, (code, said) = next(iter((put_off or refused).items()))
        raise _RefusedError(code, said, f"all recipients, as {recipient}", of_recipients=True)
    try:
        code, said = client.data(mail.raw)
    except smtplib.SMTPDataError as error:  # the word DATA itself
        code, said = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else error.smtp_error.encode()
    _judge(code, said, "the message")
    note = f"{code} {_shown(said)}".strip()
    progress.taken(mail, answers.keys() - refused.keys(), note)
    if put_off:
        told = f"sent to {len(answers) - len(refused)}, but put off: {_listed(put_off)}"
        progress.refused(Refusal(told, for_good=False, of_recipients=True))
    for recipient in refused.keys() - put_off.keys():
        progress.refused(Refusal(_listed({recipient: refused[recipient]}), for_good=True, of_recipients=True))
    return code, f"{note}; refused: {_listed(refused)}" if refused else note


def _judge(code: int, said: bytes, what: str) -> None:
    if code // 100 != 2:  # noqa: PLR2004 - the class of successes
        raise _RefusedError(code, said, what)


def _failure(error: Exception, server: Server, watchdog: Watchdog) -> DeliveryFailed:
    """What `error`, from smtplib, means in plain words."""
    if watchdog.fired or isinstance(error, TimeoutError):
        return timed_out(watchdog, f"waiting for the answer of {server.endpoint}")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        told = f"{server.endpoint}: {error} (Service: TLS or User asks for what the server does not offer)"
        return DeliveryFailed(told, endpoint_down=False)
    if isinstance(error, smtplib.SMTPResponseException):
        said = f"{server.endpoint} said {error.smtp_code} {_shown(error.smtp_error)}"
        return DeliveryFailed(said, endpoint_down=error.smtp_code == _CLOSES_DOWN)
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
