from __future__ import annotations

import builtins
import json
import smtplib
import socket
import ssl
import threading
import time

import pytest
import requests

from brokers.testing import Mailbox, NothingCameError, Receiver


class TestReceiver:
    def test_keeps_requests_in_order_and_whole(self, receiver):
        requests.post(f"{receiver.url}first?x=1", data=b"\x00\xff", headers={"X-Event-Key": "repo:push"}, timeout=5)
        requests.get(f"{receiver.url}second", timeout=5)
        first, second = receiver.requests
        assert (first.method, first.path, first.body) == ("POST", "/first?x=1", b"\x00\xff")
        assert first.headers["x-event-key"] == "repo:push"
        assert first.headers["absent"] is None
        assert (second.method, second.path, second.body) == ("GET", "/second", b"")

    def test_listens_on_loopback_only(self, receiver):
        assert receiver.url == f"http://127.0.0.1:{receiver.port}/"
        with socket.create_server(("127.0.0.2", receiver.port)):
            pass  # would be taken, had the receiver bound every address

    def test_payload_from_form_and_json(self, receiver):
        payload = {"commits": [{"message": "ä & = +"}], "user": None}
        requests.post(receiver.url, data={"payload": json.dumps(payload)}, timeout=5)
        requests.post(receiver.url, json=payload, timeout=5)
        assert [request.payload() for request in receiver.wait(2)] == [payload, payload]

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b"other=1", "application/x-www-form-urlencoded"),
            (b"payload={}&payload={}", "application/x-www-form-urlencoded"),
            (b"payload=[]", "application/x-www-form-urlencoded"),
            (b"payload=\xff", "application/x-www-form-urlencoded"),
            (b"", "application/x-www-form-urlencoded"),
            (b"[1]", "application/json"),
            (b"{", "text/plain"),
            (b"", "text/plain"),
        ],
    )
    def test_payload_refuses_what_holds_none(self, receiver, body, content_type):
        requests.post(receiver.url, data=body, headers={"Content-Type": content_type}, timeout=5)
        [request] = receiver.wait()
        with pytest.raises(ValueError):
            request.payload()

    def test_answers_as_scripted_then_200(self, receiver):
        receiver.answer(503, {"Retry-After": "7"}, b"busy", times=2)
        receiver.answer(410)
        answers = [requests.post(receiver.url, timeout=5) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 503, 410, 200]
        assert (answers[0].headers["Retry-After"], answers[0].content, answers[3].content) == ("7", b"busy", b"")

    def test_an_answer_for_ever_lasts_until_the_next(self, receiver):
        receiver.answer(500, times=None)
        assert [requests.post(receiver.url, timeout=5).status_code for _ in range(3)] == [500] * 3
        receiver.answer(404)
        assert [requests.post(receiver.url, timeout=5).status_code for _ in range(2)] == [404, 200]

    def test_an_answer_is_given_at_least_once(self, receiver):
        with pytest.raises(ValueError, match="at least once"):
            receiver.answer(500, times=0)

    def test_body_piece_by_piece(self, receiver):
        receiver.answer(body=iter([b"one ", b"two"]))
        answer = requests.get(receiver.url, timeout=5)
        assert (answer.content, "Content-Length" in answer.headers) == (b"one two", False)

    def test_head_has_no_body(self, receiver):
        receiver.answer(body=b"hello")
        answer = requests.head(receiver.url, timeout=5)
        assert (answer.headers["Content-Length"], answer.content) == ("5", b"")

    def test_chunked_request_body(self, receiver):
        requests.post(receiver.url, data=iter([b"one ", b"two"]), timeout=5)
        [request] = receiver.wait()
        assert (request.headers["Transfer-Encoding"], request.body) == ("chunked", b"one two")

    def test_delay_is_before_the_answer_and_after_the_record(self, receiver):
        receiver.answer(delay_s=0.3)
        started = time.monotonic()
        with pytest.raises(requests.ReadTimeout):
            requests.post(receiver.url, timeout=0.1)
        assert len(receiver.wait(timeout_s=0.1)) == 1
        assert time.monotonic() - started < 0.3
        receiver.answer(delay_s=0.3)
        assert requests.post(receiver.url, timeout=5).elapsed.total_seconds() >= 0.3

    def test_wait_tells_what_came(self, receiver):
        requests.post(f"{receiver.url}hook", data=b"body", timeout=5)
        with pytest.raises(NothingCameError, match=r"waited 0.05 s for 2 requests; 1 came:\n  POST /hook b'body'"):
            receiver.wait(2, timeout_s=0.05)

    def test_wait_returns_as_soon_as_it_comes(self, receiver):
        poster = threading.Timer(0.1, requests.post, [receiver.url], {"timeout": 5})
        poster.start()
        started = time.monotonic()
        receiver.wait(timeout_s=10)
        assert time.monotonic() - started < 2
        poster.join()

    def test_down_and_back_on_the_same_port(self, receiver):
        with requests.Session() as session:  # keeps its connection: an endpoint that is down has none left
            session.post(receiver.url, timeout=5)
            receiver.stop()
            with pytest.raises(requests.ConnectionError):
                session.post(receiver.url, timeout=5)
            with Receiver(receiver.port) as other:
                session.post(other.url, timeout=5)
                assert len(other.requests) == 1
            url = receiver.url
            receiver.start()
            session.post(url, timeout=5)
        assert len(receiver.requests) == 2

    def test_stopping_does_not_wait_for_a_delayed_answer(self, receiver):
        receiver.answer(delay_s=60)
        errors = []

        def post():
            try:
                requests.post(receiver.url, timeout=30)
            except requests.ConnectionError as error:
                errors.append(error)

        poster = threading.Thread(target=post)
        poster.start()
        receiver.wait()
        started = time.monotonic()
        receiver.stop()
        poster.join(5)
        assert (len(errors), time.monotonic() - started < 2) == (1, True)

    def test_a_silent_client_holds_up_nobody(self, receiver):
        with socket.create_connection(("127.0.0.1", receiver.port)):
            assert requests.post(receiver.url, timeout=5).status_code == 200

    def test_says_nothing(self, receiver, capfd):
        requests.post(receiver.url, timeout=5)
        with socket.create_connection(("127.0.0.1", receiver.port)) as channel:
            channel.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\ntorn")
        with socket.create_connection(("127.0.0.1", receiver.port)) as channel:
            channel.sendall(b"nonsense\r\n\r\n")
            channel.recv(1000)
        receiver.stop()
        assert capfd.readouterr() == ("", "")
        assert len(receiver.requests) == 1

    def test_https(self, tls):
        with Receiver(tls=tls.context) as receiver:
            assert receiver.url.startswith("https://127.0.0.1:")
            with socket.create_connection(("127.0.0.1", receiver.port)):  # speaks no TLS, holds up nobody
                assert requests.post(receiver.url, verify=str(tls.ca_bundle), timeout=5).status_code == 200
            with pytest.raises(requests.exceptions.SSLError):
                requests.post(receiver.url, timeout=5)

    def test_twice_started_or_on_a_taken_port(self, receiver):
        with pytest.raises(RuntimeError, match="listening already"):
            receiver.start()
        with pytest.raises(OSError, match="in use"):
            Receiver(receiver.port).start()

    def test_clear(self, receiver):
        requests.post(receiver.url, timeout=5)
        receiver.clear()
        assert receiver.requests == []


