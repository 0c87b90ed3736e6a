"""deliveries, show, redeliver, status: over an outbox that a real worker has filled."""

from __future__ import annotations

import fcntl
import os
import re
import time

import pytest

from brokers.delivery import statedir
from brokers.delivery.outbox import Outbox


@pytest.fixture
def done(git_repo):
    """Push 1: delivered to `good`, dead for `bad`, skipped for `picky`."""
    git_repo.server.config("service.bad.broker", "breaker")
    git_repo.server.config("service.picky.broker", "keeper")
    git_repo.server.config("service.picky.refs", "refs/heads/other")
    git_repo.record()
    git_repo.drain()
    return git_repo


def listed(ran):
    return {delivery["service"]: delivery for delivery in ran.json()["deliveries"]}


def test_deliveries_newest_first(done, oberon):
    ran = oberon("deliveries", "--state-dir", done.state_dir)
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["ID", "3", "2", "1"]
    assert "it is broken for good" in ran.out
    assert "kept" in ran.out


def test_deliveries_as_json(done, oberon):
    ran = oberon("deliveries", "--json", "--state-dir", done.state_dir)
    found = listed(ran)
    assert {name: delivery["state"] for name, delivery in found.items()} == {
        "good": "delivered",
        "bad": "dead",
        "picky": "skipped",
    }
    good = found["good"]
    assert list(good) == [
        "id",
        "event",
        "sequence",
        "repository",
        "service",
        "broker",
        "endpoint",
        "state",
        "attempts",
        "repeats",
        "created_at",
        "next_at",
        "expires_at",
        "finished_at",
        "reason",
        "note",
    ]
    assert (good["repository"], good["sequence"], good["attempts"], good["note"]) == (done.path, 1, 1, "kept")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", good["finished_at"])
    assert good["next_at"] is None
    assert found["picky"]["reason"] == "skipped: refs filter"
    assert ran.json()["spool"] == {"waiting": 0, "bad": 0, "oldest_s": None}


@pytest.mark.parametrize(
    ("options", "services"),
    [
        (["--dead"], {"bad"}),
        (["--skipped"], {"picky"}),
        (["--state", "delivered"], {"good"}),
        (["--state", "dead"], {"bad"}),
        (["--state", "parked"], set()),
        (["--failed"], {"bad"}),
        (["--service", "good"], {"good"}),
        (["--service", "none"], set()),
        (["--limit", "1"], {"picky"}),
        (["--since", "1h"], {"good", "bad", "picky"}),
        (["--since", "0s"], set()),
    ],
)
def test_deliveries_filtered(done, oberon, options, services):
    time.sleep(0.01)
    assert set(listed(oberon("deliveries", "--json", "--state-dir", done.state_dir, *options))) == services


def test_deliveries_of_one_repository(done, oberon, git_server, tmp_path):
    other = git_server("other.git")
    assert len(listed(oberon("deliveries", "--json", "--state-dir", done.state_dir, "--repo", done.path))) == 3
    assert listed(oberon("deliveries", "--json", "--state-dir", done.state_dir, "--repo", other.path)) == {}
    # A repository that was deleted still has its record.
    done.server.path.rename(tmp_path / "gone.git")
    assert len(listed(oberon("deliveries", "--json", "--state-dir", done.state_dir, "--repo", done.path))) == 3


def test_where_nothing_was_pushed_yet_nothing_is_made(oberon, state_dir):
    for command in ("deliveries", "status"):
        ran = oberon(command, "--state-dir", state_dir)
        assert ran.code == 0
        assert "not there yet; the first push makes it" in ran.out
    assert oberon("deliveries", "--json", "--state-dir", state_dir).json()["deliveries"] == []
    assert oberon("status", "--json", "--state-dir", state_dir).json()["exists"] is False
    assert oberon("redeliver", "--dead", "--state-dir", state_dir).code == 2
    assert not state_dir.exists()


def test_the_state_directory_of_the_repository_that_is_named(done, oberon, monkeypatch, tmp_path, woken):
    assert len(listed(oberon("deliveries", "--json", "--repo", done.path))) == 3
    assert oberon("redeliver", "--dead", "--repo", done.path, "--json").json()["deliveries"] == [2]
    monkeypatch.setenv("OBERON_STATE_DIR", str(tmp_path / "other"))
    assert listed(oberon("deliveries", "--json", "--repo", done.path)) == {}


def test_the_state_directory_from_the_environment(done, oberon, monkeypatch):
    monkeypatch.setenv("OBERON_STATE_DIR", str(done.state_dir))
    assert len(listed(oberon("deliveries", "--json"))) == 3


