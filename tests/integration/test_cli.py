"""The command as users run it: processes, pushes through the installed hooks, the worker in fore- and background."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import run

OBERON = Path(sys.executable).parent / "oberon"


def oberon(*arguments, check=True, **options):
    return run([OBERON, *arguments], check=check, **options)


@pytest.fixture
def hold(state_dir):
    """Holds the worker's lock, so that no hook starts one; the command under test runs after its release."""
    state_dir.mkdir(mode=0o700)
    (state_dir / "worker.lock").touch(0o600)
    file = (state_dir / "worker.lock").open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    yield file.close
    file.close()


def eventually(look, timeout_s=15.0):
    until = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
    return found


def make_git(git_server, receiver, state_dir):
    server = git_server()
    oberon("install", server.path)
    server.config("oberon.stateDir", str(state_dir))
    server.config("service.ci.broker", "post")
    server.config("service.ci.url", receiver.url)
    return server


def make_hg(hg_server, receiver, state_dir):
    server = hg_server()
    oberon("install", server.path)
    server.hgrc(f"[oberon]\nstatedir = {state_dir}\n[services]\nci.broker = post\nci.url = {receiver.url}\n")
    return server


@pytest.fixture(params=["git", "hg"])
def pushed(request, git_server, hg_server, receiver, state_dir, hold):
    """A repository of each kind, pushed to once through its installed hook, with nothing delivered yet."""
    server = {"git": make_git, "hg": make_hg}[request.param](
        git_server if request.param == "git" else hg_server, receiver, state_dir
    )
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n"}, message="first")
    clone.push()
    assert receiver.requests == []
    hold()
    return server.path, node


def test_a_push_waits_is_drained_and_stands_in_the_record(pushed, receiver, state_dir):
    path, node = pushed
    assert "1 push waits in the spool" in oberon("deliveries", "--state-dir", state_dir).stdout
    drained = oberon("run", "--drain", "--state-dir", state_dir)
    assert drained.stdout == "delivered 1, waiting 0, dead 0\n"
    [request] = receiver.requests
    assert request.payload()["commits"][0]["raw_node"] == node
    [delivery] = json.loads(oberon("deliveries", "--json", "--repo", path, "--state-dir", state_dir).stdout)["deliveries"]
    assert (delivery["state"], delivery["service"], delivery["note"]) == ("delivered", "ci", "200 OK")
    shown = oberon("show", str(delivery["id"]), "--state-dir", state_dir).stdout
    assert "POST / HTTP/1.1" in shown
    assert oberon("status", "--state-dir", state_dir).returncode == 0
    doctor = oberon("doctor", path)
    assert {line.split()[0] for line in doctor.stdout.splitlines()} == {"ok"}
    assert oberon("run", "--drain", "--state-dir", state_dir).stdout == "delivered 0, waiting 0, dead 0\n"
    tried = json.loads(oberon("test", path, "ci", "--last", "--json").stdout)
    assert (tried["made"], tried["outcome"]) == ("read again with today's settings", "delivered")
    assert receiver.requests[-1].payload() == request.payload()


def test_redeliver_starts_a_worker_that_delivers(pushed, receiver, state_dir, left_running):
    oberon("run", "--drain", "--state-dir", state_dir)
    receiver.clear()
    told = oberon("redeliver", "1", "--state-dir", state_dir).stdout
    assert told == "due now: 1 delivery; a worker was started\n"
    receiver.wait(1)
    # It was started detached, so it writes to a log that only its user may read.
    log = state_dir / "worker.log"
    eventually(lambda: "delivery 1 to ci" in (log.read_text() if log.exists() else ""))
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    [worker] = left_running()
    assert Path(f"/proc/{worker}/cwd").resolve() == Path("/")
    assert json.loads(oberon("status", "--json", "--state-dir", state_dir).stdout)["worker"] is True
    # Woken, not started again.
    assert "the worker was told" in oberon("redeliver", "1", "--state-dir", state_dir).stdout
    receiver.wait(2)
    assert left_running() == [worker]


