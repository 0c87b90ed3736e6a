"""An outbox of an earlier version is brought to this one with all that is in it."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from brokers.delivery import migrations, statedir
from brokers.delivery.outbox import FILE, Outbox, OutboxError
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate

SUPPORT = Path(__file__).parents[3] / "support"
OLDER = range(1, migrations.VERSION)
QUEUED = 10_000
NOW = 1_000_000.0
EVENTS = {
    state: Event(
        f"{number:032x}", "git", "/srv/git/app.git", NOW, "git", "ssh", (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    )
    for number, state in enumerate(("waiting", "leased", "read", "dead"), 1)
}
TABLES = ("repository", "event", "delivery", "attempt")


def of_version(path, version):
    """An empty outbox of an earlier version, open."""
    connection = sqlite3.connect(path)
    connection.executescript((SUPPORT / f"outbox-{version}.sql").read_text("utf-8"))
    connection.execute(f"PRAGMA user_version = {version}")
    return connection


def _columns(table):
    connection = of_version(":memory:", 1)
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    connection.close()
    return ", ".join(names)


@pytest.fixture(params=OLDER)
def old(request, state_dir):
    """The file of an outbox of an earlier version with an event and a delivery in each state."""
    statedir.prepare(str(state_dir))
    connection = of_version(state_dir / FILE, request.param)
    connection.execute("INSERT INTO repository VALUES ('/srv/git/app.git', 4)")
    for sequence, (state, event) in enumerate(EVENTS.items(), 1):
        leased = ("token", NOW + 60) if state == "leased" else (None, None)
        connection.execute(
            "INSERT INTO event (id, repository, sequence, record, payload, state, next_at, lease, lease_until, reason, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (event.id, event.path, sequence, json.dumps(event.to_record()), '{"commits": []}', state, NOW, *leased, "why", NOW),
        )
    for number, state in enumerate(("waiting", "leased", "delivered", "dead", "skipped"), 1):
        connection.execute(
            "INSERT INTO delivery (id, event, repository, sequence, service, broker, endpoint, state, next_at, created_at)"
            " VALUES (?, ?, '/srv/git/app.git', 3, ?, 'post', 'ci:443', ?, ?, ?)",
            (number, EVENTS["read"].id, f"service {number}", state, NOW, NOW),
        )
        connection.execute("INSERT INTO attempt VALUES (?, 1, ?, 0.5, 'retry', 'refused', '{}')", (number, NOW))
    connection.commit()
    connection.close()
    return state_dir / FILE


COLUMNS = {table: _columns(table) for table in TABLES}
"""Those that all versions have."""


def rows(path):
    connection = sqlite3.connect(path)
    try:
        return {
            table: connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
            for table, columns in COLUMNS.items()
        }
    finally:
        connection.close()


def schema(path):
    """What the tables, indices and triggers say, less layout and comments."""
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    finally:
        connection.close()
    return application, version, [(kind, name, _bare(sql)) for kind, name, sql in found]


def _bare(sql):
    return " ".join(re.sub(r"--[^\n]*", "", sql or "").split())


def test_nothing_of_an_older_outbox_is_lost(old, state_dir):
    before = rows(old)
    assert [len(found) for found in before.values()] == [1, 4, 5, 5]
    with Outbox.open(str(state_dir), lambda: NOW) as outbox:
        assert rows(old) == before
        claim = outbox.claim_event(60)
        assert (claim.event, claim.sequence) == (EVENTS["waiting"], 1)
        assert outbox.note_reading(claim, 1, 2, 3.0)
        delivery = outbox.claim_delivery(60, 4)
        assert delivery.service == "service 1"
        assert outbox.finish(delivery, Outcome(Verdict.DELIVERED), None)


def test_the_attempts_of_an_older_outbox_are_counted(old, state_dir):
    with Outbox.open(str(state_dir), lambda: NOW) as outbox:
        counted = [tuple(row)[1:] for row in outbox.ask("tally_attempts", per_repository=False)]
    assert counted == [(f"service {number}", "post", "retry", 1, 0.5, NOW + 0.5) for number in range(1, 6)]


def test_an_upgraded_outbox_is_as_a_new_one(old, state_dir, tmp_path):
    Outbox.open(str(state_dir), lambda: NOW).close()
    statedir.prepare(str(tmp_path / "new"))
    Outbox.open(str(tmp_path / "new"), lambda: NOW).close()
    assert schema(old) == schema(tmp_path / "new" / FILE)
    assert schema(old)[1] == migrations.VERSION


def test_several_processes_may_meet_an_older_outbox_at_once(old, state_dir):
    before = rows(old)

    def upgrade(_):
        with Outbox.open(str(state_dir), lambda: NOW) as outbox:
            return outbox.ask("list_readings", now=NOW)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(upgrade, range(8))) == [[]] * 8
    assert rows(old) == before


def test_a_migration_that_fails_leaves_the_outbox_as_it_was(old, state_dir):
    connection = sqlite3.connect(old)
    connection.execute("CREATE TABLE next_in_line (in_the_way)")  # of one of the last statements
    connection.commit()
    connection.close()
    before = schema(old)
    with pytest.raises(OutboxError, match="next_in_line already exists"):
        Outbox.open(str(state_dir), lambda: NOW)
    assert schema(old) == before


def test_a_worker_of_the_older_version_may_go_on_beside_it(old, state_dir):
    """It has the file open while another process upgrades it."""
    worker = sqlite3.connect(old, isolation_level=None)
    assert worker.execute("SELECT count(*) FROM event").fetchone() == (4,)
    Outbox.open(str(state_dir), lambda: NOW).close()
    worker.execute("UPDATE event SET state = 'waiting', lease = NULL WHERE lease = 'token'")
    assert worker.execute("SELECT count(*) FROM event WHERE state = 'waiting'").fetchone() == (2,)
    worker.close()


UPGRADES = """
import os, signal, sys, time
from brokers.delivery.outbox import Outbox

