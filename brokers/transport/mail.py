"""What SMTP and sendmail have in common: which addresses may go into an envelope, and how a mail is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP

from brokers.errors import PermanentFailure
from brokers.transport.call import KEPT_BYTES, Exchange
from brokers.values import is_mail_address
from payload import text

MAX_SHOWN = 254  # characters of an address that is refused


def check_envelope(sender: str, recipients: Sequence[str]) -> None:
    """Refuse an envelope that cannot be written safely. Raises PermanentFailure, naming the address."""
    if not recipients:
        raise PermanentFailure("there is no recipient")
    for address in (sender, *recipients):
        if not is_mail_address(address):
            raise PermanentFailure(f"{text.visible(address)[:MAX_SHOWN]!r} is not a mail address")


def recorded(transport: str, sender: str, recipients: Sequence[str], message: EmailMessage) -> Exchange:
    """The record's entry for a mail that is about to be sent: envelope, empty line, message; at most KEPT_BYTES."""
    envelope = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients), ""]
    lines = message.as_bytes(policy=SMTP)[:KEPT_BYTES].decode("utf-8", "replace").split("\r\n")
    shown = "\n".join([*envelope, *(text.visible(line) for line in lines)])
    return Exchange(transport, text.cut(shown, KEPT_BYTES)[0])
