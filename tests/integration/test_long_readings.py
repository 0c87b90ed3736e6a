"""A push of thousands of commits, read by real processes; where reading has to last, its process is stopped for a while."""

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from brokers.delivery import record, spool, statedir
from brokers.delivery.outbox import Outbox
from tests.support import histories
from tests.support.git import ZERO, GitServer
from tests.support.hooked import SCRIPTS, broker_folder, git_settings

COMMITS = 6_000
KEEPER = """
from brokers import BaseBroker


class Keeper(BaseBroker):
    def handle(self, payload):
        return f"{len(payload['commits'])} commits"
"""


@pytest.fixture(scope="module")
def long_history(tmp_path_factory):
    """A bare repository whose branch main has COMMITS commits; to be copied."""
    server = GitServer(tmp_path_factory.mktemp("long") / "app.git")
    plan = [
        histories.Planned(
            (number - 1,) if number else (),
            histories.START_S + number,
            {b"folder%d/file%d" % (number % 50, number % 7): ("100644", b"%d\n" % number)},
        )
        for number in range(COMMITS)
    ]
    histories.point(server, {"refs/heads/main": histories.build(server, plan)[-1]})
    return server


@pytest.fixture
def server(long_history, tmp_path, state_dir):
    """A copy, read in the process itself, with a service."""
    shutil.copytree(long_history.path, tmp_path / "team" / "app.git")
    server = object.__new__(GitServer)
    server.path = tmp_path / "team" / "app.git"
    git_settings(
        server,
        state_dir,
        brokerPath=str(broker_folder(tmp_path, KEEPER)),
        maxCommits="100000",
        gitReader="dulwich",
        gitRevision="off",
        deadline="60s",
    )
    server.config("service.own.broker", "keeper")
    return server


@pytest.fixture
def outbox(state_dir):
    statedir.prepare(str(state_dir))
    with Outbox.open(str(state_dir), time.time) as opened:
        yield opened


@contextmanager
def running(*argv, **options):
    """A process that is killed if the test does not end it."""
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def until(condition, timeout_s=30.0):
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
    return found


def state_of(outbox, event):
    return [row["state"] for row in outbox.ask("show_event", id=event.id)]


def stopped_for(process, seconds):
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)


def status(state_dir, *options):
    ran = subprocess.run(
        [SCRIPTS / "oberon", "status", "--state-dir", state_dir, *options], capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    return ran.stdout


def test_status_and_log_tell_how_far_a_worker_is_and_no_ghost_of_a_killed_one(server, state_dir, outbox):
    event = histories.event(server.path, [("refs/heads/main", None, server.node("main"))], time=time.time())
    spool.write(str(state_dir), event.to_record())
    with running(SCRIPTS / "oberon", "run", "--state-dir", state_dir) as worker:
        until(lambda: state_of(outbox, event) == ["leased"])
        stopped_for(worker, 5.2)
        while not any(one.commits_total for one in record.readings(outbox, worker=True, now=time.time())):
            assert state_of(outbox, event) == ["leased"], "it was not noted while it was read"
            time.sleep(0.2)
            stopped_for(worker, 2.1)
            time.sleep(0.05)
        worker.send_signal(signal.SIGSTOP)
        assert state_of(outbox, event) == ["leased"], "it is at it still"
        [told] = json.loads(status(state_dir, "--json"))["reading"]
        assert (told["repository"], told["event"], told["commits_total"]) == (str(server.path), event.id, COMMITS)
        assert 0 <= told["commits_read"] <= COMMITS
        assert 5 <= told["elapsed_s"] < 60
        line = next(line for line in status(state_dir).splitlines() if event.id in line)
        assert line.split()[0] == str(server.path)
        assert line.endswith(f"{told['commits_read']:,} of 6,000 commits")
        worker.kill()
        said, _ = worker.communicate(timeout=30)
    assert f"reading {server.path}, event {event.id}: " in said
    assert json.loads(status(state_dir, "--json"))["reading"] == []
    assert event.id not in status(state_dir)
    connection = outbox._connection
    connection.execute("UPDATE event SET lease_until = 0")
    done = subprocess.run(
        [SCRIPTS / "oberon", "run", "--drain", "--state-dir", state_dir], capture_output=True, text=True, check=True
    )
    assert "delivered 1, waiting 0, dead 0" in done.stdout
    assert f"to own of {server.path}: delivered after attempt 1: 6000 commits" in done.stderr
    assert connection.execute("SELECT count(*) FROM reading").fetchone()[0] == 0


def test_inline_the_pusher_hears_how_far_a_long_reading_is(server, outbox):
    """The hook as git runs it after a push."""
    server.config("oberon.mode", "inline")
    with running(SCRIPTS / "oberon-post-receive", cwd=server.path, env={**os.environ, "GIT_DIR": str(server.path)}) as hook:
        hook.stdin.write(f"{ZERO} {server.node('main')} refs/heads/main\n")
        hook.stdin.close()
        hook.stdin = None
        until(lambda: [row["state"] for row in outbox.ask("count_events")] == ["leased"])
        for _ in range(4):
            time.sleep(0.05)
            stopped_for(hook, 0.8)
        said, _ = hook.communicate(timeout=30)
    lines = said.splitlines()
    assert len(lines) == 2, said
    assert lines[0].startswith("oberon: reading ")
    assert lines[0].endswith(" of 6,000 commits")
    assert lines[1] == "oberon: own: delivered (6000 commits)"


def test_inline_the_pusher_hears_nothing_of_a_short_reading(server):
    server.config("oberon.mode", "inline")
    done = subprocess.run(
        [SCRIPTS / "oberon-post-receive"],
        input=f"{server.node('main~3')} {server.node('main')} refs/heads/main\n",
        cwd=server.path, env={**os.environ, "GIT_DIR": str(server.path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout + done.stderr == "oberon: own: delivered (3 commits)\n"


def test_every_commit_as_a_line_whatever_maxcommits_says(server):
    server.config("oberon.maxCommits", "10")
    server.config("oberon.gitReader", "auto")
    argv = [SCRIPTS / "oberon", "payload", "--lines", server.path, "0", "main", "main"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    nodes = [json.loads(line)["raw_node"] for line in done.stdout.splitlines()]
    assert nodes == server.git("rev-list", "--reverse", "main").split()
    assert done.stderr == "", "it is no terminal"
