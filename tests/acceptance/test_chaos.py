"""Nothing that was acknowledged is lost, whoever is killed when.

It goes on for `OBERON_CHAOS_S` seconds (`make soak`: ten minutes), and until enough have been killed. `OBERON_SEED` repeats
what was drawn.
"""

import os
import secrets
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from brokers.cli.sources import by_scm
from brokers.delivery import spool, statedir, wake
from brokers.delivery.database import FILE
from brokers.delivery.scheduler import Limits
from brokers.delivery.worker import Worker
from brokers.secrets import resolver
from tests.support.arrivals import BROKER, Arrivals
from tests.support.chaos import Chaos
from tests.support.command import run
from tests.support.hooked import broker_folder, git_settings, link_hook

DURATION_S = float(os.environ.get("OBERON_CHAOS_S") or 35)
SEED = int(os.environ.get("OBERON_SEED") or secrets.randbelow(10**9))
LEAST_KILLS = {"producer": 60, "worker": 24, "worker, answered": 1, "pusher": 8, "hook": 8, "inline hook": 2}
MOST_DUPLICATES = 0.01  # of the events
PUSHED, INLINE = "pushed.git", "inline.git"


@pytest.fixture
def arrivals():
    arrivals = Arrivals()
    yield arrivals
    arrivals.close()


@pytest.fixture
def clone(git_server, state_dir, tmp_path, arrivals):
    """Of a repository whose service is the receiver, and with the hook from now on."""
    server = git_server(PUSHED)
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    clone.push()
    git_settings(server, state_dir, brokerPath=str(broker_folder(tmp_path, BROKER)))
    server.config("service.own.broker", "tell")
    server.config("service.own.url", arrivals.url)
    run(["git", "config", "--global", "oberon.perHost", "2"])  # as many a killed worker has in hand
    statedir.prepare(str(state_dir))
    link_hook(server)
    return clone


@pytest.fixture
def chaos(clone, state_dir, tmp_path, arrivals):
    others = [tmp_path / f"other{number}.git" for number in range(4)]
    for other in others:
        shutil.copytree(tmp_path / PUSHED, other)
    inline = tmp_path / INLINE
    shutil.copytree(tmp_path / PUSHED, inline, symlinks=True)
    run(["git", f"--git-dir={inline}", "config", "oberon.mode", "inline"])
    return Chaos(SEED, state_dir, arrivals, clone, inline, others)


def drain(state_dir: Path) -> None:
    """A worker after hours: what was under way when a worker was killed, or failed meanwhile, is due."""
    for hours in range(1, 4):
        worker = Worker(
            str(state_dir), by_scm(), resolver({}), Limits(), clock=lambda ahead_s=hours * 3600: time.time() + ahead_s
        )
        worker.run(drain=True)


def rows(state_dir: Path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(state_dir / FILE)) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.no_cover  # a receiver that is slow to answer is told more twice
@pytest.mark.timeout(0 if os.environ.get("OBERON_CHAOS_S") else 240)
def test_nothing_that_was_acknowledged_is_lost(chaos, state_dir, arrivals, record_property):
    chaos.run(DURATION_S, LEAST_KILLS)
    drain(state_dir)
    figures = {
        "seed": SEED,
        "killed": dict(chaos.kills),
        "acknowledged": len(chaos.acknowledged),
        "delivered": len(arrivals.events),
        "duplicates": arrivals.duplicates,
    }
    print(f"\n{figures}")
    for name, value in figures.items():
        record_property(name, value)
    told = f"OBERON_SEED={SEED}: {figures}"
    lost = chaos.acknowledged - arrivals.events.keys() - arrivals.nodes.keys()
    assert not lost, f"{told}: {sorted(lost)[:10]}"
    assert not arrivals.torn, told
    twice = [node for node in chaos.acknowledged if len(arrivals.nodes.get(node, ())) > 1]
    assert not twice, f"{told}: pushes that several events tell of: {twice}"
    assert chaos.kills.total() >= sum(LEAST_KILLS.values()) >= 100, told
    assert arrivals.duplicates <= MOST_DUPLICATES * len(arrivals.events), told
    assert rows(state_dir, "PRAGMA integrity_check") == [("ok",)]
    assert rows(state_dir, "PRAGMA foreign_key_check") == []
    assert rows(state_dir, "SELECT DISTINCT state FROM event") == [("read",)]
    assert rows(state_dir, "SELECT DISTINCT state FROM delivery") == [("delivered",)]
    drafts = list((state_dir / "spool" / "tmp").iterdir())
    assert len(list(spool.sweep(str(state_dir), time.time() + 2 * spool.STALE_S))) == len(drafts)
    assert [path.name for part in ("tmp", "new", "bad") for path in (state_dir / "spool" / part).iterdir()] == []


def test_what_was_answered_but_not_written_down_is_delivered_again_under_the_same_id(clone, state_dir, arrivals):
    lock = state_dir / wake.LOCK
    arrivals.on_request = lambda: os.kill(int(lock.read_text()), signal.SIGKILL)
    clone.commit({"a.txt": "two\n"})
    clone.push()
    deadline = time.monotonic() + 30
    while not arrivals.events or wake.is_held(str(lock)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    arrivals.on_request = lambda: None
    drain(state_dir)
    assert list(arrivals.events.values()) == [2]
    assert rows(state_dir, "SELECT state, attempts FROM delivery") == [("delivered", 2)]
    assert rows(state_dir, "SELECT number, outcome FROM attempt") == [(2, "delivered")]
