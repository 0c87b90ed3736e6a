from __future__ import annotations

import os
import pwd
import signal
import time
from pathlib import Path

import pytest

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport import program
from brokers.transport.call import KEPT_BYTES
from tests.support.waiting import until


@pytest.fixture
def script(tmp_path):
    """script(what it does) -> its path; it works in the test's folder"""

    def write(does: str) -> str:
        path = tmp_path / "a program"
        path.write_text(f"#!/bin/sh\ncd '{tmp_path}'\n{does}\n")
        path.chmod(0o755)
        return str(path)

    return write


def test_it_gets_what_it_is_given_and_nothing_else(script, calling, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/of/the/pusher")
    monkeypatch.setenv("HOME", "/of/the/pusher")
    call = calling()
    path = script('for argument; do echo "$argument"; done > arguments; env > environment; cat > stdin')
    ended = program.run(
        [path, "a b", "$(touch ran)", "-x"],
        stdin="ä\n".encode(),
        environment={"OBERON_USER": "ada"},
        secret_environment={"TOKEN": "s3cret"},
    )
    assert ended.status == 0
    assert (tmp_path / "arguments").read_text().splitlines() == ["a b", "$(touch ran)", "-x"]
    assert (tmp_path / "stdin").read_text() == "ä\n"
    variables = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    me = pwd.getpwuid(os.geteuid())
    assert {name: value for name, value in variables.items() if name not in ("PWD", "OLDPWD", "SHLVL", "_")} == {
        "HOME": me.pw_dir, "LANG": "C.UTF-8", "LOGNAME": me.pw_name, "OBERON_USER": "ada", "PATH": program.PATH,
        "TOKEN": "s3cret", "USER": me.pw_name,
    }  # fmt: skip
    [exchange] = call.exchanges
    assert exchange.request.splitlines() == [
        f"'{path}' 'a b' '$(touch ran)' -x", "OBERON_USER=ada", "TOKEN=***", "", "ä",
    ]  # fmt: skip
    assert (exchange.transport, exchange.status) == ("program", 0)


def test_it_inherits_no_descriptor(calling):
    calling()
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    ended = program.run(["/bin/ls", "-l", "/proc/self/fd"])
    assert len([line for line in ended.stdout.splitlines() if "->" in line]) == 4  # the standard ones, and the folder it lists
    assert str(Path(f"/proc/self/fd/{write_end}").readlink()) not in ended.stdout
    os.close(read_end)
    os.close(write_end)


def test_what_it_prints_is_kept_apart_and_cut(script, calling):
    call = calling()
    path = script("printf '\\n \\nfirst \\033[2J line\\nsecond\\n'; head -c 3000000 /dev/zero | tr '\\0' e >&2; echo end")
    ended = program.check(program.run([path]))
    assert ended.note == "first \\x1b[2J line"
    assert ended.stdout.endswith("second\nend\n")
    assert ended.stderr == "e" * KEPT_BYTES
    assert "\x1b" not in call.exchanges[0].response


@pytest.mark.parametrize("size", [0, 3_000_000])
def test_it_may_leave_its_input_unread(script, calling, size):
    calling()
    assert program.run([script("exec <&-; echo done")], stdin=b"z" * size).note == "done"


def test_much_goes_in_and_out_at_once(script, calling):
    calling()
    assert program.run([script("tee /dev/stderr")], stdin=b"z" * 3_000_000).stderr == "z" * KEPT_BYTES


def test_what_it_leaves_running_holds_nothing_up(script, calling, left_running):
    calling()
    started = time.monotonic()
    ended = program.run([script('sh -c "sleep 9; : $PWD" & echo started')])
    assert ended.note == "started"
    assert time.monotonic() - started < 2
    assert left_running()


def test_a_flood_of_what_it_left_running_is_no_reason_to_stay(script, calling, left_running):
    calling()
    started = time.monotonic()
    assert program.run([script('sh -c "yes $PWD" & echo started')]).status == 0
    assert time.monotonic() - started < 2
    until(lambda: not left_running())  # it writes to nobody


@pytest.mark.parametrize("does", ["sleep 9", "trap '' TERM; sleep 9 & wait; sleep 9"], ids=["asked", "made"])
def test_at_the_deadline_it_ends_with_all_it_started(script, calling, left_running, does):
    call = calling(0.3)
    started = time.monotonic()
    with pytest.raises(DeliveryFailed, match=r"had not finished after 0.3 s") as caught:
        program.run([script(f'echo begun; sh -c "trap \\"\\" TERM; sleep 9; : $PWD" & {does}')])
    assert time.monotonic() - started < 2
    assert caught.value.slow_down
    assert call.exchanges[0].response == "begun"
    until(lambda: not left_running(), 2)


def test_it_is_asked_before_it_is_made(script, calling, tmp_path):
    calling(0.5)
    with pytest.raises(DeliveryFailed):
        program.run([script("trap 'touch asked; exit' TERM; sleep 9 & wait")])
    assert (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("does", "error", "reason"),
    [
        ("echo out; echo no luck >&2; exit 3", DeliveryFailed, r"a program ended with status 3: no luck$"),
        ("echo 'only out'; exit 75", DeliveryFailed, r"a program ended with status 75: only out$"),
        ("exit 65", PermanentFailure, r"a program refused it: status 65$"),
        ("kill -9 $$", DeliveryFailed, r"a program was ended by SIGKILL$"),
    ],
)
def test_what_its_end_means(script, calling, does, error, reason):
    calling()
    with pytest.raises(error, match=reason):
        program.check(program.run([script(does)]), {65: "refused it"})


@pytest.mark.parametrize(
    ("argv", "error", "reason"),
    [
        (["/nonexistent/program"], DeliveryFailed, "cannot run /nonexistent/program: No such file"),
        (["/etc"], DeliveryFailed, "cannot run /etc: Permission denied"),
        (["/bin/true", "a\0b"], PermanentFailure, "no text"),
        (["/bin/true", "a\ud800b"], PermanentFailure, "no text"),
        (["/bin/true", "a" * 3_000_000], DeliveryFailed, "Argument list too long"),
    ],
)
def test_it_cannot_be_run(calling, argv, error, reason):
    calling()
    with pytest.raises(error, match=reason):
        program.run(argv)


def test_a_dry_run_runs_nothing(script, calling, tmp_path):
    call = calling(dry_run=True)
    assert program.check(program.run([script("touch ran")])).note == ""
    assert not (tmp_path / "ran").exists()
    assert len(call.exchanges) == 1


def test_nothing_is_run_whose_end_nobody_would_learn(tmp_path, calling):
    calling()
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(DeliveryFailed, match="ignores SIGCHLD"):
            program.run(["/bin/sh", "-c", f"touch {tmp_path}/ran"])
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert not (tmp_path / "ran").exists()
