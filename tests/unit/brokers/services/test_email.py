from __future__ import annotations

import re

import pytest

from brokers import loader
from brokers.config import Configuration, Entry
from brokers.delivery.outcome import Verdict
from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.services.email import Email
from brokers.testing import Mailbox
from brokers.transport.call import Call, placing
from payload import samples
from tests.support.failing_service import outcome_of
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload
from tests.unit.brokers.render.conftest import make_ref as ref


def settings(**configured: str):
    """As `payload['service']` has them when they stand in a configuration."""
    entries = {"broker": "email", **configured}
    parsed = Configuration.parse(Entry("mail", key.replace("_", "-"), value, "config") for key, value in entries.items())
    values, problems = Email.settings_of(parsed.services[0])
    assert not problems, [str(problem) for problem in problems]
    return values


@pytest.fixture
def configured(mailbox):
    return settings(to="ann@example.org, qa@example.org", host=mailbox.host, port=str(mailbox.port))


def test_it_is_found_under_its_name():
    assert loader.broker_class("email") is Email


def test_one_commit_is_its_own_subject(mailbox, configured):
    configured["from"] = "Commits <commits@example.org>"
    assert Email().handle(payload([commit()]) | {"service": configured}) == "250 OK"
    [mail] = mailbox.messages
    assert (mail.sender, mail.recipients) == ("commits@example.org", ("ann@example.org", "qa@example.org"))
    assert mail.message["Subject"] == "[app] Fix the thing"
    assert mail.message["From"] == "Ann Example <commits@example.org>"
    assert mail.message["Reply-To"] == "Ann Example <ann@example.org>"


def test_several_are_a_summary_and_an_aggregate(mailbox, configured):
    Email().handle(payload([commit("One"), commit("Two", raw_author="Bob <bob@example.org>")]) | {"service": configured})
    message = mailbox.messages[0].message
    assert message["Subject"] == "[app] 2 commits on main by Ann Example and Bob"
    assert message["Reply-To"] is None
    assert "    One" in message.get_content()
    assert "    Two" in message.get_content()


@pytest.mark.parametrize(
    ("moved", "subject"),
    [
        (ref("v1.0", "tag", "create", message="Release"), "[app] Tag v1.0 created"),
        (ref("dev", action="create"), "[app] Branch dev created"),
        (ref("dev", action="delete"), "[app] Branch dev deleted"),
    ],
)
def test_a_push_of_refs_only(mailbox, configured, moved, subject):
    Email().handle(payload([], [moved]) | {"service": configured})
    assert mailbox.messages[0].message["Subject"] == subject


def test_the_payload_of_2008(mailbox, configured):
    Email().handle(samples.load("twitter-2008") | {"service": configured})
    assert mailbox.messages[0].message["Subject"] == "[bitbucket] adding bump button, issue #206 fixed"


def test_each_attempt_sends_the_same_message(mailbox, configured):
    mailbox.refuse(451, "later")
    with pytest.raises(DeliveryFailed, match="451 later"):
        Email().handle(payload([commit()]) | {"service": configured})
    Email().handle(payload([commit()]) | {"service": configured})
    Email().handle(payload([commit()]) | {"service": configured})
    first, second = mailbox.messages
    assert first.raw == second.raw


@pytest.mark.parametrize(
    "said", ["Fix\r\nBcc: evil@example.org", "\x00\x1b[2J", "a\u2028b", ".\r\n.", "日本語" * 100, "z" * 100_000]
)
def test_hostile_text_is_mailed_as_text(mailbox, configured, said):
    Email().handle(payload([commit(f"{said}\n.\n{said}\n", raw_author=f"{said} <ann@example.org>")]) | {"service": configured})
    [mail] = mailbox.messages
    assert mail.recipients == ("ann@example.org", "qa@example.org")
    assert mail.message["Bcc"] is None
    assert mail.message.get_content().replace("\r\n", "\n").count("\n    .\n") >= 1


def test_no_reply_to_if_it_is_not_wanted_or_no_address(mailbox, configured):
    Email().handle(payload([commit(raw_author="Ann <not an address>")]) | {"service": configured})
    Email().handle(payload([commit()]) | {"service": configured | {"reply-to": "none"}})
    assert [mail.message["Reply-To"] for mail in mailbox.messages] == [None, None]


def test_starttls_and_login(tls):
    with Mailbox(tls="starttls", context=tls.context, user="ann", password="sesame") as mailbox:
        service = settings(
            to="ann@example.org", host=mailbox.host, port=str(mailbox.port), tls="STARTTLS", user="ann", password="sesame"
        )
        with placing(Call(ca_bundle=str(tls.ca_bundle))):
            Email().handle(payload([commit()]) | {"service": service})
        [mail] = mailbox.messages
        assert (mail.tls, mail.user) == (True, "ann")


def test_sendmail(tmp_path):
    program = tmp_path / "sendmail"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments; cat > {tmp_path}/message\n')
    program.chmod(0o755)
    service = settings(to="root", sendmail=str(program), **{"from": "commits@example.org"})
    assert Email().handle(payload([commit()]) | {"service": service}) == f"1 recipients, through {program}"
    assert (tmp_path / "arguments").read_text() == "-oi -f commits@example.org -- root\n"
    assert "Subject: [app] Fix the thing\n" in (tmp_path / "message").read_text()


@pytest.mark.parametrize("wrong", [{"to": ("a@b\r\nRCPT TO:<evil@example.org>",)}, {"to": ()}, {"from": "Commits <a b>"}])
def test_an_address_that_is_none_is_never_tried(mailbox, configured, wrong):
    with pytest.raises(PermanentFailure):
        Email().handle(payload([commit()]) | {"service": configured | wrong})
    assert not mailbox.messages


