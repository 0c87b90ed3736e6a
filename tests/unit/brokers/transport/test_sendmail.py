from __future__ import annotations

import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport import sendmail
from brokers.transport.mail import Mail

FROM = "oberon@example.org"
TO = ["ann@example.org", "bob@example.org"]


@pytest.fixture
def message():
    made = EmailMessage()
    made["Subject"] = "Hello"
    made.set_content("One\n.\ntwo\n")
    return made


@pytest.fixture
def program(tmp_path):
    """program(what the script does) -> its path"""

    def write(script: str) -> str:
        path = tmp_path / "a sendmail"
        path.write_text(f"#!/bin/sh\ncd '{tmp_path}'\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return write


def test_the_program_gets_envelope_and_message(program, calling, message, tmp_path, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD_OF_THE_PUSHER", "x")
    call = calling()
    path = program('for argument; do echo "$argument"; done > arguments; env > environment; cat > message')
    assert sendmail.send(message, FROM, TO, path) == f"2 recipients, through {path}"
    assert (tmp_path / "arguments").read_text().splitlines() == ["-oi", "-f", FROM, "--", *TO]
    assert "PUSHER" not in (tmp_path / "environment").read_text()
    raw = (tmp_path / "message").read_bytes()
    assert b"\r" not in raw
    assert message_from_bytes(raw, policy=default).get_content() == "One\n.\ntwo\n"
    [exchange] = call.exchanges
    assert (exchange.transport, exchange.status) == ("sendmail", 0)


@pytest.mark.parametrize(
    ("status", "error"),
    [(65, PermanentFailure), (67, PermanentFailure), (68, PermanentFailure), (75, DeliveryFailed), (1, DeliveryFailed)],
)
def test_its_exit_status_is_the_outcome(program, calling, message, status, error):
    calling()
    with pytest.raises(error, match=r"no \\x1b\[2J luck"):
        sendmail.send(message, FROM, TO, program(f"cat >/dev/null; printf 'no \\033[2J luck\\n' >&2; exit {status}"))


def test_it_reads_nothing(program, calling, message):
    calling()
    message.set_content("z" * 1_000_000)
    with pytest.raises(DeliveryFailed, match="status 3"):
        sendmail.send(message, FROM, TO, program("exit 3"))


def test_at_the_deadline_it_ends_with_all_it_started(program, calling, message, left_running):
    calling(0.3)
    started = time.monotonic()
    with pytest.raises(DeliveryFailed, match=r"had not finished after 0.3 s") as caught:
        sendmail.send(message, FROM, TO, program('sh -c "sleep 5; : $PWD" & sleep 5; wait'))
    assert caught.value.slow_down
    assert time.monotonic() - started < 3
    while left_running() and time.monotonic() - started < 4:  # killed, they may take a moment to be gone
        time.sleep(0.01)
    assert not left_running()


def test_it_is_not_there(calling, message):
    calling()
    with pytest.raises(DeliveryFailed, match="cannot run /nonexistent/sendmail: No such file"):
        sendmail.send(message, FROM, TO, "/nonexistent/sendmail")


def test_a_dry_run_runs_nothing(program, calling, message, tmp_path):
    call = calling(dry_run=True)
    sendmail.send(message, FROM, TO, program("touch ran"))
    assert not (tmp_path / "ran").exists()
    assert len(call.exchanges) == 1


@pytest.mark.parametrize("address", ["-oQ/tmp", "a@example.org\nb", ""])
def test_no_address_is_an_option(program, calling, message, tmp_path, address):
    calling()
    with pytest.raises(PermanentFailure):
        sendmail.send(message, FROM, [address], program("touch ran"))
    assert not Path(tmp_path / "ran").exists()


@pytest.fixture
def mails():
    made = []
    for number in range(3):
        message = EmailMessage()
        message["Subject"], message["Message-ID"] = f"Number {number}", f"<{number}@example.org>"
        made.append(Mail.of(message, FROM, TO))
    return made


@pytest.mark.parametrize(("status", "error"), [(65, PermanentFailure), (75, DeliveryFailed)])
def test_a_mail_that_is_refused_holds_up_none_of_the_others(program, calling, mails, tmp_path, status, error):
    calling()
    path = program(f"""grep Subject > subject
        test ! -e mended && grep -q 1 subject && exit {status}
        cat subject >> taken""")
    with pytest.raises(error, match="2 of 3 mails were sent; "):
        sendmail.deliver(mails, path)
    assert (tmp_path / "taken").read_text() == "Subject: Number 0\nSubject: Number 2\n"
    (tmp_path / "mended").touch()
    assert sendmail.deliver(mails, path) == f"3 mails: 2 recipients, through {path}"
    assert (tmp_path / "taken").read_text() == "Subject: Number 0\nSubject: Number 2\nSubject: Number 1\n"
