from __future__ import annotations

import socket
import time
from email.message import EmailMessage

import pytest

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.testing import Mailbox
from brokers.transport import smtp, smtp_client
from brokers.transport.mail import Mail
from brokers.transport.smtp import Server
from brokers.values import is_mail_address
from tests.unit.brokers.transport.conftest import DRIP_S, ending_by, flat_memory

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


HELLO = b"220 hello\r\n"
TAKEN = b"250 OK\r\n"
UP_TO_THE_MESSAGE = [HELLO, TAKEN, TAKEN, TAKEN, TAKEN, b"354 go on\r\n"]  # EHLO, MAIL, RCPT, RCPT, DATA


def conversation(replies: list[bytes], endless: bytes | None, pause_s: float = DRIP_S):
    """A server that says one of `replies` to each command, the first to the connection, then `endless` again and again.

    b'' keeps silent, None closes.
    """

    def answer(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        for reply in replies:
            connection.sendall(reply)
            while (line := lines.readline()) and reply.startswith(b"354") and line != b".\r\n":
                pass
            if not line:
                return
        while endless is not None:
            connection.sendall(endless)
            time.sleep(pause_s)

    return answer


DRIPS = {
    "silent": ([], b""),
    "greeting, byte by byte": ([], b"x"),
    "greeting, line by line": ([], b"220-x\r\n"),
    "silent after the greeting": ([HELLO], b""),
    "EHLO, line by line": ([HELLO], b"250-X\r\n"),
    "MAIL, byte by byte": ([HELLO, TAKEN], b"2"),
    "RCPT, line by line": ([HELLO, TAKEN, TAKEN], b"250-x\r\n"),
    "silent after the message": (UP_TO_THE_MESSAGE, b""),
    "the message, byte by byte": (UP_TO_THE_MESSAGE, b"x"),
    "the message, line by line": (UP_TO_THE_MESSAGE, b"250-x\r\n"),
}


@pytest.mark.parametrize(("replies", "endless"), DRIPS.values(), ids=DRIPS.keys())
@pytest.mark.parametrize("how", ["none", "tls"])
def test_a_server_that_never_gets_done(raw_server, calling, message, tls, replies, endless, how):
    answer = conversation(replies, endless)
    port = int(raw_server(answer, tls.context if how == "tls" else None, read=False).strip("/").rpartition(":")[2])
    calling(0.2, ca_bundle=str(tls.ca_bundle))
    with ending_by(0.2), pytest.raises(DeliveryFailed, match=r"timed out after 0\.\d s, waiting for the answer") as caught:
        smtp.send(message, FROM, TO, Server("127.0.0.1", port, tls=how, ehlo="here.example"))
    assert caught.value.slow_down


@pytest.mark.parametrize("cut", [b"250", b"250 queu", b"250-queued\r\n", b"250-queued\r\n250", b"55"])
@pytest.mark.parametrize(
    ("endless", "reason"), [(b"", "timed out"), (None, "closed the connection before it had answered")], ids=["waits", "closes"]
)
def test_half_a_reply_to_the_message_is_none(raw_server, calling, message, cut, endless, reason):
    def answer(connection: socket.socket) -> None:
        conversation(UP_TO_THE_MESSAGE, None)(connection)
        connection.sendall(cut)
        if endless is not None:
            time.sleep(0.5)

    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    calling(0.2 if endless is not None else 5)
    with pytest.raises(DeliveryFailed, match=reason):
        smtp.send(message, FROM, TO, Server("127.0.0.1", port))


@pytest.mark.parametrize("how", ["tls", "starttls"])
def test_a_handshake_that_never_comes(raw_server, calling, message, how):
    replies = [HELLO, b"250-here\r\n250 STARTTLS\r\n", b"220 go on\r\n"] if how == "starttls" else []

    def answer(connection: socket.socket) -> None:
        for reply in replies:
            connection.sendall(reply)
            connection.recv(1000)
        while connection.recv(1000):
            pass

    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    calling(0.2)
    with ending_by(0.2), pytest.raises(DeliveryFailed, match=r"timed out after 0.[12] s"):
        smtp.send(message, FROM, TO, Server("127.0.0.1", port, tls=how, ehlo="here.example"))


def test_a_server_that_never_gets_done_with_the_farewell_has_the_mail(raw_server, calling, message):
    answer = conversation([*UP_TO_THE_MESSAGE, b"250 queued as 1\r\n"], b"221-x\r\n")
    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    calling(0.3)
    with ending_by(0.3):
        assert smtp.send(message, FROM, TO, Server("127.0.0.1", port)) == "250 queued as 1"


@pytest.mark.parametrize("replies", [[], [HELLO], UP_TO_THE_MESSAGE], ids=["greeting", "EHLO", "message"])
def test_a_flood_of_lines_is_not_kept(raw_server, calling, message, replies):
    answer = conversation(replies, b"250-" + b"x" * 1000 + b"\r\n", pause_s=0)
    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    calling(20)
    with flat_memory(), pytest.raises(DeliveryFailed, match=rf"127.0.0.1:{port}: a reply is longer than 64 KiB"):
        smtp.send(message, FROM, TO, Server("127.0.0.1", port))


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [(b"554 go away\r\n", "said 554 go away"), (b"HTTP/1.1 200 OK\r\n\r\n", "said"), (b"", "closed the connection")],
)
def test_a_server_that_is_none(raw_server, calling, message, greeting, reason):
    calling()
    port = int(raw_server(lambda connection: connection.sendall(greeting), read=False).strip("/").rpartition(":")[2])
    with pytest.raises(DeliveryFailed, match=reason):
        smtp.send(message, FROM, TO, Server("127.0.0.1", port))


