"""What SMTP and sendmail have in common: which addresses may go into an envelope, and how a mail is recorded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP

from brokers.errors import PermanentFailure
from brokers.transport.call import KEPT_BYTES, Exchange
from payload import text

# RFC 5321's Mailbox less quoted strings and address literals; the domain may be left to the mail server (`root`).
# ASCII only: an address beyond it would need SMTPUTF8 from every server on the way.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~][A-Za-z0-9!#$%&'*+/=?^_`{|}~-]*"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*(?:@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)?")
_ADDRESS_CHARS = 254  # RFC 5321, 4.5.3.1.3


def is_address(address: str) -> bool:
    """Whether `address` is a bare mail address (`a@example.org`, `root`) that no command could be hidden in."""
    return len(address) <= _ADDRESS_CHARS and _ADDRESS.fullmatch(address) is not None


def check_envelope(sender: str, recipients: Sequence[str]) -> None:
    """Refuse an envelope that cannot be written safely. Raises PermanentFailure, naming the address."""
    if not recipients:
        raise PermanentFailure("there is no recipient")
    for address in (sender, *recipients):
        if not is_address(address):
            raise PermanentFailure(f"{text.visible(address)[:_ADDRESS_CHARS]!r} is not a mail address")


def recorded(transport: str, sender: str, recipients: Sequence[str], message: EmailMessage) -> Exchange:
    """The record's entry for a mail that is about to be sent: envelope, empty line, message; at most KEPT_BYTES."""
    envelope = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients), ""]
    lines = message.as_bytes(policy=SMTP)[:KEPT_BYTES].decode("utf-8", "replace").split("\r\n")
    shown = "\n".join([*envelope, *(text.visible(line) for line in lines)])
    return Exchange(transport, text.cut(shown, KEPT_BYTES)[0])