def test_the_state_directory_from_git_s_global_configuration(done, oberon, run):
    run(["git", "config", "--global", "oberon.stateDir", done.state_dir])
    assert len(listed(oberon("deliveries", "--json"))) == 3


def test_pushes_in_the_spool_are_counted(git_repo, oberon):
    git_repo.record()
    git_repo.record()
    ran = oberon("deliveries", "--state-dir", git_repo.state_dir)
    assert "2 pushes wait in the spool" in ran.out
    told = oberon("status", "--json", "--state-dir", git_repo.state_dir).json()
    assert told["spool"]["waiting"] == 2
    assert 0 <= told["oldest_waiting_s"] < 60


def test_a_push_that_cannot_be_read_is_listed_with_the_reason(git_repo, oberon):
    event = git_repo.record(new="1" * 40)
    git_repo.drain()
    ran = oberon("deliveries", "--state-dir", git_repo.state_dir)
    assert f"push {event.id} of {git_repo.path}: not read yet: " in ran.out
    [push] = oberon("deliveries", "--failed", "--json", "--state-dir", git_repo.state_dir).json()["unread"]
    assert (push["event"], push["state"]) == (event.id, "waiting")
    assert push["next_at"]
    again = oberon("redeliver", event.id, "--json", "--state-dir", git_repo.state_dir).json()
    assert again["pushes"] == [event.id]


def test_show(done, oberon):
    number = listed(oberon("deliveries", "--json", "--state-dir", done.state_dir))["good"]["id"]
    ran = oberon("show", str(number), "--state-dir", done.state_dir)
    assert ran.code == 0
    assert "delivered: " not in ran.out
    for part in ("refs/heads/main 000000000000 -> ", "attempt 1 at ", "printed:", "    seen app", "by ann over local"):
        assert part in ran.out
    assert '"commits"' not in ran.out
    assert '"commits"' in oberon("show", str(number), "--payload", "--state-dir", done.state_dir).out


def test_show_as_json(done, oberon):
    number = listed(oberon("deliveries", "--json", "--state-dir", done.state_dir))["bad"]["id"]
    told = oberon("show", str(number), "--json", "--payload", "--state-dir", done.state_dir).json()
    assert told["push"]["refs"] == [["0" * 40, done.server.node("main"), "refs/heads/main"]]
    [tried] = told["tries"]
    assert (tried["number"], tried["outcome"], tried["reason"]) == (1, "dead", "it is broken for good")
    assert tried["exchanges"] == []
    assert told["payload"]["commits"][0]["message"] == "first\n"
    assert "payload" not in oberon("show", str(number), "--json", "--state-dir", done.state_dir).json()


def test_show_has_the_traceback_of_what_went_wrong(git_repo, broker_file, oberon):
    broker_file("raiser", "class Raiser(BaseBroker):\n    def handle(self, payload):\n        raise ValueError('\\x1b[2J')\n")
    git_repo.server.config("service.good.broker", "raiser")
    git_repo.record()
    git_repo.drain()
    out = oberon("show", "1", "--state-dir", git_repo.state_dir).out
    assert "raiser.py" in out
    assert "ValueError: \\x1b[2J" in out
    assert "\x1b" not in out


def test_show_what_is_not_there(done, oberon, tmp_path):
    assert oberon("show", "99", "--state-dir", done.state_dir).code == 2
    assert oberon("show", "1", "--state-dir", tmp_path / "none").code == 2
    assert oberon("show", "one", "--state-dir", done.state_dir).code == 2


def test_status_is_bad_while_something_is_dead(done, oberon):
    ran = oberon("status", "--state-dir", done.state_dir)
    assert ran.code == 1
    assert "error: 1 delivery is dead" in ran.out
    told = oberon("status", "--json", "--state-dir", done.state_dir).json()
    assert told["deliveries"] == {
        "waiting": 0,
        "leased": 0,
        "parked": 0,
        "disabled": 0,
        "delivered": 1,
        "skipped": 1,
        "dead": 1,
    }
    assert told["pushes"] == {"waiting": 0, "leased": 0, "read": 1, "dead": 0}
    assert told["worker"] is False
    assert told["failing"] == [
        {"repository": done.path, "service": "bad", "state": "dead", "reason": "it is broken for good", "delivery": 2}
    ]


def test_status_is_good_when_all_is_delivered(git_repo, oberon):
    git_repo.record()
    git_repo.drain()
    ran = oberon("status", "--state-dir", git_repo.state_dir)
    assert ran.code == 0
    assert "1 delivered" in ran.out