MAIL = b"From: a@example.org\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n.dot\r\n"


def send(mailbox, recipients=("b@example.org",), *, login=None, starttls=None, tls=None):
    connect = smtplib.SMTP(mailbox.host, mailbox.port, timeout=5, local_hostname="client.example")
    if tls is not None:
        connect.close()
        connect = smtplib.SMTP_SSL(mailbox.host, mailbox.port, timeout=5, local_hostname="client.example", context=tls)
    with connect as session:
        if starttls is not None:
            session.starttls(context=starttls)
        if login is not None:
            session.login(*login)
        return session.sendmail("a@example.org", list(recipients), MAIL)


class TestMailbox:
    def test_keeps_mails_whole(self, mailbox):
        send(mailbox, ["b@example.org", "c@example.org"])
        [mail] = mailbox.wait()
        assert (mail.sender, mail.recipients) == ("a@example.org", ("b@example.org", "c@example.org"))
        assert mail.message["Subject"] == "grüße"
        assert mail.message.get_content().splitlines() == ["hello", ".dot"]
        assert mail.raw == MAIL
        assert (mail.user, mail.tls) == (None, False)
        assert mailbox.messages == [mail]

    def test_wait_tells_what_came(self, mailbox):
        send(mailbox)
        with pytest.raises(NothingCameError, match=r"1 came:\n  a@example.org -> b@example.org: grüße"):
            mailbox.wait(2, timeout_s=0.05)

    @pytest.mark.parametrize("code", [451, 550])
    def test_refuses_the_next_mail_at_data(self, mailbox, code):
        mailbox.refuse(code, "4.7.1 greylisted")
        with pytest.raises(smtplib.SMTPDataError) as raised:
            send(mailbox)
        assert (raised.value.smtp_code, raised.value.smtp_error) == (code, b"4.7.1 greylisted")
        send(mailbox)
        assert len(mailbox.messages) == 1

    def test_refuses_one_recipient(self, mailbox):
        mailbox.refuse(550, "no such user", recipient="b@example.org", times=None)
        mailbox.refuse(451, "not now", recipient="c@example.org")
        recipients = ["b@example.org", "c@example.org", "d@example.org"]
        assert send(mailbox, recipients) == {"b@example.org": (550, b"no such user"), "c@example.org": (451, b"not now")}
        assert send(mailbox, recipients) == {"b@example.org": (550, b"no such user")}
        assert [mail.recipients for mail in mailbox.messages] == [("d@example.org",), ("c@example.org", "d@example.org")]

    def test_login_in_the_clear(self):
        with Mailbox(user="oberon", password="s3cret") as mailbox:
            send(mailbox, login=("oberon", "s3cret"))
            assert mailbox.messages[0].user == "oberon"
            with pytest.raises(smtplib.SMTPAuthenticationError):
                send(mailbox, login=("oberon", "wrong"))
            with pytest.raises(smtplib.SMTPSenderRefused) as raised:
                send(mailbox)
            assert raised.value.smtp_code == 530
            assert len(mailbox.messages) == 1

    def test_starttls_is_required_and_login_waits_for_it(self, tls):
        trusting = ssl.create_default_context(cafile=tls.ca_bundle)
        with Mailbox(tls="starttls", context=tls.context, user="oberon", password="s3cret") as mailbox:
            send(mailbox, login=("oberon", "s3cret"), starttls=trusting)
            assert (mailbox.messages[0].tls, mailbox.messages[0].user) == (True, "oberon")
            with pytest.raises(smtplib.SMTPSenderRefused, match="STARTTLS"):
                send(mailbox)
            with pytest.raises(smtplib.SMTPNotSupportedError):
                send(mailbox, login=("oberon", "s3cret"))
            with pytest.raises(ssl.SSLCertVerificationError):
                send(mailbox, starttls=ssl.create_default_context())

    def test_tls_from_the_first_byte(self, tls):
        trusting = ssl.create_default_context(cafile=tls.ca_bundle)
        with Mailbox(tls="tls", context=tls.context, user="oberon", password="s3cret") as mailbox:
            with smtplib.SMTP_SSL(mailbox.host, mailbox.port, timeout=5, local_hostname="c.example", context=trusting) as session:
                session.login("oberon", "s3cret")
                session.sendmail("a@example.org", ["b@example.org"], MAIL)
            assert (mailbox.messages[0].tls, mailbox.messages[0].user) == (True, "oberon")

    @pytest.mark.parametrize("tls_mode", ["starttls", "tls"])
    def test_tls_needs_a_context(self, tls_mode):
        with pytest.raises(ValueError, match="context"):
            Mailbox(tls=tls_mode)

    def test_a_context_needs_tls(self, tls):
        with pytest.raises(ValueError, match="context"):
            Mailbox(context=tls.context)

    def test_down_and_back_on_the_same_port(self, mailbox):
        send(mailbox)
        mailbox.stop()
        with pytest.raises(ConnectionRefusedError):
            send(mailbox)
        mailbox.start()
        send(mailbox)
        assert len(mailbox.messages) == 2

    def test_stops_with_a_client_connected(self, mailbox):
        with socket.create_connection((mailbox.host, mailbox.port), timeout=5) as channel:
            assert channel.recv(4) == b"220 "
            mailbox.stop()
            while channel.recv(1000):
                pass

    def test_twice_started_or_on_a_taken_port(self, mailbox):
        with pytest.raises(RuntimeError, match="listening already"):
            mailbox.start()
        with pytest.raises(OSError, match="in use"):
            Mailbox(mailbox.port).start()

    def test_clear(self, mailbox):
        send(mailbox)
        mailbox.clear()
        assert mailbox.messages == []

    def test_without_aiosmtpd_says_how_to_get_it(self, monkeypatch):
        real = builtins.__import__

        def absent(name, *arguments, **options):
            if name.partition(".")[0] == "aiosmtpd":
                raise ModuleNotFoundError("No module named 'aiosmtpd'", name="aiosmtpd")
            return real(name, *arguments, **options)

        monkeypatch.setattr(builtins, "__import__", absent)
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'oberon-brokers\[demo\]'"):
            Mailbox().start()
