from __future__ import annotations

import socket
import time
from email.message import EmailMessage

import pytest

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.testing import Mailbox
from brokers.transport import smtp
from brokers.transport.smtp import Server
from brokers.values import is_mail_address
from tests.unit.brokers.transport.conftest import drip

FROM = "oberon@example.org"
TO = ["ann@example.org", "bob@example.org"]


@pytest.fixture
def message():
    made = EmailMessage()
    made["Subject"] = "Hello"
    made["From"], made["To"] = FROM, ", ".join(TO)
    made.set_content("One\n.\n..two\nFrom here\n" + "z" * 100_000 + "\n")
    return made


def server(mailbox, **how) -> Server:
    return Server(host=mailbox.host, port=mailbox.port, **how)


def test_a_mail_arrives_whole_and_is_recorded(mailbox, calling, message):
    call = calling()
    assert smtp.send(message, FROM, TO, server(mailbox)) == "250 OK"
    [mail] = mailbox.messages
    assert (mail.sender, mail.recipients, mail.tls, mail.user) == (FROM, tuple(TO), False, None)
    assert mail.message.get_content().replace("\r\n", "\n") == message.get_content()
    [exchange] = call.exchanges
    assert (exchange.transport, exchange.status, exchange.response) == ("smtp", 250, "250 OK")
    assert exchange.request.startswith(f"MAIL FROM:<{FROM}>\nRCPT TO:<{TO[0]}>\nRCPT TO:<{TO[1]}>\n\nSubject: Hello\n")
    assert len(exchange.request) <= 8192
    assert 0 < exchange.duration_s < 2


@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_tls_and_login(tls, calling, message, how):
    call = calling(ca_bundle=str(tls.ca_bundle))
    with Mailbox(tls=how, context=tls.context, user="ann", password="sesame") as mailbox:
        smtp.send(message, FROM, TO, server(mailbox, tls=how, user="ann", password="sesame"))
        [mail] = mailbox.messages
        assert (mail.tls, mail.user) == (True, "ann")
    assert "sesame" not in call.exchanges[0].request


@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_the_servers_certificate_is_checked(tls, calling, message, how):
    calling()
    with Mailbox(tls=how, context=tls.context) as mailbox:
        with pytest.raises(DeliveryFailed, match=r"certificate of 127.0.0.1:\d+ is not accepted: .*; oberon.caBundle"):
            smtp.send(message, FROM, TO, server(mailbox, tls=how))
        assert not mailbox.messages


def test_no_starttls_no_mail(mailbox, calling, message):
    calling()
    with pytest.raises(DeliveryFailed, match="STARTTLS"):
        smtp.send(message, FROM, TO, server(mailbox, tls="starttls"))
    assert not mailbox.messages


@pytest.mark.parametrize(("user", "password"), [("ann", "wrong"), ("", "")])
def test_a_login_is_for_the_admin_to_mend(calling, message, tls, user, password):
    calling(ca_bundle=str(tls.ca_bundle))
    with Mailbox(tls="tls", context=tls.context, user="ann", password="sesame") as mailbox:
        with pytest.raises(DeliveryFailed, match=r"53\d"):
            smtp.send(message, FROM, TO, server(mailbox, tls="tls", user=user, password=password))
        assert not mailbox.messages


def test_a_login_beyond_ascii_is_refused_at_once(mailbox, calling, message):
    calling()
    with pytest.raises(PermanentFailure, match="ASCII"):
        smtp.send(message, FROM, TO, server(mailbox, user="ann", password="pässwort"))


@pytest.mark.parametrize(("code", "error"), [(554, PermanentFailure), (451, DeliveryFailed)])
def test_the_message_is_refused(mailbox, calling, message, code, error):
    call = calling()
    mailbox.refuse(code, "not \x1b[2J this one")
    with pytest.raises(error, match=rf"refused the message: {code} not \\x1b\[2J this one"):
        smtp.send(message, FROM, TO, server(mailbox))
    assert not mailbox.messages
    assert len(call.exchanges) == 1


@pytest.mark.parametrize(("code", "error"), [(550, PermanentFailure), (450, DeliveryFailed)])
def test_all_recipients_are_refused(mailbox, calling, message, code, error):
    calling()
    for recipient in TO:
        mailbox.refuse(code, "no such user", recipient=recipient)
    with pytest.raises(error, match=f"all recipients, as {TO[0]}: {code} no such user"):
        smtp.send(message, FROM, TO, server(mailbox))
    assert not mailbox.messages


def test_one_recipient_is_refused_for_good(mailbox, calling, message):
    calling()
    mailbox.refuse(550, "no such user", recipient=TO[1])
    assert smtp.send(message, FROM, TO, server(mailbox)) == f"250 OK; refused: {TO[1]} (550 no such user)"
    assert mailbox.messages[0].recipients == (TO[0],)