def test_status_tells_of_files_that_are_no_events(git_repo, oberon):
    git_repo.record()
    (git_repo.state_dir / "spool" / "new" / "junk").write_bytes(b"junk")
    git_repo.drain()
    ran = oberon("status", "--state-dir", git_repo.state_dir)
    assert ran.code == 1
    assert "1 spool file is no event" in ran.out


def test_status_tells_of_a_push_nobody_takes_in(git_repo, oberon):
    git_repo.record()
    [file] = (git_repo.state_dir / "spool" / "new").iterdir()
    os.utime(file, (time.time() - 3600,) * 2)
    ran = oberon("status", "--state-dir", git_repo.state_dir)
    assert ran.code == 1
    assert "1 push or delivery is due since 2" in ran.out
    assert f"and no worker runs: `oberon run --drain --state-dir {git_repo.state_dir}`" in ran.out


@pytest.mark.parametrize("late_s", [30.0, 90.0])
@pytest.mark.parametrize("state", ["waiting", "leased"])
def test_status_tells_when_no_worker_sees_to_what_is_due(git_repo, oberon, state, late_s):
    git_repo.record()
    git_repo.drain()
    with Outbox.open(str(git_repo.state_dir), time.time) as outbox:
        outbox.redeliver(1)
        if state == "leased":
            assert outbox.claim_delivery(0.0, 4) is not None
        with outbox.write():
            outbox._connection.execute("UPDATE delivery SET next_at = next_at - ?, lease_until = lease_until - ?", [late_s] * 2)
    ran = oberon("status", "--state-dir", git_repo.state_dir)
    assert ran.code == (1 if late_s > 60 else 0)
    assert ("1 push or delivery is due since 2" in ran.out) == (late_s > 60)
    doctor = oberon("doctor", "--state-dir", git_repo.state_dir)
    assert doctor.code == ran.code
    assert (f"and no worker runs; oberon run --drain --state-dir {git_repo.state_dir}" in doctor.out) == (late_s > 60)
    with (git_repo.state_dir / "worker.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert oberon("status", "--state-dir", git_repo.state_dir).code == 0


def test_status_points_to_the_log_where_a_worker_runs_and_does_nothing(git_repo, oberon):
    git_repo.record()
    [file] = (git_repo.state_dir / "spool" / "new").iterdir()
    os.utime(file, (time.time() - 3600,) * 2)
    with (git_repo.state_dir / "worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = oberon("status", "--state-dir", git_repo.state_dir)
    assert ran.code == 1
    assert f"though a worker runs: see {git_repo.state_dir}/worker.log" in ran.out


@pytest.fixture(params=["a file", "below a file", "its spool is a file", "full"])
def unusable(request, git_repo, monkeypatch, tmp_path):
    """A state directory in which no push can be recorded, and what must be said of it."""
    (tmp_path / "file").write_text("")
    match request.param:
        case "a file":
            return tmp_path / "file", f"{tmp_path}/file is not a directory"
        case "below a file":
            return tmp_path / "file" / "state", f"{tmp_path}/file is not a directory"
        case "its spool is a file":
            (tmp_path / "odd" / "spool").mkdir(parents=True)
            (tmp_path / "odd" / "spool" / "new").write_text("")
            return tmp_path / "odd", f"{tmp_path}/odd/spool/new is not a directory"
    git_repo.record()
    git_repo.drain()
    monkeypatch.setattr("brokers.cli.state.MIN_FREE_BYTES", 2**80)  # no file system has as much
    return git_repo.state_dir, f"no space left in {git_repo.state_dir}"


@pytest.mark.parametrize("command", ["status", "deliveries"])
def test_a_state_directory_that_cannot_be_used_is_a_problem(unusable, oberon, command):
    place, told = unusable
    ran = oberon(command, "--state-dir", place)
    assert ran.code == 1
    assert f"error: {told}" in ran.out or (f"error: {place}" in ran.out and told in ran.out)
    assert ran.err == ""
    as_json = oberon(command, "--json", "--state-dir", place)
    assert as_json.code == 1
    assert told in as_json.json()["problems"][0]


def test_what_can_be_read_on_a_full_disk_is_shown(git_repo, oberon, monkeypatch):
    git_repo.record()
    git_repo.drain()
    monkeypatch.setattr("brokers.cli.state.MIN_FREE_BYTES", 2**80)
    assert "kept" in oberon("deliveries", "--state-dir", git_repo.state_dir).out
    assert "1 delivered" in oberon("status", "--state-dir", git_repo.state_dir).out


@pytest.mark.parametrize("command", ["status", "deliveries"])
def test_a_spool_that_may_not_be_written_is_a_problem(git_repo, oberon_apart, command):
    statedir.prepare(str(git_repo.state_dir))
    new = git_repo.state_dir / "spool" / "new"
    new.chmod(0o500)
    ran = oberon_apart(command, "--state-dir", git_repo.state_dir)
    new.chmod(0o700)
    assert ran.code == 1
    assert f"cannot write to {new}" in ran.out


def test_status_takes_no_ordered_delivery_for_late(git_repo, broker_file, oberon):
    broker_file(
        "later", "class Later(BaseBroker):\n    def handle(self, payload):\n        raise RetryLater('no', after_s=7000)\n"
    )
    git_repo.server.config("service.good.broker", "later")
    git_repo.server.config("service.good.ordered", "true")
    git_repo.server.config("service.good.retry", "2h 2h")
    for _ in range(2):
        git_repo.record()
        git_repo.drain()  # it ends, though the second is never tried
    told = oberon("status", "--json", "--state-dir", git_repo.state_dir).json()
    assert told["deliveries"]["waiting"] == 2
    with Outbox.open(str(git_repo.state_dir), time.time) as outbox, outbox.write():
        outbox._connection.execute("UPDATE delivery SET next_at = next_at - 7200 WHERE id = 2")
    told = oberon("status", "--json", "--state-dir", git_repo.state_dir).json()
    assert told["deliveries"]["waiting"] == 2
    assert told["overdue_s"] == 0
    assert told["problems"] == []


def test_status_sees_the_worker_by_its_lock(git_repo, oberon):
    statedir.prepare(str(git_repo.state_dir))
    with (git_repo.state_dir / "worker.lock").open("w") as file:
        assert oberon("status", "--json", "--state-dir", git_repo.state_dir).json()["worker"] is False
        fcntl.flock(file, fcntl.LOCK_EX)
        assert oberon("status", "--json", "--state-dir", git_repo.state_dir).json()["worker"] is True


@pytest.mark.parametrize("options", [["--dead"], ["2"], ["--since", "1h"], ["--dead", "--service", "bad"], ["--service", "bad"]])
def test_redeliver_sends_again(done, oberon, broker_file, woken, options):
    broker_file("breaker", "class Breaker(BaseBroker):\n    def handle(self, payload):\n        return 'mended'\n")
    ran = oberon("redeliver", *options, "--state-dir", done.state_dir)
    assert ran.code == 0
    assert "due now: 1 delivery; the worker was told" in ran.out
    assert woken == [str(done.state_dir)]
    done.drain()
    bad = listed(oberon("deliveries", "--json", "--state-dir", done.state_dir))["bad"]
    assert (bad["state"], bad["note"], bad["attempts"], bad["repeats"]) == ("delivered", "mended", 2, 1)


def test_redeliver_of_what_was_delivered_needs_its_number(done, oberon, woken):
    assert (
        oberon("redeliver", "--since", "1h", "--service", "good", "--state-dir", done.state_dir).out == "nothing to send again\n"
    )
    assert woken == []
    assert oberon("redeliver", "1", "--json", "--state-dir", done.state_dir).json() == {
        "deliveries": [1],
        "pushes": [],
        "refused": {},
        "parked": {},
        "worker": "woken",
    }


def test_redeliver_tells_which_it_could_not(done, oberon, woken):
    ran = oberon("redeliver", "2", "99", "--state-dir", done.state_dir)
    assert ran.code == 1
    assert "99: there is no such delivery" in ran.out
    event = listed(oberon("deliveries", "--json", "--state-dir", done.state_dir))["good"]["event"]
    ran = oberon("redeliver", event, "--state-dir", done.state_dir)
    assert ran.code == 1
    assert "name its deliveries, 1, 2, 3" in ran.out


def test_redeliver_one_that_is_under_way(git_repo, oberon, woken):
    git_repo.record()
    git_repo.drain()
    with Outbox.open(str(git_repo.state_dir), time.time) as outbox:
        outbox.redeliver(1)
        assert outbox.claim_delivery(60.0, 4) is not None
    ran = oberon("redeliver", "1", "--state-dir", git_repo.state_dir)
    assert ran.code == 1
    assert "a worker is delivering it now" in ran.out


@pytest.mark.parametrize("arguments", [[], ["1", "--dead"], ["one"], ["1", "--service", "x"], ["--since", "soon"]])
def test_redeliver_used_wrongly(done, oberon, arguments):
    assert oberon("redeliver", *arguments, "--state-dir", done.state_dir).code == 2


def test_redeliver_takes_numbers_or_a_choice_and_says_so(done, oberon):
    assert "one or the other" in oberon("redeliver", "--dead", "1", "--state-dir", done.state_dir).err
    assert "no delivery is named; name their numbers" in oberon("redeliver", "--state-dir", done.state_dir).err