@pytest.mark.parametrize(
    ("refusal", "error"), [(b"554 no valid recipients\r\n", PermanentFailure), (b"451 not now\r\n", DeliveryFailed)]
)
def test_the_word_data_is_refused(raw_server, calling, message, refusal, error):
    port = int(
        raw_server(conversation([*UP_TO_THE_MESSAGE[:-1], refusal, TAKEN], None), read=False).strip("/").rpartition(":")[2]
    )
    calling()
    with pytest.raises(error, match=f"the mail server refused the message: {refusal.decode().strip()}"):
        smtp.send(message, FROM, TO, Server("127.0.0.1", port))


@pytest.mark.parametrize("is_lost", [True, False])
def test_what_happens_after_the_message_was_taken_changes_nothing(raw_server, calling, message, is_lost, monkeypatch):
    """A server that is lost at QUIT, or says nothing to it, has the mail all the same."""
    monkeypatch.setattr(smtp_client, "_FAREWELL_S", 0.1)

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        lines = connection.makefile("rb")
        said = {b"DATA": b"354 go on\r\n", b"QUIT": b""}
        for line in lines:
            word = line[:4].strip().upper()
            if word == b"QUIT":
                if not is_lost:
                    lines.readline()
                return
            connection.sendall(said.get(word, b"250 OK\r\n"))
            if word == b"DATA":
                while lines.readline() != b".\r\n":
                    pass
                connection.sendall(b"250 queued as 1\r\n")

    calling()
    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    started = time.monotonic()
    assert smtp.send(message, FROM, TO, Server("127.0.0.1", port)) == "250 queued as 1"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(("how", "port"), [("none", 25), ("starttls", 587), ("tls", 465)])
def test_the_usual_ports(how, port):
    assert Server("mail.example.org", tls=how).endpoint == f"mail.example.org:{port}"
    assert Server("mail.example.org", 2525, tls=how).endpoint == "mail.example.org:2525"


def mails(count: int, recipients: list[str] = TO) -> list[Mail]:
    """Of one delivery, each with a Message-ID."""
    made = []
    for number in range(count):
        message = EmailMessage()
        message["Subject"], message["Message-ID"] = f"Number {number}", f"<{number}@example.org>"
        message.set_content("Hello\n")
        made.append(Mail.of(message, FROM, recipients))
    return made


def arrived(mailbox):
    """(number of the mail, recipients of its envelope)"""
    return [(int(mail.message["Subject"].removeprefix("Number ")), mail.recipients) for mail in mailbox.messages]


def test_all_mails_of_a_delivery_go_over_one_connection_in_their_order(raw_server, calling):
    connections, subjects = [], []

    def answer(connection: socket.socket) -> None:
        connections.append(connection)
        connection.sendall(HELLO)
        lines = connection.makefile("rb")
        for line in lines:
            connection.sendall(b"354 go on\r\n" if line == b"data\r\n" else TAKEN)
            while line == b"data\r\n" and (text := lines.readline()) != b".\r\n":
                subjects.extend([text.decode().strip()] if text.startswith(b"Subject") else [])
            if line == b"data\r\n":
                connection.sendall(TAKEN)

    calling()
    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    assert smtp.deliver(mails(60), Server("127.0.0.1", port)) == "60 mails: 250 OK"
    assert subjects == [f"Subject: Number {number}" for number in range(60)]
    assert len(connections) == 1


def test_each_mail_is_recorded_and_all_together_take_no_more_room_than_a_few(mailbox, calling):
    call = calling()
    many = [Mail(mail.sender, mail.recipients, mail.raw + b"zzzz\r\n" * 2_000, mail.message_id) for mail in mails(40)]
    smtp.deliver(many, server(mailbox))
    assert [exchange.status for exchange in call.exchanges] == [250] * 40
    assert sum(len(exchange.request) for exchange in call.exchanges) <= 8 * 8192
    assert "Subject: Number 39" in call.exchanges[39].request


