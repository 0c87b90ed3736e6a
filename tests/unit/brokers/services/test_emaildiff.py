from __future__ import annotations

import pytest

from brokers import loader
from brokers.config import Configuration, Entry
from brokers.delivery.outcome import Verdict
from brokers.services.emaildiff import EmailDiff
from payload import samples
from tests.support.failing_service import outcome_of
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload

DIFF = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-\tone <b>\n+\ttwo ü\n"


@pytest.fixture
def configured(mailbox):
    """configured(...) -> as `payload['service']` has it"""

    def settings(**given: str):
        entries = {"broker": "emaildiff", "to": "ann@example.org", "host": mailbox.host, "port": str(mailbox.port), **given}
        parsed = Configuration.parse(Entry("mail", key, value, "config") for key, value in entries.items())
        values, problems = EmailDiff.settings_of(parsed.services[0])
        assert not problems, [str(problem) for problem in problems]
        return values

    return settings


def pushed(*diffs: str | None, **details):
    """A commit for each diff; None: the payload has none."""
    made = payload([commit(f"Number {number}") for number in range(len(diffs))])
    for one, diff in zip(made["commits"], diffs, strict=True):
        made["oberon"]["commits"][one["raw_node"]] = {"truncated": [], **({} if diff is None else {"diff": diff}), **details}
    return made


def parts(mail):
    """(text, HTML or None) as a mail reader shows them."""
    found = [mail.message.get_body((kind,)) for kind in ("plain", "html")]
    return [part and part.get_content().replace("\r\n", "\n") for part in found]


def test_it_is_found_under_its_name_and_asks_for_diffs():
    assert loader.broker_class("emaildiff") is EmailDiff
    assert EmailDiff.needs == {"diff"}


def test_the_diff_is_in_the_text_and_in_the_html(mailbox, configured):
    assert EmailDiff().handle(pushed(DIFF) | {"service": configured()}) == "250 OK"
    [mail] = mailbox.messages
    assert mail.message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.message.iter_parts()] == ["text/plain", "text/html"]
    plain, html = parts(mail)
    assert plain.endswith("  3 files, +684 bytes\n\n" + DIFF)
    assert "two ü" in html
    assert "one &lt;b&gt;" in html
    assert max(len(line) for line in mail.raw.split(b"\r\n")) <= 78
    assert mail.raw.isascii()


def test_html_can_be_switched_off(mailbox, configured):
    EmailDiff().handle(pushed(DIFF) | {"service": configured(html="off")})
    [mail] = mailbox.messages
    assert mail.message.get_content_type() == "text/plain"
    assert DIFF in parts(mail)[0]


def test_the_limits_of_the_configuration(mailbox, configured):
    service = configured(maxdifflines="3", maxmaillines="5")
    EmailDiff().handle(pushed(DIFF, DIFF, DIFF) | {"service": service})
    for shown in parts(mailbox.messages[0]):
        assert "The diff goes on for 3 lines: at most 3 lines a commit are shown." in shown
        assert "The diff goes on for 4 lines: at most 5 lines a mail are shown." in shown
        assert "The diff, of 6 lines, is left out: at most 5 lines a mail are shown." in " ".join(shown.split())


def test_with_a_mail_for_each_commit_that_of_the_push_has_no_diff(mailbox, configured):
    EmailDiff().handle(pushed(DIFF, DIFF) | {"service": configured(each="commit")})
    assert ["@@" in parts(mail)[0] for mail in mailbox.messages] == [False, True, True]
    assert all(parts(mail)[1] for mail in mailbox.messages)


def test_a_diff_of_files_that_are_no_text_says_so(mailbox, configured):
    binary = "diff --git a/logo.png b/logo.png\nindex 1..2 100644\nBinary files a/logo.png and b/logo.png differ\n"
    EmailDiff().handle(pushed(binary) | {"service": configured()})
    assert all("Binary files a/logo.png and b/logo.png differ" in shown for shown in parts(mailbox.messages[0]))


def test_a_diff_that_could_not_be_made_is_said_to_be_missing(mailbox, configured):
    EmailDiff().handle(pushed("", truncated=["diff"]) | {"service": configured()})
    assert all("The diff could not be made." in shown for shown in parts(mailbox.messages[0]))


@pytest.mark.parametrize("name", samples.names())
def test_every_kind_of_push_is_mailed_with_diffs_or_without(mailbox, configured, name):
    EmailDiff().handle(samples.load(name) | {"service": configured()})
    assert all(parts(mailbox.messages[0]))


def test_a_huge_push_is_a_mail_of_a_size_that_can_be_read(mailbox):
    huge = pushed(*["+" + "z" * 400 + "\n"] * 1)
    huge["commits"] *= 300
    diff = "".join(f"+line {number} {'z' * 60}\n" for number in range(5_000))
    for details in huge["oberon"]["commits"].values():
        details["diff"] = diff
    service = {"broker": "emaildiff", "to": "ann@example.org", "host": mailbox.host, "port": str(mailbox.port)}
    huge["oberon"]["commits"] = {**huge["oberon"]["commits"]}
    assert outcome_of(service, huge).verdict is Verdict.DELIVERED
    plain, _ = parts(mailbox.messages[0])
    assert len(plain) < 400_000
    assert len(mailbox.messages[0].raw) < 2_000_000
