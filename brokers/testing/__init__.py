"""Real servers on this machine that keep what they are sent: for tests of brokers and for `oberon demo`.

    with Receiver() as receiver, Mailbox() as mailbox:
        ...                                     # something posts to receiver.url, mails to mailbox.host:mailbox.port
        [request] = receiver.wait(1)
        assert request.payload()["commits"]
        [mail] = mailbox.wait(1)
        assert mail.message["Subject"]

Both listen on 127.0.0.1 only, run in threads of their own, write nothing to stderr, and may be used from any thread.
Stopped and entered again, a server comes back on the same port with its record kept: an endpoint that was down for a while.
With pytest they come as fixtures (`brokers.testing.fixtures`); so every run of pytest passes through here, and what this
package exports is imported when it is first asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from brokers.testing.mailbox import Mailbox, ReceivedMail
    from brokers.testing.receiver import ReceivedRequest, Receiver
    from brokers.testing.record import NothingCameError

__all__ = ["Mailbox", "NothingCameError", "ReceivedMail", "ReceivedRequest", "Receiver"]

_HOME_OF = {
    "Mailbox": "brokers.testing.mailbox",
    "ReceivedMail": "brokers.testing.mailbox",
    "ReceivedRequest": "brokers.testing.receiver",
    "Receiver": "brokers.testing.receiver",
    "NothingCameError": "brokers.testing.record",
}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