def test_one_recipient_is_put_off(mailbox, calling, message):
    calling()
    mailbox.refuse(450, "greylisted", recipient=TO[1])
    with pytest.raises(DeliveryFailed, match=rf"sent to 1, but put off: {TO[1]} \(450 greylisted\)"):
        smtp.send(message, FROM, TO, server(mailbox))
    assert mailbox.messages[0].recipients == (TO[0],)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a b@example.org",
        "a@example.org\r\nRCPT TO:<evil@example.org>",
        "a@example.org>\x00",
        "-oQ/tmp@example.org",
        "<a@example.org>",
        "a@b@c",
        "a..b@example.org",
        ".a@example.org",
        "a@",
        "@example.org",
        "ä@example.org",
        "a" * 300 + "@example.org",
        "a@example.org,b@example.org",
    ],
)
def test_an_address_holds_no_command(mailbox, calling, message, address):
    assert not is_mail_address(address)
    call = calling()
    for sender, recipients in ((FROM, [address]), (address, TO)):
        with pytest.raises(PermanentFailure, match="is not a mail address"):
            smtp.send(message, sender, recipients, server(mailbox))
    assert not call.exchanges


@pytest.mark.parametrize(
    "address", ["root", "ann@localhost", "ann.b+c@mail.example.org", "o'neil@example.org", "a-b@x-y.example"]
)
def test_usual_addresses(address):
    assert is_mail_address(address)


def test_a_dry_run_says_nothing(calling, message):
    call = calling(dry_run=True)
    assert smtp.send(message, FROM, TO, Server("mail.example.org")) == "would be sent to 2 through mail.example.org:25"
    assert "Subject: Hello" in call.exchanges[0].request


def test_the_guard_holds_for_mail_too(mailbox, calling, message):
    calling(allow_hosts=("external",))
    with pytest.raises(PermanentFailure, match="to this loopback address are not allowed"):
        smtp.send(message, FROM, TO, server(mailbox))
    assert not mailbox.messages


@pytest.mark.parametrize("greeting", [b"", b"220-", b"220 hello\r\n"], ids=["silent", "drip", "silent later"])
@pytest.mark.parametrize("how", ["none", "tls"])
def test_a_server_that_never_gets_done(raw_server, calling, message, tls, greeting, how):
    def answer(connection: socket.socket) -> None:
        connection.sendall(greeting)
        if greeting.endswith(b"-"):
            drip(connection, b"x")
        while connection.recv(1000):
            pass

    calling(0.2, ca_bundle=str(tls.ca_bundle))
    port = int(raw_server(answer, tls.context if how == "tls" else None, read=False).strip("/").rpartition(":")[2])
    started = time.monotonic()
    with pytest.raises(DeliveryFailed, match=r"timed out after 0.2 s") as caught:
        smtp.send(message, FROM, TO, Server("127.0.0.1", port, tls=how))
    assert caught.value.slow_down
    assert time.monotonic() - started < 0.7


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [(b"554 go away\r\n", "said 554 go away"), (b"HTTP/1.1 200 OK\r\n\r\n", "said"), (b"", "closed the connection")],
)
def test_a_server_that_is_none(raw_server, calling, message, greeting, reason):
    calling()
    port = int(raw_server(lambda connection: connection.sendall(greeting), read=False).strip("/").rpartition(":")[2])
    with pytest.raises(DeliveryFailed, match=reason):
        smtp.send(message, FROM, TO, Server("127.0.0.1", port))


def test_what_happens_after_the_message_was_taken_changes_nothing(raw_server, calling, message):
    """A server that is lost at QUIT has the mail all the same."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        lines = connection.makefile("rb")
        said = {b"DATA": b"354 go on\r\n", b"QUIT": b""}
        for line in lines:
            word = line[:4].strip().upper()
            if word == b"QUIT":
                return
            connection.sendall(said.get(word, b"250 OK\r\n"))
            if word == b"DATA":
                while lines.readline() != b".\r\n":
                    pass
                connection.sendall(b"250 queued as 1\r\n")

    calling()
    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    assert smtp.send(message, FROM, TO, Server("127.0.0.1", port)) == "250 queued as 1"


@pytest.mark.parametrize(("how", "port"), [("none", 25), ("starttls", 587), ("tls", 465)])
def test_the_usual_ports(how, port):
    assert Server("mail.example.org", tls=how).endpoint == f"mail.example.org:{port}"
    assert Server("mail.example.org", 2525, tls=how).endpoint == "mail.example.org:2525"