def test_what_fails_waits_and_is_told(pushed, receiver, state_dir):
    receiver.answer(503, times=None)
    drained = oberon("run", "--drain", "--state-dir", state_dir)
    assert drained.stdout == "delivered 0, waiting 1, dead 0\n"
    assert "503" in oberon("deliveries", "--failed", "--state-dir", state_dir).stdout
    status = oberon("status", "--state-dir", state_dir)
    assert "503" in status.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_in_the_foreground(git_server, receiver, state_dir, number, tmp_path):
    worker = subprocess.Popen(
        [OBERON, "run", "--state-dir", state_dir, "--threads", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "GIT_DIR": str(tmp_path / "nowhere"), "GIT_QUARANTINE_PATH": "/nowhere"},
    )
    try:
        eventually((state_dir / "oberon.sock").exists)
        server = make_git(git_server, receiver, state_dir)
        clone = server.clone()
        node = clone.commit()
        clone.push()
        [request] = receiver.wait(1)
        assert request.payload()["commits"][0]["raw_node"] == node
        second = oberon("run", "--state-dir", state_dir, check=False)
        assert second.returncode == 1
        assert second.stderr == f"error: another worker runs for {state_dir}\n"
        idle = oberon("run", "--leave-when-idle", "--state-dir", state_dir)
        assert (idle.stdout, idle.stderr) == ("", "")
        worker.send_signal(number)
        out, err = worker.communicate(timeout=15)
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.communicate()
    assert worker.returncode == 0
    assert out == ""
    assert "delivery 1 to ci" in err
    assert not (state_dir / "worker.log").exists()


def test_a_state_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    ran = oberon("run", "--drain", "--state-dir", tmp_path / "file" / "state", check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: ")
    assert str(tmp_path / "file") in ran.stderr
    assert "Traceback" not in ran.stderr


def test_where_git_is_not_installed_an_hg_server_is_served(hg_server, receiver, state_dir, hold, tmp_path):
    server = make_hg(hg_server, receiver, state_dir)
    clone = server.clone()
    clone.commit({"a": "1"})
    clone.push()
    hold()
    (tmp_path / "bin").mkdir()
    drained = oberon("run", "--drain", "--state-dir", state_dir, env={"PATH": str(tmp_path / "bin")})
    assert drained.stdout == "delivered 1, waiting 0, dead 0\n"


def test_one_wrong_service_does_not_stop_the_others(git_server, receiver, state_dir, hold):
    server = make_git(git_server, receiver, state_dir)
    server.config("service.typo.broker", "pots")
    server.config("service.late.broker", "post")
    server.config("service.late.url", receiver.url)
    server.config("service.late.timeout", "soonish")
    clone = server.clone()
    clone.commit()
    clone.push()
    hold()
    oberon("run", "--drain", "--state-dir", state_dir)
    assert len(receiver.requests) == 1
    for command in ("services", "doctor"):
        ran = oberon(command, server.path, check=False)
        assert ran.returncode == 2
        for part in ("service.typo.broker", "service.late.timeout", f"{server.path}/config", "30s, 10m", "there are: "):
            assert part in ran.stdout


def test_install_and_uninstall_leave_a_repository_as_it_was(git_server, hg_server):
    for server in (git_server(), hg_server()):
        before = {path: path.read_bytes() for path in server.path.rglob("*") if path.is_file()}
        told = oberon("install", server.path).stdout
        assert "service" in told
        assert oberon("install", server.path).returncode == 0
        oberon("uninstall", server.path)
        assert {path: path.read_bytes() for path in server.path.rglob("*") if path.is_file()} == before
        assert oberon("uninstall", server.path).returncode == 0


def test_chain_is_git_s(hg_server):
    ran = oberon("install", "--chain", hg_server().path, check=False)
    assert ran.returncode == 2
    assert "--chain is for git" in ran.stderr


@pytest.mark.parametrize(
    ("command", "code"), [("deliveries", 0), ("deliveries --json", 0), ("--help", 0), ("show --help", 0), ("show 1", 2)]
)
@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_fault(state_dir, tmp_path, command, code, closed):
    said = tmp_path / "said"
    told = f"{OBERON} {command} 2>{said} {closed}"
    ran = run(["sh", "-c", told], check=False, env={"OBERON_STATE_DIR": str(state_dir)})
    assert ran.returncode == code
    assert said.read_text().count("there is no delivery 1") == (1 if code and "2>&-" not in closed else 0)
    assert len(said.read_text().splitlines()) <= (1 if code else 0)


def test_reading_a_configuration_with_closed_streams(git_server):
    server = git_server()
    server.config("service.ci.broker", "pots")
    ran = run(["sh", "-c", f"{OBERON} services {server.path} <&- >&- 2>&-"], check=False)
    assert ran.returncode == 2
    assert run(["sh", "-c", f"{OBERON} test {server.path} ci <&- >&- 2>&-"], check=False).returncode == 2
