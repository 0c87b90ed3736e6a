"""Email: the push as a mail."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from brokers.base import BaseBroker, Field
from brokers.render import mail
from brokers.transport import sendmail, smtp
from brokers.transport.mail import check_envelope
from brokers.values import is_mail_address
from payload.push import Person


class Email(BaseBroker):
    """Mails each push. One commit: its subject is the mail's. Several: a summary as subject, all of them in the mail.

    It needs the recipients, and a mail server: `localhost` unless told otherwise, or a sendmail program.

        # git config                                   # hgrc
        [service "mail"]                               [services]
            broker = email                             mail.broker = email
            to = dev@example.org, qa@example.org       mail.to = dev@example.org, qa@example.org
            from = Commits <commits@example.org>       mail.from = Commits <commits@example.org>
            host = mail.example.org                    mail.host = mail.example.org
            tls = starttls                             mail.tls = starttls
            user = commits                             mail.user = commits
            password = file:/etc/oberon/mail           mail.password = file:/etc/oberon/mail
    """

    fields = (
        Field("To", required=True, type="mails", help="the recipients' addresses"),
        Field("From", type="mail", help="the sender, as `Commits <commits@example.org>`; else oberon@ this machine"),
        Field("Host", default="localhost", help="the mail server"),
        Field("Port", type="integer", help="its port; else 25, for starttls 587, for tls 465"),
        Field(
            "TLS", type="choice", choices=("none", "starttls", "tls"), default="none", help="how the way there is kept private"
        ),
        Field("User", help="the login, if the server wants one"),
        Field("Password", secret=True, help="the login's password"),
        Field("Sendmail", type="path", help="a sendmail program to use instead of a server"),
        Field("Reply-To", type="choice", choices=("author", "none"), default="author", help="who gets the replies"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note is the mail server's answer."""
        settings = payload["service"]
        sender = Person.parse(settings.get("from") or f"oberon@{socket.gethostname()}")
        recipients = settings["to"]
        check_envelope(sender.email, recipients)
        author = mail.only_author(payload)
        answerable = settings.get("reply-to") != "none" and "@" in author.email and is_mail_address(author.email)
        message = mail.message(payload, sender, recipients, reply_to=author if answerable else None)
        if settings.get("sendmail"):
            return sendmail.send(message, sender.email, recipients, settings["sendmail"])
        return smtp.send(message, sender.email, recipients, _server(settings))

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of the mail server; '' for a sendmail program, which queues by itself."""
        return "" if settings.get("sendmail") else _server(settings).endpoint


def _server(settings: Mapping[str, Any]) -> smtp.Server:
    return smtp.Server(
        host=settings.get("host") or "localhost",
        port=settings.get("port"),
        tls=settings.get("tls") or "none",
        user=settings.get("user") or "",
        password=settings.get("password") or "",
    )
