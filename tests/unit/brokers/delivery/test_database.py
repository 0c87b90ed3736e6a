import ast
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from brokers.delivery import database, statedir
from brokers.delivery.database import CorruptOutboxError, MovedOutboxError, NewerOutboxError, OutboxError
from brokers.delivery.outbox import FILE, Outbox
from payload.push import Event, RefUpdate

ROOT = Path(database.__file__).parents[1]
NOW = 1_000_000.0


def event(number):
    return Event(
        f"{number:032x}", "git", "/srv/git/app.git", NOW, "git", "ssh", (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    )


@pytest.fixture
def place(state_dir):
    statedir.prepare(str(state_dir))
    return state_dir


def opened(place):
    return Outbox.open(str(place), lambda: NOW)


def known(place):
    """The events of an outbox, and what SQLite thinks of it."""
    with opened(place) as outbox:
        return [row["sequence"] for row in outbox.ask("list_unread", repository=None, most=-1)], checked(place)


def checked(place):
    connection = sqlite3.connect(place / FILE)
    try:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        connection.close()


def test_a_file_that_is_no_database_is_corrupt(place):
    (place / FILE).write_bytes(b"no database at all " * 100)
    with pytest.raises(CorruptOutboxError, match="oberon run"):
        opened(place)


def test_a_damaged_page_is_corrupt_when_it_is_met(place):
    with opened(place) as outbox:
        for number in range(1, 200):
            outbox.add_event(event(number))
    with (place / FILE).open("r+b") as file:
        file.seek(-16 * 4096, os.SEEK_END)
        file.write(os.urandom(16 * 4096))
    with opened(place) as outbox, pytest.raises(CorruptOutboxError, match="malformed"):
        outbox.claim_event(60)


def test_a_newer_one_is_left_as_it_is(place):
    with opened(place) as outbox:
        outbox.add_event(event(1))
    connection = sqlite3.connect(place / FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (place / FILE).read_bytes()
    with pytest.raises(NewerOutboxError, match="upgrade this one"):
        opened(place)
    assert (place / FILE).read_bytes() == before


@pytest.mark.parametrize("what", ["renamed", "removed", "replaced"])
def test_what_is_written_to_a_file_that_is_no_longer_there_is_an_error(place, what):
    with opened(place) as outbox:
        outbox.add_event(event(1))
        for path in list(place.glob(FILE + "*")):
            path.unlink() if what == "removed" else path.rename(place / f"aside-{path.name}")
        if what == "replaced":
            opened(place).close()
        with pytest.raises(MovedOutboxError):
            outbox.add_event(event(2))


def test_another_connection_of_this_process_keeps_its_lock(place):
    """fcntl(2): whoever closes any descriptor of a file gives up all the locks that its process has on it."""
    with opened(place) as outbox, outbox.write():
        opened(place).close()
        tried = subprocess.run(
            [sys.executable, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')", place / FILE],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert "database is locked" in tried.stderr


@pytest.fixture
def before_its_log(place):
    """Another process's transaction on an outbox that has no write-ahead log yet, as while two make one at once."""
    connection = sqlite3.connect(place / FILE, isolation_level=None, check_same_thread=False)
    connection.execute("VACUUM")  # a first page, and nothing on it: of an empty file SQLite does wait, in an earlier statement
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def test_whoever_makes_it_at_the_same_time_is_waited_for(place, before_its_log):
    later = threading.Timer(0.2, before_its_log.execute, ["COMMIT"])
    later.start()
    with opened(place) as outbox:
        outbox.add_event(event(1))
    later.join()
    assert known(place) == ([1], "ok")


@pytest.mark.usefixtures("before_its_log")
def test_whoever_never_ends_is_waited_for_no_longer_than_it_says(place):
    begun = time.monotonic()
    with pytest.raises(OutboxError, match="locked"):
        Outbox.open(str(place), lambda: NOW, busy_timeout_s=0.1)
    assert 0.1 <= time.monotonic() - begun < 5


KILLED = """
import os, signal, sys, time
from brokers.delivery.outbox import Outbox
from payload.push import Event
outbox = Outbox.open(sys.argv[1], time.time)
outbox.checkpoint()
for number in (1, 2):
    outbox.add_event(Event(f"{number:032x}", "git", "/srv/git/app.git", 1.0, "git", "ssh"))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        ([], [2, 1]),
        (["-shm"], [2, 1]),  # an index that is made anew
        (["-wal", "-shm"], []),  # what was not moved into the database yet is in no other file
    ],
)
def test_the_files_beside_it_removed_after_it_was_killed(place, removed, left):
    done = subprocess.run([sys.executable, "-c", KILLED, place], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (place / f"{FILE}-wal").stat().st_size > 0
    for suffix in removed:
        (place / f"{FILE}{suffix}").unlink()
    assert known(place) == (left, "ok")


def test_nothing_is_beside_it_after_it_was_closed(place):
    with opened(place) as outbox:
        outbox.add_event(event(1))
    assert {path.name for path in place.iterdir() if path.is_file()} == {FILE}
    assert known(place) == ([1], "ok")


def calls(name):
    """The names of statements that are given to `NAME("statement", ...)` wherever the outbox is in reach."""
    for path in [*(ROOT / "delivery").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and getattr(node.func, "attr", getattr(node.func, "id", "")) == name:
                given = node.args[0]
                yield from [given.value] if isinstance(given, ast.Constant) else []


def test_what_is_asked_outside_of_a_transaction_writes_nothing():
    statements = database._statements()
    asked = set(calls("ask"))
    assert len(asked) > 5
    assert {name for name in asked if not _bare(statements[name]).startswith("SELECT")} == set()


def test_only_one_module_talks_to_sqlite():
    talking = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if re.search(r"sqlite3\.connect|\.execute\(", path.read_text("utf-8"))
    }
    assert talking == {"delivery/database.py", "delivery/migrations/__init__.py", "delivery/salvage.py"}


def _bare(statement):
    return re.sub(r"--[^\n]*\n", "", statement).strip()


# ------------------------------------------------------------------------------------------------------------ a backlog


def backlog(place, count, endpoint):
    """So many pushes that are read, with a delivery each that is due; all to one service of one repository."""
    opened(place).close()
    connection = sqlite3.connect(place / FILE)
    numbers = range(1, count + 1)
    connection.executemany(
        "INSERT INTO event (id, repository, sequence, record, payload, state, next_at, created_at) VALUES (?, 'r', ?, ?, '{}', 'read', 1, 1)",
        [(event(number).id, number, json.dumps(event(number).to_record())) for number in numbers],
    )
    connection.executemany(
        "INSERT INTO delivery (event, repository, sequence, service, broker, endpoint, state, next_at, created_at)"
        " VALUES (?, 'r', ?, 'ci', 'post', ?, 'waiting', ?, 1)",
        [(event(number).id, number, endpoint, NOW - count + number) for number in numbers],
    )
    connection.commit()
    connection.close()


def steps(outbox, work):
    """About how many hundred instructions of SQLite's machine `work` takes."""
    counted = []
    outbox._connection.set_progress_handler(lambda: counted.append(1), 100)
    work()
    outbox._connection.set_progress_handler(None, 0)
    return len(counted)


@pytest.mark.parametrize("endpoint", ["", "ci:443"])
def test_a_claim_takes_as_long_from_many_as_from_few(tmp_path, endpoint):
    taken = {}
    for count in (100, 10_000):
        folder = tmp_path / str(count)
        statedir.prepare(str(folder))
        backlog(folder, count, endpoint)
        with opened(folder) as outbox:
            claims = []
            taken[count] = steps(outbox, lambda: (claims.append(outbox.claim_delivery(60, 4)), outbox.next_due_at()))  # noqa: B023
            assert claims[0].event == event(1).id, "the one that has been due longest"
    assert taken[10_000] <= taken[100] + 10
