"""The outbox damaged, from the future, on a full disk: real workers and hooks, and nothing is lost."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

from brokers.delivery import disk, retention, salvage, spool, statedir, wake
from brokers.delivery.claims import NewDelivery
from brokers.delivery.database import FILE, FullDiskError
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate
from tests.support.hooked import SCRIPTS, broker_folder, git_settings, link_hook

PAGE = 4096
DAY_S = 86_400.0
RECORDING = """
from brokers import BaseBroker


class Record(BaseBroker):
    def handle(self, payload):
        with open(payload["service"]["file"], "a") as file:
            file.write(payload["oberon"]["event"] + "\\n")
"""


@pytest.fixture
def server(git_server, state_dir, tmp_path):
    server = git_server("team/app.git")
    git_settings(server, state_dir, brokerPath=str(broker_folder(tmp_path, RECORDING)))
    server.config("service.own.broker", "record")
    server.config("service.own.file", str(tmp_path / "recorded"))
    clone = server.clone()
    clone.commit({"file": "1"})
    clone.push()
    statedir.prepare(str(state_dir))
    return server


@pytest.fixture
def recorded(tmp_path):
    """Of each delivery the event."""
    file = tmp_path / "recorded"
    return lambda: file.read_text().split() if file.exists() else []


def event(server, age_s=0.0):
    new = RefUpdate("refs/heads/main", "0" * 40, server.node("main"))
    return Event(spool.new_id(), "git", str(server.path), time.time() - age_s, "ann", "local", (new,))


def spooled(server, state_dir):
    """A push as the hook records it; its event."""
    recorded = event(server)
    spool.write(str(state_dir), recorded.to_record())
    return recorded.id


def queued(server, state_dir, count=1):
    """Pushes that a worker had read, their deliveries waiting; their events."""
    events = []
    with Outbox.open(str(state_dir), time.time) as outbox:
        for _ in range(count):
            outbox.add_event(event(server))
            claim = outbox.claim_event(60)
            node = server.node("main")
            ref = {"ref": "refs/heads/main", "name": "main", "action": "create", "kind": "branch", "new": node, "commits": []}
            own = {"event": claim.event.id, "sequence": claim.sequence, "refs": [ref], "options": [], "commits": {}}
            told = {"commits": [], "truncated": False, "oberon": own}
            outbox.expand(claim, told, [NewDelivery("own", "record")])
            events.append(claim.event.id)
    return events


def run_worker(state_dir, *options):
    return subprocess.Popen(
        [SCRIPTS / "oberon", "run", "--state-dir", state_dir, *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def drained(state_dir):
    worker = run_worker(state_dir, "--drain")
    said, _ = worker.communicate(timeout=30)
    return worker.returncode, said


def until(condition, timeout_s=15.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def damage(state_dir, table):
    """Fill the first page of a table with ones."""
    with closing(sqlite3.connect(state_dir / FILE)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with (state_dir / FILE).open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)


# ---------------------------------------------------------------------------------------------------------------- corrupt


def test_an_outbox_that_is_no_database_is_set_aside_and_the_spool_delivered(server, state_dir, recorded, run):
    queued(server, state_dir)
    (state_dir / FILE).write_bytes(b"\0" * 3 * PAGE)
    waiting = spooled(server, state_dir)
    code, said = drained(state_dir)
    assert code == 0
    assert recorded() == [waiting]
    (aside,) = salvage.lying_aside(str(state_dir))
    assert f"set aside as {aside}" in said
    status = run([SCRIPTS / "oberon", "status", "--state-dir", state_dir], check=False)
    assert status.returncode == 1
    assert f"error: a corrupt outbox was set aside as {aside}" in status.stdout
    doctor = run([SCRIPTS / "oberon", "doctor", "--state-dir", state_dir], check=False).stdout
    assert f"a corrupt outbox was set aside as {aside}" in doctor
    aside.unlink()
    assert run([SCRIPTS / "oberon", "status", "--state-dir", state_dir], check=False).returncode == 0


def test_damage_that_a_worker_meets_at_work_does_not_stop_it(server, state_dir, recorded):
    """The table of attempts is written to when the first delivery has been made."""
    first = queued(server, state_dir, 3)
    damage(state_dir, "attempt")
    worker = run_worker(state_dir)
    until(lambda: salvage.lying_aside(str(state_dir)) and set(first) <= set(recorded()))
    later = spooled(server, state_dir)
    wake.wake(str(state_dir), os.environ)
    until(lambda: later in recorded())
    assert worker.poll() is None
    worker.terminate()
    said, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert said.count("set aside as") == 1
    assert "3 unfinished pushes of it were taken over" in said
    assert len(recorded()) <= 2 * len(first) + 1, "what was on its way was sent once more"
    with Outbox.open(str(state_dir), time.time) as outbox:
        assert [(row["state"], row["n"]) for row in outbox.ask("count_deliveries")] == [("delivered", 4)]


def test_an_inline_push_over_a_corrupt_outbox_is_delivered_and_has_it_mended(server, state_dir, recorded, left_running):
    server.config("oberon.mode", "inline")
    link_hook(server)
    (state_dir / FILE).write_bytes(b"\0" * PAGE)
    clone = server.clone("pusher")
    clone.commit({"file": "2"})
    pushed = clone.push()
    assert f"warning: oberon: cannot write to {state_dir}: file is not a database" in pushed.stderr
    assert len(recorded()) == 1
    until(lambda: salvage.lying_aside(str(state_dir)))


def test_an_outbox_that_was_removed_is_made_anew_by_a_running_worker(server, state_dir, recorded):
    worker = run_worker(state_dir)
    until((state_dir / wake.SOCKET).exists)
    for path in state_dir.glob(FILE + "*"):
        path.unlink()
    pushed = spooled(server, state_dir)
    wake.wake(str(state_dir), os.environ)
    until(lambda: pushed in recorded())
    worker.terminate()
    said, _ = worker.communicate(timeout=30)
    assert "it is opened anew" in said
    with Outbox.open(str(state_dir), time.time) as outbox:
        assert outbox.ask("show_event", id=pushed)[0]["state"] == "read"


# ------------------------------------------------------------------------------------------------------------------ newer


@pytest.mark.parametrize("mode", ["detached", "inline"])
def test_an_outbox_of_a_newer_oberon_is_left_alone_and_pushes_are_kept(server, state_dir, recorded, left_running, mode):
    with Outbox.open(str(state_dir), time.time) as outbox:
        outbox._connection.execute("PRAGMA user_version = 99")
    before = (state_dir / FILE).read_bytes()
    code, said = drained(state_dir)
    assert code == 2, "in a unit: RestartPreventExitStatus=2"
    assert "was written by a newer Oberon (schema 99; this one reads 4): upgrade this one" in said
    server.config("oberon.mode", mode)
    link_hook(server)
    clone = server.clone("pusher")
    clone.commit({"file": "2"})
    pushed = clone.push()
    until(lambda: not left_running())  # the worker that the hook started
    if mode == "inline":
        assert len(recorded()) == 1
        assert "was written by a newer Oberon" in pushed.stderr
    else:
        assert (recorded(), pushed.stderr.count("oberon")) == ([], 0)
        assert len(spool.waiting(str(state_dir))) == 1
    assert (state_dir / FILE).read_bytes() == before
    assert not salvage.lying_aside(str(state_dir))


# ---------------------------------------------------------------------------------------------------------- a full disk

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root mounts a file system")


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(bytes) -> a folder on a file system of that size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no file system can be mounted here: {done.stderr}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def full():
    """full(folder) fills its file system to the last byte; the file that does."""

    def fill(folder):
        file = folder / "filler"
        with file.open("ab", buffering=0) as stream:
            for size in (65536, 512, 1):
                try:
                    while True:
                        stream.write(b"x" * size)
                except OSError:
                    continue
        return file

    return fill


def old_pushes(server, state_dir, count):
    """Delivered 40 days ago."""
    with Outbox.open(str(state_dir), lambda: time.time() - 40 * DAY_S) as outbox:
        for _ in range(count):
            outbox.add_event(event(server))
            claim = outbox.claim_event(60)
            (delivery,) = outbox.expand(claim, {"commits": ["x" * 4000]}, [NewDelivery("own", "record")], lease_s=60)
            outbox.finish(delivery, Outcome(Verdict.DELIVERED, details={"printed": "y" * 2000}), None)


def counted(state_dir):
    with Outbox.open(str(state_dir), time.time) as outbox:
        return {row["state"]: row["n"] for row in outbox.ask("count_deliveries")}


@needs_root
def test_a_push_waits_in_the_spool_while_the_disk_is_full(server, small_disk, full, recorded):
    state_dir = small_disk(2 * 1024 * 1024) / "state"
    statedir.prepare(str(state_dir))
    worker = run_worker(state_dir)
    until((state_dir / wake.SOCKET).exists)
    os.kill(worker.pid, signal.SIGSTOP)
    pushed = spooled(server, state_dir)
    filler = full(state_dir)
    os.kill(worker.pid, signal.SIGCONT)
    wake.wake(str(state_dir), os.environ)
    assert any("database or disk is full; trying again in 5 s" in line for line in worker.stdout)
    assert [path.endswith(pushed) for path in spool.waiting(str(state_dir))] == [True]
    assert recorded() == []
    assert not (state_dir / disk.BALLAST).exists(), "it would have taken all there is"
    filler.unlink()
    wake.wake(str(state_dir), os.environ)
    until(lambda: recorded() == [pushed])
    assert spool.waiting(str(state_dir)) == []
    worker.terminate()
    worker.communicate(timeout=30)


@needs_root
def test_a_worker_forgets_and_writes_down_while_the_disk_is_full(server, small_disk, full, recorded):
    state_dir = small_disk(16 * 1024 * 1024) / "state"
    statedir.prepare(str(state_dir))
    old_pushes(server, state_dir, 150)
    waiting = queued(server, state_dir, 5)
    assert disk.keep_ballast(str(state_dir))
    filler = full(state_dir)
    with pytest.raises(OSError, match="No space left"):
        (state_dir / "other").write_bytes(b"x")
    code, said = drained(state_dir)
    assert code == 0, said
    assert sorted(recorded()) == sorted(waiting), said
    assert counted(state_dir) == {"delivered": 5}
    assert not (state_dir / disk.BALLAST).exists()
    filler.unlink()
    assert drained(state_dir)[0] == 0
    assert (state_dir / disk.BALLAST).exists()


@needs_root
def test_what_pruning_needs_is_in_the_ballast(server, small_disk, full):
    """An outbox that was open when the disk became full; the journal holds as much as it ever does."""
    state_dir = small_disk(16 * 1024 * 1024) / "state"
    statedir.prepare(str(state_dir))
    old_pushes(server, state_dir, 300)
    with Outbox.open(str(state_dir), time.time) as outbox:
        disk.keep_ballast(str(state_dir))
        outbox.checkpoint()
        full(state_dir)
        with pytest.raises(FullDiskError):
            retention.prune(outbox, DAY_S)
        assert counted(state_dir) == {"delivered": 300}
        assert retention.make_room(outbox, str(state_dir), DAY_S) == 300
        for _ in range(50):
            outbox.add_event(event(server))


@needs_root
def test_prune_works_on_a_full_disk(server, small_disk, full, run):
    state_dir = small_disk(16 * 1024 * 1024) / "state"
    statedir.prepare(str(state_dir))
    old_pushes(server, state_dir, 120)
    disk.keep_ballast(str(state_dir))
    full(state_dir)
    done = run([SCRIPTS / "oberon", "prune", "--state-dir", state_dir], check=False)
    assert (done.returncode, done.stdout) == (0, "forgot 120 pushes that are done\n"), done.stderr
    assert counted(state_dir) == {}
