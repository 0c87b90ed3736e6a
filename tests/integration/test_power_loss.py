"""A power cut at any moment of an enqueue and of an ingestion: what was acknowledged is on the disk (`tests.support.power_loss`)."""

import fcntl
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from brokers.delivery import spool, statedir, wake
from brokers.delivery.database import FILE
from payload.push import Event
from tests.support import power_loss
from tests.support.command import run
from tests.support.fault_injection import UNCOUNTED, needs_strace
from tests.support.hooked import SCRIPTS, git_settings
from tests.support.power_loss import Disk

pytestmark = needs_strace
ZERO = "0" * 40


@pytest.fixture
def enqueued(git_server, state_dir, tmp_path):
    """The log of the git hook's first enqueue, and what the spool file holds."""
    server = git_server()
    git_settings(server, state_dir)
    server.config("service.ci.broker", "post")
    server.config("service.ci.url", "http://127.0.0.1:9/")
    state_dir.mkdir(mode=0o700)
    log = tmp_path / "strace.log"
    with (state_dir / wake.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # so that it starts no worker
        argv = power_loss.command(log, [SCRIPTS / "oberon-post-receive"])
        run(argv, cwd=server.path, input=f"{ZERO} {'1' * 40} refs/heads/main\n", env=UNCOUNTED)
    (path,) = spool.waiting(str(state_dir))
    return log, path, Path(path).read_bytes()


def test_an_event_is_there_once_the_hook_has_returned(enqueued, state_dir):
    log, path, data = enqueued
    disk = Disk(state_dir, {})
    for _line in disk.after(log):
        for tree in disk.cuts():
            assert tree.get(path, data) == data, "a torn event"
    assert {tree.get(path) for tree in disk.cuts()} == {data}


def test_without_any_one_of_its_syncs_it_would_not_be(enqueued, state_dir):
    log, path, data = enqueued
    syncs = sum(line.startswith(power_loss.SYNCS) for line in log.read_text().splitlines())
    for without in range(syncs):
        disk = Disk(state_dir, {})
        for _line in disk.after(log, without):
            pass
        assert any(tree.get(path) != data for tree in disk.cuts()), f"sync {without} of {syncs} is of no use"


TAKE_IN = """
import sys
from brokers.cli.sources import by_scm
from brokers.delivery.worker import Worker
from brokers.secrets import resolver
Worker(sys.argv[1], by_scm(), resolver({})).run(drain=True)
"""


@pytest.fixture
def taken_in(state_dir, tmp_path):
    """What was on the disk before the first worker ran, its log, and the event's id."""
    statedir.prepare(str(state_dir))
    event = Event(spool.new_id(), "git", str(tmp_path / "gone.git"), time.time(), "ann", "local")
    spool.write(str(state_dir), event.to_record())
    before = power_loss.tree(state_dir)
    log = tmp_path / "strace.log"
    run(power_loss.command(log, [sys.executable, "-c", TAKE_IN, state_dir]), env=UNCOUNTED)
    assert spool.waiting(str(state_dir)) == []
    return before, log, event.id


def is_kept(tree, state_dir, event, place):
    """Whether an event is in the spool or in the outbox of what is left on the disk."""
    if tree.get(str(state_dir / "spool" / "new" / event)):
        return True
    path = place / FILE
    for suffix in ("", "-wal", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
        content = tree.get(f"{state_dir / FILE}{suffix}")
        if content is not None:
            Path(f"{path}{suffix}").write_bytes(content)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        return connection.execute("SELECT count(*) FROM event WHERE id = ?", [event]).fetchone() == (1,)


def losses(taken_in, state_dir, place, without=None):
    """The calls of a worker after which the power must not be cut."""
    before, log, event = taken_in
    place.mkdir()
    # -shm is made anew after a cut; the others have nothing of the event.
    disk = Disk(state_dir, before, {f"{FILE}-shm", "ballast", wake.LOCK, wake.SOCKET})
    removed = False
    for line in disk.after(log, without):
        # Until then it is in the spool, whatever becomes of the outbox.
        removed = removed or (line.startswith("unlink") and power_loss.escaped(event) in line)
        if removed and not all(is_kept(tree, state_dir, event, place) for tree in disk.cuts()):
            yield line


def test_an_event_is_in_the_spool_or_in_the_outbox_whenever_the_power_is_cut(taken_in, state_dir, tmp_path):
    assert list(losses(taken_in, state_dir, tmp_path / "left")) == []


def test_nor_would_it_be_if_the_commit_were_not_synced(taken_in, state_dir, tmp_path):
    _, log, event = taken_in
    syncs = 0
    for line in log.read_text().splitlines():
        if line.startswith("unlink") and power_loss.escaped(event) in line:
            break
        syncs += line.startswith(power_loss.SYNCS)
    assert list(losses(taken_in, state_dir, tmp_path / "left", without=syncs - 1)) != []
