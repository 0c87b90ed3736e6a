"""An outbox of an earlier version is brought to this one with all that is in it."""

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from brokers.delivery import migrations, statedir
from brokers.delivery.outbox import FILE, Outbox, OutboxError
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate

OLD = Path(__file__).parents[3] / "support" / "outbox-1.sql"
NOW = 1_000_000.0
EVENTS = {
    state: Event(
        f"{number:032x}", "git", "/srv/git/app.git", NOW, "git", "ssh", (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    )
    for number, state in enumerate(("waiting", "leased", "read", "dead"), 1)
}
TABLES = ("repository", "event", "delivery", "attempt")


@pytest.fixture
def old(state_dir):
    """The file of an outbox of version 1 with an event and a delivery in each state."""
    statedir.prepare(str(state_dir))
    connection = sqlite3.connect(state_dir / FILE)
    connection.executescript(OLD.read_text("utf-8"))
    connection.execute("PRAGMA user_version = 1")
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


def rows(path):
    connection = sqlite3.connect(path)
    try:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}
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
    connection.execute(
        "CREATE TRIGGER reading_ended AFTER DELETE ON event BEGIN SELECT 1; END"
    )  # in the way of its last statement
    connection.commit()
    connection.close()
    before = schema(old)
    with pytest.raises(OutboxError, match="reading_ended already exists"):
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
