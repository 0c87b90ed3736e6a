from __future__ import annotations

import re
from email import message_from_bytes
from email.policy import SMTP, default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.render import mail
from payload import samples
from payload.push import Person
from tests.unit.brokers.render.conftest import EVENT
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload
from tests.unit.brokers.render.conftest import make_ref as ref

SENDER = Person("", "Commits", "commits@example.org")
TO = ["ann@example.org", "qa@example.org"]
HEADERS = [
    "Subject", "From", "To", "Reply-To", "Date", "Message-ID", "In-Reply-To", "References", "List-Id", "Auto-Submitted",
    "X-Oberon-Repository", "X-Oberon-Event", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
]  # fmt: skip


def received(pushed, recipients=TO, **how):
    """What a mail reader makes of the bytes that are sent."""
    raw = mail.message(pushed, SENDER, recipients, **how).as_bytes(policy=SMTP)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998  # RFC 5322, 2.1.1
    assert raw.isascii()
    return message_from_bytes(raw.replace(b"\r\n", b"\n"), policy=default)


def own_headers(read):
    """Names of those that are not about git."""
    return sorted(name for name in read if not name.startswith("X-Git-"))


def test_the_headers():
    read = received(payload([commit()]), reply_to=Person("", "Ann", "ann@example.org"))
    assert own_headers(read) == sorted(HEADERS)
    assert read["Subject"] == "[app] Fix the thing"
    assert read["From"] == "Ann Example <commits@example.org>"
    assert read["To"] == "ann@example.org, qa@example.org"
    assert read["Reply-To"] == "Ann <ann@example.org>"
    assert read["Date"].datetime.isoformat() == "2024-05-06T05:10:00+00:00"
    assert re.fullmatch(r"<[0-9a-f]{32}\.oberon@example\.org>", read["Message-ID"])
    assert read["In-Reply-To"] == read["References"] != read["Message-ID"]
    assert read["List-Id"] == "<app.team.example.org>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["X-Oberon-Repository"] == "team/app"
    assert read["X-Oberon-Event"] == EVENT
    assert read.get_content_type() == "text/plain"
    assert "    It was broken." in read.get_content()


def test_the_payload_of_2008():
    read = received(samples.load("twitter-2008"))
    assert read["Subject"] == "[bitbucket] adding bump button, issue #206 fixed"
    assert read["From"] == "jespern <commits@example.org>"
    assert read["X-Oberon-Event"] is None
    assert received(samples.load("twitter-2008"))["Message-ID"] == read["Message-ID"]


def test_every_attempt_has_the_same_message_id_and_every_other_mail_another():
    pushed = payload([commit()])
    first = received(pushed)["Message-ID"]
    assert received(payload([commit()]))["Message-ID"] == first
    assert received(pushed, TO[:1])["Message-ID"] != first
    assert received(payload([commit()], event="f" * 32))["Message-ID"] != first


def test_a_branch_is_a_thread():
    first = received(payload([commit()]))["In-Reply-To"]
    assert received(payload([commit("Two")], event="f" * 32))["In-Reply-To"] == first
    assert received(payload([commit()], [ref("dev")]))["In-Reply-To"] != first
    other = payload([commit()])
    other["repository"]["absolute_url"] = "/team/other/"
    assert received(other)["In-Reply-To"] != first


@pytest.mark.parametrize(
    ("commits", "expected"),
    [
        ([commit(), commit("Two")], "Ann Example"),
        ([commit(), commit("Two", raw_author="Bob <bob@example.org>")], "Commits"),
        ([], "Commits"),
        ([commit(raw_author="x, y@z <a@b>")], "x y z"),
        ([commit(raw_author='"; <evil@example.org>, (x) <a@b>', author="")], "Commits"),
        ([commit(raw_author="Jürgen Groß, Dr. <j@example.org>")], "Jürgen Groß Dr."),
        ([commit(raw_author="a\r\nBcc: evil@example.org <a@b>")], "a x0d x0aBcc evil example.org"),
        ([commit(raw_author="=?utf-8?q?x=0D=0ABcc=3A_evil@example.org?= <a@b>")], None),
        ([commit(raw_author="n" * 65_536 + " <a@b>")], "n" * 57 + "..."),
        ([commit(raw_author="", author="")], "Commits"),
    ],
)
def test_from_names_the_author_and_is_one_address(commits, expected):
    read = received(payload(commits))
    [address] = read["From"].addresses
    assert address.addr_spec == "commits@example.org"
    if expected is not None:
        assert address.display_name.replace("\\x0d", "").replace("\\x0a", "") == expected.replace("\\x0d", "").replace(
            "\\x0a", ""
        )
    assert own_headers(read) == sorted(set(HEADERS) - {"Reply-To"})


HOSTILE = [
    "Fix\r\nBcc: evil@example.org",
    "Fix\nBcc: evil@example.org",
    "\x00\x1b]0;pwn\x07",
    "a\u2028b\x85c\x0bd\x0ce",
    "\u202egnp.exe\u200b",
    "=?utf-8?q?x=0D=0ABcc:_evil@example.org?=",
    "=?utf-8?b?eA0KQmNjOiBldmlsQGV4YW1wbGUub3Jn?=",
    "日本語のコミット" * 40,
    "ü" * 200,
    "z" * 100_000,
    "\udce9 lone",
    '"quoted, <x@y>"',
    "." * 5,
    "=?",
]


@pytest.mark.parametrize("said", HOSTILE, ids=lambda said: ascii(said[:30]))
def test_nothing_that_is_pushed_makes_a_header(said):
    pushed = payload([commit(said, branch=said, raw_author=f"{said} <ann@example.org>")], [ref(said)])
    pushed["user"] = said
    pushed["repository"]["slug"] = pushed["repository"]["owner"] = said
    read = received(pushed)
    assert own_headers(read) == sorted(set(HEADERS) - {"Reply-To"})
    assert read["Subject"].isprintable()
    assert [address.addr_spec for address in (*read["From"].addresses, *read["To"].addresses)] == ["commits@example.org", *TO]


@settings(max_examples=30)
@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=40))
def test_whatever_is_pushed_the_mail_is_whole(message, author, branch):
    read = received(payload([commit(message, raw_author=author, branch=branch)], [ref(branch)]))
    assert own_headers(read) == sorted(set(HEADERS) - {"Reply-To"})
    assert not read.defects
    assert [address.addr_spec for address in read["From"].addresses] == ["commits@example.org"]
    content = read.get_content().replace("\r\n", "\n")  # base64 keeps CRLF (RFC 2045, 6.8)
    assert all(line.isprintable() for line in content.split("\n"))


def test_what_only_the_body_could_break():
    said = "First\n\n.\n..\nFrom here\n>From\n" + "z" * 100_000 + "\nü \n"
    read = received(payload([commit(said)]))
    assert "\n    .\n    ..\n    From here\n    >From\n    " + "z" * 100_000 + "\n    ü\n" in read.get_content()
