"""A mail through this machine's `sendmail` program, which queues it by itself (Postfix, Exim, OpenSMTPD, msmtp)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport.call import current
from brokers.transport.mail import check_envelope, recorded
from payload import text

# sysexits(3), as sendmail(8) uses it: what a second try cannot change.
_FOR_GOOD = {65: "the message", 67: "a recipient", 68: "a recipient's host"}
_SAID_CHARS = 300
# Nothing of the caller's: in a hook the environment is the pusher's.
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def send(message: EmailMessage, sender: str, recipients: Sequence[str], program: str) -> str:
    """Hand `message` to `program`; the note says how many it was for.

    Raises PermanentFailure for an exit status that says never, DeliveryFailed for any other than 0 and at the deadline.
    """
    call = current()
    check_envelope(sender, recipients)
    record = recorded("sendmail", sender, recipients, message)
    call.exchanges.append(record)
    note = f"{len(recipients)} recipients, through {program}"
    if call.dry_run:
        return f"would be sent: {note}"
    started = time.monotonic()
    try:
        record.status, said = _run(
            [program, "-oi", "-f", sender, "--", *recipients],
            message.as_bytes(policy=SMTP.clone(linesep="\n")),
            call.remaining_s(),
        )
    except subprocess.TimeoutExpired as error:
        raise DeliveryFailed(f"{program} had not finished after {round(error.timeout, 1):g} s", slow_down=True) from error
    except OSError as error:
        raise DeliveryFailed(f"cannot run {program}: {error.strerror}") from error
    finally:
        record.duration_s = time.monotonic() - started
    record.response = text.visible(" ".join(said.decode("utf-8", "replace").split()))[:_SAID_CHARS]
    if record.status in _FOR_GOOD:
        raise PermanentFailure(f"{program} refused {_FOR_GOOD[record.status]}: {record.response or record.status}")
    if record.status != 0:
        raise DeliveryFailed(f"{program} ended with status {record.status}: {record.response}")
    return note


def _run(command: list[str], stdin: bytes, timeout_s: float) -> tuple[int, bytes]:
    """(exit status, what it printed). At the deadline it is killed, with all that it started."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(stdin, timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, said
