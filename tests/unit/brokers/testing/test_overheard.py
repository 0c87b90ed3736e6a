"""What code says to the network beside the transport."""

import smtplib
import socket
import subprocess
import sys
import urllib.request

import pytest
import requests

from brokers.testing.drip import Drip
from brokers.testing.overheard import overhearing
from brokers.transport import http


@pytest.mark.parametrize(
    "send",
    [
        lambda url: requests.post(url, data=b"two\nlines", headers={"Authorization": "Bearer t0ken"}, timeout=5).close(),
        lambda url: urllib.request.urlopen(
            urllib.request.Request(url, b"two\nlines", {"Authorization": "Bearer t0ken"}), timeout=5
        ).close(),
    ],
    ids=["requests", "urllib"],
)
def test_http_in_its_own_words_without_logins(receiver, send):
    with overhearing() as said:
        send(receiver.url + "hook?a=b")
    [exchange] = said
    assert exchange.transport == "http"
    lines = exchange.request.split("\n")
    assert lines[0] == "POST /hook?a=b HTTP/1.1"
    assert "Authorization: Bearer ***" in lines
    assert lines[-3:] == ["", "two", "lines"]


def test_several_requests_on_one_connection(receiver):
    with overhearing() as said, requests.Session() as session:
        for path in ("one", "two"):
            session.get(receiver.url + path, timeout=5)
    assert [exchange.request.partition("\n")[0] for exchange in said] == ["GET /one HTTP/1.1", "GET /two HTTP/1.1"]


def test_a_mail_without_its_login(mailbox):
    mailbox.user, mailbox.password = "ann", "s3cret-pass"
    with overhearing() as said, smtplib.SMTP(mailbox.host, mailbox.port) as client:
        client.ehlo("here")
        client.docmd("AUTH", "LOGIN YW5u")
        client.docmd("czNjcmV0LXBhc3M=")
        client.sendmail("a@example.org", ["b@example.org"], "Subject: hello\r\n\r\nyou")
    [exchange] = said
    lines = exchange.request.split("\n")
    assert lines[0] == "ehlo here"
    assert "mail FROM:<a@example.org>" in exchange.request.replace("MAIL", "mail")
    assert "Subject: hello" in lines
    assert "czNj" not in exchange.request
    assert "YW5u" not in exchange.request


def test_other_connections_by_their_place(receiver):
    with overhearing() as said, socket.create_connection(("127.0.0.1", receiver.port)):
        pass
    assert [(exchange.transport, exchange.request) for exchange in said] == [("connection", f"127.0.0.1:{receiver.port}")]


def test_the_transport_keeps_its_own_record(receiver):
    with overhearing() as said:
        http.check(http.post(receiver.url, data=b"x"))
    assert (said, len(receiver.requests)) == ([], 1)


def test_before_and_after_nothing_is_heard(receiver):
    with overhearing() as said:
        pass
    requests.get(receiver.url, timeout=5).close()
    assert said == []


def test_other_machines_are_not_reached_from_a_trial():
    # In a process of its own: here the tests' own guard would be asked first.
    code = (
        "import socket\nfrom brokers.testing.overheard import OutsideError, overhearing\n"
        "with overhearing(loopback_only=True):\n"
        "    try:\n        socket.create_connection(('192.0.2.7', 80), timeout=1)\n"
        "    except OutsideError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "192.0.2.7:80 is not on this machine\n"


def test_a_drip_never_ends_and_no_time_out_of_a_socket_ends_it():
    with Drip() as drip, socket.create_connection(("127.0.0.1", drip.port), timeout=0.4) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        came = b""
        while len(came) < 40:
            came += client.recv(100)
        assert came.startswith(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        assert b"\r\n\r\n" not in came
        assert drip.connections == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", drip.port), timeout=1)
