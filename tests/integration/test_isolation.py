"""What tests/conftest.py promises to every other test."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.conftest import guard
from tests.support import isolation, processes
from tests.support.command import CommandFailedError


def test_home_and_settings_are_the_tests_own(tmp_path, run):
    assert Path.home().is_relative_to(tmp_path)
    assert Path(tempfile.gettempdir()).is_relative_to(tmp_path)
    git = run(["git", "config", "--list", "--show-origin"], cwd=tmp_path).stdout
    assert {line.split("\t")[0] for line in git.splitlines()} == {f"file:{tmp_path}/home/.gitconfig"}
    hg = run(["hg", "config", "--source", "ui.username"], cwd=tmp_path).stdout
    assert hg == f"{tmp_path}/home/.hgrc:2: Test User <test@example.org>\n"
    assert run(["hg", "config", "extensions"], cwd=tmp_path, check=False).stdout == ""


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("GIT_DIR", False),
        ("GIT_PUSH_OPTION_COUNT", False),
        ("HGPLAIN", False),
        ("HG_NODE", False),
        ("SSH_CONNECTION", False),
        ("GL_USERNAME", False),
        ("GITEA_PUSHER_NAME", False),
        ("OBERON_STATE_DIR", False),
        ("https_proxy", False),
        ("ALL_PROXY", False),
        ("REMOTE_USER", False),
        ("COVERAGE_PROCESS_CONFIG", True),
        ("CI", True),
        ("GIVEN", True),
    ],
)
def test_variables_of_whoever_runs_the_tests(tmp_path, name, kept):
    found = isolation.environment(tmp_path / "inner", {name: "1", "PATH": "/usr/bin"})
    assert (name in found) is kept


def test_zone_is_not_utc():
    assert (time.localtime(0).tm_hour, time.localtime(1_720_000_000).tm_gmtoff) == (1, 7200)


@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("10.0.0.1", 9), ("0.0.0.0", 9)])
def test_no_connection_leaves_the_machine(address):
    with socket.socket() as channel, pytest.raises(isolation.OutsideConnectionError):
        channel.connect(address)
    with socket.socket(type=socket.SOCK_DGRAM) as channel, pytest.raises(isolation.OutsideConnectionError):
        channel.sendto(b"x", address)
    with socket.socket(type=socket.SOCK_DGRAM) as channel, pytest.raises(isolation.OutsideConnectionError):
        channel.sendmsg([b"x"], [], 0, address)
    with socket.socket() as channel, pytest.raises(isolation.OutsideConnectionError):
        channel.connect_ex(address)
    assert guard.refused == [f"{address[0]}:9"] * 4
    guard.refused.clear()


def test_no_ipv6_connection_leaves_the_machine():
    for address in ("2001:db8::1", "::ffff:192.0.2.1"):
        with socket.socket(socket.AF_INET6) as channel, pytest.raises(isolation.OutsideConnectionError):
            channel.connect((address, 9))
    guard.refused.clear()


def test_only_localhost_has_an_address():
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.org", 80)
    with pytest.raises(socket.gaierror):
        socket.gethostbyname("example.org")
    assert socket.getaddrinfo("192.0.2.1", 80)
    assert socket.getaddrinfo("localhost", 80)


def test_loopback_and_unix_sockets_are_free(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        server.bind(path)
        client.connect(path)
    assert guard.refused == []


def test_processes_below_the_folder_are_found_and_ended(tmp_path, left_running):
    by_argument = subprocess.Popen(
        ["sh", "-c", "sleep 60; :", f"{tmp_path}/state"], start_new_session=True, env={"PATH": os.environ["PATH"]}
    )
    stubborn = subprocess.Popen(["sh", "-c", 'trap "" TERM; echo; read x'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], "HOME": f"{tmp_path}0/home"})
    try:
        assert stubborn.stdout.readline() == b"\n"
        found = left_running()
        assert {by_argument.pid, stubborn.pid} <= set(found)
        assert os.getpid() not in found
        assert other.pid not in found
        processes.end(found)
        assert (by_argument.wait(5), stubborn.wait(5), other.poll()) == (-15, -9, None)
        assert left_running() == []
    finally:
        for process in (by_argument, stubborn, other):
            process.kill()
            process.wait()
        stubborn.stdin.close()
        stubborn.stdout.close()


def test_a_failed_command_tells_all(run):
    with pytest.raises(CommandFailedError, match=r"(?s)exit code 3.*out.*err"):
        run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert run(["sh", "-c", "exit 3"], check=False).returncode == 3
    assert run(["cat"], input="ä").stdout == "ä"
    assert run(["sh", "-c", "echo ${GIVEN-none}"], env={"GIVEN": None}).stdout == "none\n"
