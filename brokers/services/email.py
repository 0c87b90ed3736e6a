"""Email: the push as a mail, or as one mail for each of its commits."""

from __future__ import annotations

from brokers.mailing.broker import MailBroker


class Email(MailBroker):
    """Mails each push, or, as git-multimail does, each commit too, in a thread. A push of one commit: its subject is the mail's.
    Several: a summary as subject, and all of them in the mail.

    It needs the recipients, and a mail server: `localhost` unless told otherwise, or a sendmail program. A login is given out by
    whoever runs the server; Gmail takes none but an app password (myaccount.google.com/apppasswords).

        # git config                                   # hgrc
        [service "mail"]                               [services]
            broker = email                             mail.broker = email
            to = dev@example.org, qa@example.org       mail.to = dev@example.org, qa@example.org
            from = Commits <commits@example.org>       mail.from = Commits <commits@example.org>
            host = mail.example.org                    mail.host = mail.example.org
            tls = starttls                             mail.tls = starttls
            user = commits                             mail.user = commits
            password = file:/etc/oberon/mail           mail.password = file:/etc/oberon/mail

    With `each = commit` a mail about the push is followed by one for each commit, in a thread. Nobody gets more than `maxMails` of one
    push; beyond that the oldest commits have none, and the first mail says how many. A push of one commit is one mail.

    `toFile` names a file that says who gets what, besides `to`:

        docs/             = writers@example.org
        *.sql, db/        = dba@example.org, ann@example.org
        ref:release/*     = releases@example.org
        repository:web/*  = web@example.org

    Globs are those of `paths`; who is named twice gets one mail, of all that is for them. Filters can go by `List-Id`,
    `X-Oberon-Repository`, and the headers that git-multimail writes (`X-Git-Refname`, `X-Git-Rev` and their like) or, of Mercurial,
    `X-Hg-Branch` and its like.

    Delivered is what the mail server has taken for at least one recipient. A mail that it refuses holds up none of the others.
    When some have to be sent again, those that were taken are left out, as far as the worker remembers them; a mail that comes
    twice has the same Message-ID.
    """
