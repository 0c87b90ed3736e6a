"""Emaildiff: the push as a mail with the diffs of its commits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.base import Field
from brokers.mailing.broker import MailBroker
from brokers.render.diff import Limits


class EmailDiff(MailBroker):
    """Mails each push with its diffs, in the text and, in colour, in an HTML alternative.

    It needs what the broker `email` needs, and takes the same settings. Colours need Pygments (`pip install
    'oberon-brokers[html]'`); without it the diffs are black.

        # git config                                   # hgrc
        [service "review"]                             [services]
            broker = emaildiff                         review.broker = emaildiff
            to = review@example.org                    review.to = review@example.org
            from = Commits <commits@example.org>       review.from = Commits <commits@example.org>
            each = commit                              review.each = commit
            maxDiffLines = 500                         review.maxDiffLines = 500

    What the limits cut off a diff is said where it is missing. `oberon.maxDiff` holds besides: what it cuts never comes here.
    Of files that are no text it is said that they differ. With `each = commit` the mail about the push has no diff.

    Delivered is what the mail server has taken for at least one recipient, as with `email`.
    """

    fields = (
        *MailBroker.fields,
        Field("HTML", type="choice", choices=("auto", "off"), default="auto", help="whether there is an HTML alternative"),
        Field("MaxDiffLines", type="count", default=1000, help="lines of the diff of one commit"),
        Field("MaxDiffBytes", type="bytes", default="64k", help="bytes of the diff of one commit"),
        Field("MaxMailLines", type="count", default=5000, help="lines of all diffs in one mail"),
        Field("MaxMailBytes", type="bytes", default="256k", help="bytes of all diffs in one mail"),
    )
    needs = frozenset({"diff"})

    def limits(self, settings: Mapping[str, Any]) -> Limits:
        """As the service has them."""
        return Limits(settings["maxdifflines"], settings["maxdiffbytes"], settings["maxmaillines"], settings["maxmailbytes"])
