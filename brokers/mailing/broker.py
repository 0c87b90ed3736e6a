"""The base of the brokers that send mails: their settings, and one delivery of theirs."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from brokers.base import BaseBroker, Field
from brokers.config import ServiceSettings
from brokers.errors import ConfigError
from brokers.mailing.mails import TEXT, Manner, mails_of
from brokers.mailing.recipients import groups, rules
from brokers.render.diff import Limits
from brokers.secrets import Resolver
from brokers.transport import sendmail, smtp
from brokers.transport.mail import check_envelope
from payload.placeholders import COMMIT, PUSH, check
from payload.push import Person


class MailBroker(BaseBroker):
    """Sends a push as mails; subclasses say what these show besides."""

    abstract = True

    fields: ClassVar[Sequence[Field]] = (
        Field("To", required=True, type="mails", help="the recipients' addresses; it may be missing where ToFile is set"),
        Field("ToFile", type="path", help="a file of lines `docs/ = a@example.org`: who gets what of a push, besides To"),
        Field("From", type="mail", help="the sender, as `Commits <commits@example.org>`; else oberon@ this machine"),
        Field("Host", default="localhost", help="the mail server"),
        Field("Port", type="integer", help="its port; else 25, for starttls 587, for tls 465"),
        Field(
            "TLS", type="choice", choices=("none", "starttls", "tls"), default="none", help="how the way there is kept private"
        ),
        Field("User", help="the login, if the server wants one"),
        Field("Password", secret=True, help="the login's password"),
        Field("Sendmail", type="path", help="a sendmail program to use instead of a server"),
        Field("Reply-To", type="choice", choices=("author", "pusher", "none"), default="author", help="who gets the replies"),
        Field("PusherDomain", help="what makes an address of a pusher's login, as example.org, where none is known"),
        Field(
            "Each", type="choice", choices=("push", "commit"), default="push", help="a mail for each push, or for each commit too"
        ),
        Field("MaxMails", type="count", default=50, help="each = commit: how many mails of one push anybody gets at most"),
        Field(
            "ScanCc", type="boolean", default=False, help="copies of a commit's mail go where the Cc: lines of its message say"
        ),
        Field("Subject", type="push text", help="template of the subject; else [${repository.slug}] ${subject}"),
        Field("CommitSubject", type="commit text", help="likewise, of a mail about one commit"),
        Field("Body", validate=lambda raw: check(raw, {**PUSH, **TEXT}), help="template of the text; ${text} is the usual one"),
        Field("CommitBody", validate=lambda raw: check(raw, {**COMMIT, **TEXT}), help="likewise, of a mail about one commit"),
    )

    @classmethod
    def settings_of(cls, service: ServiceSettings, resolve: Resolver | None = None) -> tuple[dict[str, Any], list[ConfigError]]:
        """As of every broker, but `To` may be missing where there is a ToFile."""
        values, problems = super().settings_of(service, resolve)
        if values.get("tofile") and "to" not in service.fields:
            needless = f"{service.section}.{service.service}.To"
            problems = [problem for problem in problems if problem.setting != needless]
        return values, problems

    def limits(self, settings: Mapping[str, Any]) -> Limits | None:  # noqa: ARG002 - for subclasses
        """How much of the diffs the mails show; None: nothing."""
        return None

    def handle(self, payload: dict[str, Any]) -> str:
        """The note is the mail server's answer to the last mail."""
        settings = payload["service"]
        sender = Person.parse(settings.get("from") or f"oberon@{socket.gethostname()}")
        mapped = rules(settings.get("tofile"))
        if settings.get("to") or not settings.get("tofile"):
            check_envelope(sender.email, settings.get("to") or ())
        limits = self.limits(settings)
        manner = Manner(
            sender=sender,
            is_each_commit=settings.get("each") == "commit",
            max_mails=settings.get("maxmails") or 50,
            reply_to=settings.get("reply-to") or "author",
            pusher_domain=settings.get("pusherdomain") or "",
            scan_cc=bool(settings.get("scancc")),
            templates={
                "subject": settings.get("subject") or "",
                "body": settings.get("body") or "",
                "commit-subject": settings.get("commitsubject") or "",
                "commit-body": settings.get("commitbody") or "",
            },
            limits=limits,
            has_html=limits is not None and settings.get("html") != "off",
        )
        mails = list(mails_of(groups(payload, settings.get("to") or (), mapped), manner))
        if not mails:
            return "this push is for nobody: no line of ToFile is about it"
        if settings.get("sendmail"):
            return sendmail.deliver(mails, settings["sendmail"])
        return smtp.deliver(mails, _server(settings))

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