@pytest.mark.parametrize(("code", "error"), [(554, PermanentFailure), (451, DeliveryFailed)])
def test_a_mail_that_is_refused_holds_up_none_of_the_others(mailbox, calling, code, error):
    call = calling()
    mailbox.refuse(code, "not this one")
    with pytest.raises(error, match=rf"^3 of 4 mails were sent; the mail server refused the message: {code} not this one$"):
        smtp.deliver(mails(4), server(mailbox))
    assert arrived(mailbox) == [(number, tuple(TO)) for number in (1, 2, 3)]
    assert [exchange.status for exchange in call.exchanges] == [code, 250, 250, 250]


def test_the_next_attempt_leaves_out_what_was_taken(mailbox, calling):
    calling()
    mailbox.refuse(451, "later", times=2)
    with pytest.raises(DeliveryFailed):
        smtp.deliver(mails(4), server(mailbox))
    assert smtp.deliver(mails(4), server(mailbox)) == "4 mails: 250 OK"
    assert [number for number, _ in arrived(mailbox)] == [2, 3, 0, 1]
    smtp.deliver(mails(4), server(mailbox))
    assert [number for number, _ in arrived(mailbox)][4:] == [0, 1, 2, 3], "delivered again, it is sent again"


def test_the_next_attempt_leaves_out_who_has_had_it(mailbox, calling):
    calling()
    mailbox.refuse(450, "greylisted", recipient=TO[1])
    with pytest.raises(DeliveryFailed, match=r"2 of 2 mails were sent; sent to 1, but put off: bob@example.org"):
        smtp.deliver(mails(2), server(mailbox))
    smtp.deliver(mails(2), server(mailbox))
    assert arrived(mailbox) == [(0, (TO[0],)), (1, tuple(TO)), (0, (TO[1],))]


def test_a_recipient_who_is_refused_for_good_beside_others_is_named(mailbox, calling):
    calling()
    mailbox.refuse(550, "no such user", recipient=TO[1], times=None)
    assert smtp.deliver(mails(3), server(mailbox)) == f"3 mails: 250 OK; refused: {TO[1]} (550 no such user)"
    assert arrived(mailbox) == [(number, (TO[0],)) for number in range(3)]


def test_whoever_is_alone_with_a_mail_and_refused_does_not_lose_it_for_the_others(mailbox, calling):
    calling()
    mailbox.refuse(550, "no such user", recipient=TO[1], times=None)
    sent = [*mails(1, TO[1:]), *mails(2, TO[:1])[1:]]
    refusal = f"the mail server refused all recipients, as {TO[1]}: 550 no such user"
    assert smtp.deliver(sent, server(mailbox)) == f"2 mails: 250 OK; refused: {refusal}"
    with pytest.raises(PermanentFailure, match=f"0 of 2 mails were sent; {refusal}"):
        smtp.deliver(mails(2, TO[1:]), server(mailbox))


def test_a_server_that_closes_down_ends_it_and_the_next_attempt_goes_on(raw_server, mailbox, calling):
    taken = []

    def answer(connection: socket.socket) -> None:
        connection.sendall(HELLO)
        lines = connection.makefile("rb")
        for line in lines:
            if line.startswith(b"mail") and len(taken) == 2:
                connection.sendall(b"421 that is enough for today\r\n")
                taken.clear()
                return
            connection.sendall(b"354 go on\r\n" if line == b"data\r\n" else TAKEN)
            while line == b"data\r\n" and (text := lines.readline()) != b".\r\n":
                taken.extend([text] if text.startswith(b"Subject") else [])
            if line == b"data\r\n":
                connection.sendall(TAKEN)

    calling()
    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    for sent in ("2 of 5", "2 of 5"):
        with pytest.raises(DeliveryFailed, match=rf"{sent} mails were sent; .*421 that is enough for today") as caught:
            smtp.deliver(mails(5), Server("127.0.0.1", port))
        assert caught.value.endpoint_down
    assert smtp.deliver(mails(5), Server("127.0.0.1", port)) == "5 mails: 250 OK"
    assert taken == [b"Subject: Number 4\r\n"]


def test_no_time_is_left_for_the_rest(raw_server, calling):
    def answer(connection: socket.socket) -> None:
        connection.sendall(HELLO)
        lines = connection.makefile("rb")
        for line in lines:
            connection.sendall(b"354 go on\r\n" if line == b"data\r\n" else TAKEN)
            while line == b"data\r\n" and lines.readline() != b".\r\n":
                pass
            if line == b"data\r\n":
                time.sleep(0.1)
                connection.sendall(TAKEN)

    port = int(raw_server(answer, read=False).strip("/").rpartition(":")[2])
    calling(0.35)
    with ending_by(0.35), pytest.raises(DeliveryFailed, match=r"^[123] of 50 mails were sent; timed out") as caught:
        smtp.deliver(mails(50), Server("127.0.0.1", port))
    assert caught.value.slow_down


def test_a_dry_run_of_several(calling):
    call = calling(dry_run=True)
    assert smtp.deliver(mails(3), Server("mail.example.org")) == "would be sent as 3 mails through mail.example.org:25"
    assert ["Subject: Number 2" in exchange.request for exchange in call.exchanges] == [False, False, True]