state_dir, took_s = sys.argv[1], float(sys.argv[2])
for part in range(20):
    child = os.fork()
    if child == 0:
        Outbox.open(state_dir, time.time).close()
        os._exit(0)
    time.sleep(took_s * part / 20)
    os.kill(child, signal.SIGKILL)
    print(os.WIFSIGNALED(os.waitpid(child, 0)[1]), flush=True)
"""


def test_killed_again_and_again_in_the_middle_it_is_either_the_old_one_or_the_new_one(state_dir, tmp_path):
    statedir.prepare(str(state_dir))
    connection = of_version(state_dir / FILE, 1)
    connection.execute("PRAGMA journal_mode = WAL")
    record = json.dumps(EVENTS["waiting"].to_record())
    connection.executemany(
        "INSERT INTO event (id, repository, sequence, record, payload, state, next_at, created_at) VALUES (?, 'r', ?, ?, '{}', 'read', 1, 1)",
        [(f"{number:032x}", number, record) for number in range(QUEUED)],
    )
    connection.executemany(
        "INSERT INTO delivery (event, repository, sequence, service, broker, endpoint, state, next_at, created_at)"
        " VALUES (?, 'r', ?, 'ci', 'post', 'ci:443', 'waiting', 1, 1)",
        [(f"{number:032x}", number) for number in range(QUEUED)],
    )
    connection.commit()
    connection.close()
    statedir.prepare(str(tmp_path / "other"))
    shutil.copy(state_dir / FILE, tmp_path / "other")
    began = time.monotonic()
    Outbox.open(str(tmp_path / "other"), lambda: NOW).close()
    took_s = time.monotonic() - began
    before = rows(state_dir / FILE)
    driver = subprocess.run([sys.executable, "-c", UPGRADES, state_dir, str(took_s)], capture_output=True, text=True, check=True)
    killed = driver.stdout.split()
    assert killed.count("True") >= 5, "most of them came too late"
    assert schema(state_dir / FILE)[1] in (1, migrations.VERSION)
    assert rows(state_dir / FILE) == before
    Outbox.open(str(state_dir), lambda: NOW).close()
    assert schema(state_dir / FILE) == schema(tmp_path / "other" / FILE)
    assert rows(state_dir / FILE) == before
    assert len(before["delivery"]) == QUEUED
