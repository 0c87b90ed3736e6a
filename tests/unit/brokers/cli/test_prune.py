"""prune: over an outbox that a real worker has filled."""

import time

import pytest

from brokers.delivery import disk
from brokers.delivery.outbox import Outbox


@pytest.fixture
def done(git_repo):
    """Push 1: delivered to `good` (1), dead for `bad` (2); push 2: the same (3, 4)."""
    git_repo.server.config("service.bad.broker", "breaker")
    for _ in range(2):
        git_repo.record()
        git_repo.drain()
    return git_repo


@pytest.fixture
def prune(oberon, done):
    return lambda *arguments: oberon("prune", "--state-dir", done.state_dir, *arguments)


def left(repo):
    with Outbox.open(str(repo.state_dir), time.time) as outbox:
        return [
            row["id"]
            for row in outbox.ask("list_deliveries", repository=None, service=None, state=None, failed=0, since=None, most=-1)
        ][::-1]


def test_what_is_young_or_dead_stays(prune, done):
    ran = prune()
    assert (ran.code, ran.out) == (
        0,
        "forgot nothing\n2 dead stay: see `oberon deliveries --dead`; `oberon prune --dead` forgets them\n",
    )
    assert prune("--older-than", "0s").out.startswith("forgot nothing\n")
    assert left(done) == [1, 2, 3, 4]


def test_the_dead_are_forgotten_when_asked(prune, done):
    assert prune("--dead", "--older-than", "1h").out.startswith("forgot nothing\n")
    assert prune("--dead", "--service", "good").out.startswith("forgot nothing\n")
    assert prune("--dead", "--repo", "/srv/other.git").out.startswith("forgot nothing\n")
    assert prune("--dead", "--dry-run").out == "would forget 2 deliveries\n"
    assert left(done) == [1, 2, 3, 4]
    assert prune("--dead", "--service", "bad").out == "forgot 2 deliveries\n"
    assert left(done) == [1, 3]
    time.sleep(0.01)
    assert prune("--older-than", "0s").out == "forgot 2 pushes that are done\n"
    assert left(done) == []


def test_days_kept_are_those_of_the_configuration(prune, done, run):
    run(["git", "config", "--global", "oberon.keepDays", "0"])
    prune("2")
    time.sleep(0.01)
    assert prune().out.splitlines()[0] == "forgot 1 push that is done"
    assert left(done) == [3, 4]


def test_by_number_and_by_event(prune, done):
    event = done.record().id
    ran = prune("2", "99", "--json")
    assert ran.code == 1
    assert ran.json() == {
        "done": 0,
        "deliveries": [2],
        "pushes": [],
        "refused": {"99": "there is no such delivery"},
        "dead": 1,
        "dry_run": False,
    }
    done.drain()
    assert left(done) == [1, 3, 4, 5, 6]
    assert prune(event).out == "forgot 1 push\n"
    assert left(done) == [1, 3, 4]
    assert (
        prune(event).out
        == f"forgot nothing\n{event}: there is no such push\n1 dead stay: see `oberon deliveries --dead`; `oberon prune --dead` forgets them\n"
    )


def test_what_waits_is_refused(prune, done):
    with Outbox.open(str(done.state_dir), time.time) as outbox:
        outbox.redeliver(2)
        event = outbox.ask("show_delivery", id=2)[0]["event"]
    ran = prune("2", event, "--dry-run")
    assert ran.code == 1
    assert "2: it is not delivered yet, and not given up" in ran.out
    assert f"{event}: of its deliveries, 2 are not delivered yet, and not given up" in ran.out


def test_a_push_that_cannot_be_read(prune, done):
    event = done.record(new="1" * 40).id
    with Outbox.open(str(done.state_dir), time.time) as outbox:
        done.drain()
        assert f"{event}: it is not read yet" in prune(event).out
        with outbox.write():
            outbox._connection.execute("UPDATE event SET state = 'dead' WHERE id = ?", [event])
    assert prune("--dead", "--dry-run", "--json").json()["pushes"] == [event]
    assert prune("--dead").out == "forgot 2 deliveries, 1 push\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["1", "--dead"], "one or the other"),
        (["1", "--older-than", "1d"], "one or the other"),
        (["--service", "ci"], "say --dead"),
        (["x"], "neither a delivery's number nor an event"),
    ],
)
def test_usage(prune, arguments, told):
    ran = prune(*arguments)
    assert ran.code == 2
    assert told in ran.err


def test_where_there_is_no_outbox_none_is_made(oberon, state_dir):
    ran = oberon("prune", "--state-dir", state_dir)
    assert ran.code == 2
    assert "there are no deliveries yet" in ran.err
    assert not state_dir.exists()


def test_doctor_warns_of_a_file_system_that_machines_share(oberon, done, monkeypatch, tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:40 / {tmp_path} rw - nfs4 server:/ rw\n")
    assert "which several machines share" not in oberon("doctor", "--state-dir", done.state_dir).out
    monkeypatch.setattr(disk, "_MOUNTS", mounts)
    assert f"{done.state_dir} is on nfs4, which several machines share" in oberon("doctor", "--state-dir", done.state_dir).out
