"""What SMTP and sendmail have in common: envelopes, how mails are recorded, and what the end of a delivery of several comes to.

A delivery may be several mails. One that is refused holds up none of the others: all are tried, and then the worst that
happened is told. What was taken is kept in mind while the delivery fails (`_Taken`), so that the next attempt of this process
sends the rest alone; another process sends them all again, under the same Message-IDs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.policy import SMTP
from typing import Self

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport.call import KEPT_BYTES, Exchange
from brokers.values import is_mail_address
from payload import text

MAX_SHOWN = 254  # characters of an address that is refused
_WHOLE_RECORDS = 8  # so many mails of one delivery are recorded up to KEPT_BYTES; of more, the same room is shared out
_REMEMBERED = 10_000  # mails


@dataclass(frozen=True, slots=True)
class Mail:
    """One message and its envelope."""

    sender: str
    recipients: tuple[str, ...]
    """Bare addresses; the message's headers may name more, or fewer."""
    raw: bytes
    """The message, lines ending in CRLF."""
    message_id: str
    """'' if it has none."""

    @classmethod
    def of(cls, message: EmailMessage, sender: str, recipients: Iterable[str]) -> Self:
        """`message` for `recipients`."""
        return cls(sender, tuple(recipients), message.as_bytes(policy=SMTP), str(message["Message-ID"] or ""))


@dataclass(frozen=True, slots=True)
class Refusal:
    """That a mail was not taken, or not for all of its recipients."""

    reason: str
    for_good: bool
    """No second try can change it."""
    of_recipients: bool = False
    """It is about whom the mail is for, not about the mail or its sender."""


class _Taken:
    """Which recipients' mails a server has taken in deliveries that have failed since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mails: OrderedDict[tuple[str, str], frozenset[str]] = OrderedDict()

    def of(self, way: str, mail: Mail) -> frozenset[str]:
        with self._lock:
            return self._mails.get((way, mail.message_id), frozenset())

    def add(self, way: str, mail: Mail, recipients: Iterable[str]) -> None:
        if not mail.message_id:
            return
        with self._lock:
            self._mails[way, mail.message_id] = self._mails.pop((way, mail.message_id), frozenset()) | frozenset(recipients)
            if len(self._mails) > _REMEMBERED:
                self._mails.popitem(last=False)

    def forget(self, way: str, mails: Iterable[Mail]) -> None:
        with self._lock:
            for mail in mails:
                self._mails.pop((way, mail.message_id), None)


_taken = _Taken()


class Progress:
    """How far the mails of one delivery have come. `way` is where they go: a server's `host:port`, a program's path."""

    def __init__(self, mails: Sequence[Mail], way: str) -> None:
        self._mails, self._way = mails, way
        self._before = sum(bool(_taken.of(way, mail)) for mail in mails)
        self._notes: list[str] = []
        self._refusals: list[Refusal] = []

    def left(self) -> list[Mail]:
        """The mails that are still to be sent, in their order, for those who have not had them."""
        left = []
        for mail in self._mails:
            had = _taken.of(self._way, mail)
            recipients = tuple(recipient for recipient in mail.recipients if recipient not in had)
            if recipients:
                left.append(replace(mail, recipients=recipients))
        return left

    def taken(self, mail: Mail, recipients: Iterable[str], note: str) -> None:
        """`mail` was taken for `recipients`, and `note` was answered."""
        self._notes.append(note)
        _taken.add(self._way, mail, recipients)

    def refused(self, refusal: Refusal) -> None:
        """A mail, or some of its recipients, were refused; the others go on."""
        self._refusals.append(refusal)

    def told(self, reason: str) -> str:
        """`reason`, with how many mails were taken before, if there are several."""
        return reason if len(self._mails) == 1 else f"{len(self._notes)} of {len(self._mails)} mails were sent; {reason}"

    def end(self) -> str:
        """The note, when all were tried.

        DeliveryFailed: something was put off. PermanentFailure: a mail, or its sender, was refused for good, or everybody
        whom any was for; the others were sent all the same. Recipients who were refused beside others are named in the note.
        """
        put_off = [refusal.reason for refusal in self._refusals if not refusal.for_good]
        if put_off:
            raise DeliveryFailed(self.told(_counted(put_off)), endpoint_down=False)
        lost = [refusal.reason for refusal in self._refusals if not refusal.of_recipients]
        refused = [refusal.reason for refusal in self._refusals if refusal.of_recipients]
        if lost or (refused and not self._notes and not self._before):
            raise PermanentFailure(self.told(_counted(lost or refused)))
        _taken.forget(self._way, self._mails)
        note = self._notes[-1] if self._notes else "sent by an earlier attempt"
        if len(self._mails) > 1:
            note = f"{len(self._mails)} mails: {note}"
        return f"{note}; refused: {', '.join(dict.fromkeys(refused))}" if refused else note


def check_envelope(sender: str, recipients: Sequence[str]) -> None:
    """Refuse an envelope that cannot be written safely. Raises PermanentFailure, naming the address."""
    if not recipients:
        raise PermanentFailure("there is no recipient")
    for address in (sender, *recipients):
        if not is_mail_address(address):
            raise PermanentFailure(f"{text.visible(address)[:MAX_SHOWN]!r} is not a mail address")


def recorded(transport: str, mail: Mail, of: int = 1) -> Exchange:
    """The record's entry for a mail that is about to be sent, one of `of`: envelope, empty line, message."""
    max_bytes = min(KEPT_BYTES, KEPT_BYTES * _WHOLE_RECORDS // max(of, 1))
    envelope = [f"MAIL FROM:<{mail.sender}>", *(f"RCPT TO:<{recipient}>" for recipient in mail.recipients), ""]
    lines = mail.raw[:max_bytes].decode("utf-8", "replace").split("\r\n")
    shown = "\n".join([*envelope, *(text.visible(line) for line in lines)])
    return Exchange(transport, text.cut(shown, max_bytes)[0])


def _counted(reasons: Sequence[str]) -> str:
    others = len(set(reasons)) - 1
    return reasons[0] if not others else f"{reasons[0]}, and {others} more of the kind"