def test_the_endpoint():
    assert Email().endpoint(settings(to="a@b")) == "localhost:25"
    assert Email().endpoint(settings(to="a@b", host="mail", tls="tls")) == "mail:465"
    assert Email().endpoint(settings(to="a@b", sendmail="/usr/sbin/sendmail")) == ""


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "service.mail.To in config: the broker email needs it; set it: the recipients' addresses"),
        ({"ToFile": "/etc/oberon/recipients"}, None),
        ({"ToFile": "/etc/oberon/recipients", "To": "a@b@c"}, "service.mail.To in config: 'a@b@c' is not right"),
        ({"ToFile": "recipients"}, "service.mail.ToFile in config: 'recipients' is not right; write an absolute path"),
    ],
)
def test_somebody_must_be_to_get_the_mails(given, problem):
    entries = [Entry("mail", "broker", "email", "config"), *(Entry("mail", key, value, "config") for key, value in given.items())]
    _, problems = Email.settings_of(Configuration.parse(entries).services[0])
    told = [str(one) for one in problems]
    assert (told == []) if problem is None else any(one.startswith(problem) for one in told), told


def test_each_commit_has_its_mail_in_a_thread(mailbox, configured):
    pushed = payload([commit("One"), commit("Two")], [ref()])
    assert Email().handle(pushed | {"service": configured | {"each": "commit"}}) == "3 mails: 250 OK"
    first, *others = [mail.message for mail in mailbox.messages]
    assert [mail["Subject"] for mail in others] == ["[app] 1/2: One", "[app] 2/2: Two"]
    assert [mail["In-Reply-To"] for mail in others] == [first["Message-ID"]] * 2


def test_no_more_mails_than_the_cap(mailbox, configured):
    pushed = payload([commit(f"Number {number}") for number in range(300)], [ref(f"b{number}") for number in range(12)])
    assert Email().handle(pushed | {"service": configured | {"each": "commit"}}) == "50 mails: 250 OK"
    assert len(mailbox.messages) == 50


def test_a_file_says_who_gets_what(mailbox, tmp_path):
    (tmp_path / "recipients").write_text("docs/ = w@example.org\nref:main = m@example.org\n")
    service = settings(tofile=str(tmp_path / "recipients"), host=mailbox.host, port=str(mailbox.port))
    docs, code = commit("Docs", files=[{"file": "docs/a.md", "type": "added"}]), commit("Code")
    pushed = payload([docs, code], [ref("main", commits=[docs["node"], code["node"]])])
    assert Email().handle(pushed | {"service": service}) == "2 mails: 250 OK"
    assert {mail.recipients: mail.message["Subject"] for mail in mailbox.messages} == {
        ("w@example.org",): "[app] Docs",
        ("m@example.org",): "[app] 2 commits on main by Ann Example",
    }
    assert Email().handle(payload([], [ref("dev")]) | {"service": service}) == (
        "this push is for nobody: no line of ToFile is about it"
    )


def test_templates_of_the_configuration(mailbox, configured):
    service = settings(
        to="ann@example.org", host=mailbox.host, port=str(mailbox.port), commitsubject="${commit.node}", body="${text}\n-- \nbye"
    )
    pushed = commit()
    Email().handle(payload([pushed]) | {"service": service})
    [mail] = mailbox.messages
    assert mail.message["Subject"] == pushed["node"]
    assert mail.message.get_content().replace("\r\n", "\n").endswith("3 files, +684 bytes\n\n-- \nbye\n")


@pytest.mark.parametrize("key", ["subject", "body", "commitsubject", "commitbody"])
def test_a_template_that_names_what_there_is_not_is_refused(key):
    given = {"broker": "email", "to": "a@example.org", key: "${nothing}"}
    entries = [Entry("mail", name, value, "config") for name, value in given.items()]
    _, [problem] = Email.settings_of(Configuration.parse(entries).services[0])
    assert "there is no ${nothing}; write some of ${repository.name}" in str(problem)


def test_one_refused_mail_is_told_and_the_next_attempt_sends_it_alone(mailbox):
    service = {"broker": "email", "to": "ann@example.org", "host": mailbox.host, "port": str(mailbox.port), "each": "commit"}
    mailbox.refuse(451, "later")
    outcome = outcome_of(service)
    assert (outcome.verdict, outcome.reason, outcome.reached) == (
        Verdict.RETRY, "2 of 3 mails were sent; the mail server refused the message: 451 later", True,
    )  # fmt: skip
    assert outcome_of(service).verdict is Verdict.DELIVERED
    assert [mail.message["Subject"][:12] for mail in mailbox.messages] == ["[kettle] 1/2", "[kettle] 2/2", "[kettle] 2 c"]


def test_the_login_is_in_no_record(tls):
    with Mailbox(tls="tls", context=tls.context, user="ann", password="sesame") as mailbox:
        service = {"broker": "email", "to": "ann@example.org", "host": mailbox.host, "port": str(mailbox.port), "tls": "tls"}
        outcome = outcome_of(service | {"user": "ann", "password": "wrong sesame"})
    assert outcome.verdict is Verdict.RETRY
    assert "sesame" not in str(outcome)


@pytest.mark.parametrize("name", samples.names())
@pytest.mark.parametrize("each", ["push", "commit"])
def test_every_kind_of_push_is_mailed(mailbox, configured, name, each):
    Email().handle(samples.load(name) | {"service": configured | {"each": each}})
    for mail in mailbox.messages:
        assert mail.message["Subject"]
        lines = mail.message.get_content().splitlines()
        own = [line for line in lines if "://" not in line and not re.match(r" {4}\S", line)]
        assert name == "alert" or max(map(len, own)) <= 72, "it reads well"
