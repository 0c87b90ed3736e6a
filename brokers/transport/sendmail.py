"""Mails through this machine's `sendmail` program, which queues them by itself (Postfix, Exim, OpenSMTPD, msmtp)."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport import program as programs
from brokers.transport.call import current
from brokers.transport.mail import Mail, Progress, Refusal, check_envelope, recorded

_FOR_GOOD = {65: "refused the message", 67: "refused a recipient", 68: "refused a recipient's host"}
"""sysexits(3), as sendmail(8) uses it: exit status -> what a second try cannot change."""


def send(message: EmailMessage, sender: str, recipients: Sequence[str], program: str) -> str:
    """Hand one message over, as `deliver` does."""
    return deliver([Mail.of(message, sender, recipients)], program)


def deliver(mails: Sequence[Mail], program: str) -> str:
    """Run `program` once for each of `mails`, in their order; the note says how many recipients the last one was for.

    A mail that it refuses holds up none of the others. Raises PermanentFailure for an exit status that says never,
    DeliveryFailed for any other than 0 and at the deadline; the next attempt leaves out what was taken.
    """
    for mail in mails:
        check_envelope(mail.sender, mail.recipients)
    if current().dry_run:
        current().exchanges.extend(recorded("sendmail", mail, len(mails)) for mail in mails)
        return f"would be sent: {_note(mails[0], program) if len(mails) == 1 else f'{len(mails)} mails, through {program}'}"
    progress = Progress(mails, program)
    for mail in progress.left():
        record = recorded("sendmail", mail, len(mails))
        current().exchanges.append(record)
        try:
            ended = programs.run(
                [program, "-oi", "-f", mail.sender, "--", *mail.recipients],
                stdin=mail.raw.replace(b"\r\n", b"\n"),
                record=record,
            )
        except DeliveryFailed as error:  # the others would fare no better
            error.reason = progress.told(error.reason)
            raise
        try:
            programs.check(ended, _FOR_GOOD)
        except (PermanentFailure, DeliveryFailed) as error:
            progress.refused(Refusal(error.reason, for_good=isinstance(error, PermanentFailure)))
        else:
            progress.taken(mail, mail.recipients, _note(mail, program))
    return progress.end()


def _note(mail: Mail, program: str) -> str:
    return f"{len(mail.recipients)} recipients, through {program}"
