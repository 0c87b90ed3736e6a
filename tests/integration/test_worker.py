"""The worker as a process of its own, over a spool that real hooks have filled."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from brokers.cli.sources import by_scm
from brokers.delivery import spool, statedir, wake
from brokers.delivery.outbox import Outbox
from brokers.delivery.scheduler import Limits
from brokers.delivery.worker import Worker, WorkerRunning
from brokers.secrets import resolver
from brokers.testing import Receiver
from payload.push import Event
from tests.support.hooked import SCRIPTS, broker_folder, git_settings

RECORDING = """
import os, time
from brokers import BaseBroker


def note(payload, word):
    with open(payload["service"]["file"], "a") as file:
        file.write(f"{word} {payload['oberon']['sequence']} {os.getpid()}\\n")


class Record(BaseBroker):
    def handle(self, payload):
        note(payload, "had")


class Slow(BaseBroker):
    def handle(self, payload):
        note(payload, "began")
        time.sleep(1.5)
        note(payload, "ended")


class Poison(BaseBroker):
    def handle(self, payload):
        note(payload, "died")
        os._exit(9)
"""


@pytest.fixture
def server(git_server, state_dir, tmp_path):
    server = git_server("team/app.git")
    git_settings(server, state_dir, brokerPath=str(broker_folder(tmp_path, RECORDING)))
    return server


@pytest.fixture
def file(tmp_path):
    return tmp_path / "recorded"


def service(server, broker, file, name="own", **settings):
    for key, value in {"broker": broker, "file": str(file), **settings}.items():
        server.config(f"service.{name}.{key}", value)


def recorded(file):
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def push_event(server, state_dir, number):
    """An event as the hook writes it, for a commit that is really there; its id."""
    clone_path = server.path.parent / "clone"
    clone = server.clone() if not clone_path.exists() else push_event.clone
    push_event.clone = clone
    node = clone.commit({"file": str(number)})
    clone.push()
    event = Event(spool.new_id(), "git", str(server.path), time.time(), "ann", "local", refs=(), environment={})
    record = {**event.to_record(), "refs": [["0" * 40 if number == 1 else clone.node("HEAD~1"), node, "refs/heads/main"]]}
    statedir.prepare(str(state_dir))
    spool.write(str(state_dir), record)
    return event.id


def run_worker(state_dir, *options, **extra):
    return subprocess.Popen(
        [SCRIPTS / "oberon", "run", "--state-dir", state_dir, *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **extra,
    )  # fmt: skip


def drained_a_minute_apart(state_dir, times):
    """Exit codes of so many workers, one after another; what each left under way has waited long enough for the next."""
    ends = []
    for _ in range(times):
        worker = run_worker(state_dir, "--drain")
        worker.communicate(timeout=30)
        ends.append(worker.returncode)
        with Outbox.open(str(state_dir), lambda: time.time() - 60) as outbox:
            outbox.end_leases_of_workers()
    return ends


def until(condition, timeout_s=15.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def test_drain_delivers_what_is_due_and_ends(server, state_dir, file):
    service(server, "record", file)
    for number in (1, 2, 3):
        push_event(server, state_dir, number)
    worker = run_worker(state_dir, "--drain")
    said, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert sorted(line.split()[1] for line in file.read_text().splitlines()) == ["1", "2", "3"]
    assert "delivered 3, waiting 0, dead 0" in said
    assert spool.waiting(str(state_dir)) == []


def test_the_same_event_twice_is_delivered_once(server, state_dir, file):
    service(server, "record", file)
    push_event(server, state_dir, 1)
    (path,) = spool.waiting(str(state_dir))
    copy = Path(path).read_bytes()
    run_worker(state_dir, "--drain").communicate(timeout=30)
    Path(path).write_bytes(copy)
    run_worker(state_dir, "--drain").communicate(timeout=30)
    assert recorded(file) == ["had"]


def test_a_second_worker_says_that_there_is_one(server, state_dir, file):
    statedir.prepare(str(state_dir))
    first = run_worker(state_dir)
    until((state_dir / wake.SOCKET).exists)
    second = run_worker(state_dir)
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"another worker runs for {state_dir}" in said
    third = run_worker(state_dir, "--leave-when-idle")
    said, _ = third.communicate(timeout=30)
    assert (third.returncode, said) == (0, "")
    first.terminate()
    first.communicate(timeout=30)


def test_a_datagram_wakes_it_at_once(server, state_dir, file):
    service(server, "record", file)
    statedir.prepare(str(state_dir))
    worker = run_worker(state_dir)
    until((state_dir / wake.SOCKET).exists)
    time.sleep(0.3)
    push_event(server, state_dir, 1)
    began = time.monotonic()
    assert wake.wake(str(state_dir), os.environ) == "woken"
    until(lambda: recorded(file) == ["had"])
    assert time.monotonic() - began < 3, "the scan alone takes 5 s"
    worker.terminate()
    worker.communicate(timeout=30)


def test_sigterm_lets_an_attempt_come_to_its_end(server, state_dir, file):
    service(server, "slow", file)
    push_event(server, state_dir, 1)
    worker = run_worker(state_dir)
    until(lambda: recorded(file) == ["began"])
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert recorded(file) == ["began", "ended"]
    with Outbox.open(str(state_dir), time.time) as outbox:
        assert [row["state"] for row in outbox.ask("count_deliveries")] == ["delivered"]


def test_a_payload_that_kills_the_worker_is_counted_and_does_not_stop_the_others(server, state_dir, file):
    service(server, "poison", file, "bad")
    service(server, "record", file, "good")
    server.config("oberon.workers", "1")
    push_event(server, state_dir, 1)
    killed = run_worker(state_dir, "--threads", "1")
    killed.communicate(timeout=30)
    assert killed.returncode == 9
    run_worker(state_dir, "--drain", "--threads", "1").communicate(timeout=30)
    assert recorded(file) == ["died", "had", "died"], "what may have killed the worker comes after the others"
    with Outbox.open(str(state_dir), lambda: time.time() + 120) as outbox:
        assert outbox.claim_delivery(60, 4).attempts == 3, "the attempts that killed it were counted when they were claimed"


def test_a_file_that_is_no_event_is_set_aside_and_the_rest_goes_on(server, state_dir, file):
    service(server, "record", file)
    push_event(server, state_dir, 1)
    new = state_dir / "spool" / "new"
    (new / "torn").write_bytes(b"oberon-event 1 500 abc\n{")
    os.mkfifo(new / "pipe")
    (new / "link").symlink_to("/etc/passwd")
    (new / "folder").mkdir()
    run_worker(state_dir, "--drain").communicate(timeout=30)
    assert recorded(file) == ["had"]
    assert sorted(path.name.split(".")[0] for path in (state_dir / "spool" / "bad").iterdir()) == [
        "folder",
        "link",
        "pipe",
        "torn",
    ]
    assert spool.waiting(str(state_dir)) == []


def test_a_repository_that_is_gone_is_tried_again_and_told(server, state_dir, file):
    service(server, "record", file)
    event = push_event(server, state_dir, 1)
    server.path.rename(server.path.with_name("away.git"))
    run_worker(state_dir, "--drain").communicate(timeout=30)
    with Outbox.open(str(state_dir), time.time) as outbox:
        (row,) = outbox.ask("show_event", id=event)
        assert (row["state"], row["attempts"]) == ("waiting", 1)
        assert "app.git" in row["reason"]
        outbox.reread(event)
    server.path.with_name("away.git").rename(server.path)
    run_worker(state_dir, "--drain").communicate(timeout=30)
    assert recorded(file) == ["had"]


def test_a_dead_endpoint_does_not_hold_up_another(server, state_dir):
    with Receiver() as slow, Receiver() as quick:
        slow.answer(delay_s=20, times=None)
        server.config("oberon.perHost", "2")
        for name, receiver in (("slow", slow), ("quick", quick)):
            service(server, "post", "", name, url=receiver.url)
            server.config(f"service.{name}.file")
        for number in range(1, 7):
            push_event(server, state_dir, number)
        worker = run_worker(state_dir, "--threads", "6")
        quick.wait(6, 15)
        assert len(slow.requests) <= 4, "perHost is 4 unless git's global configuration says otherwise"
        worker.kill()
        worker.communicate(timeout=30)


def in_process(state_dir, **limits):
    return Worker(str(state_dir), by_scm(), resolver({}), Limits(**limits))


def test_it_leaves_when_nothing_waits(state_dir):
    began = time.monotonic()
    in_process(state_dir, idle_s=0.3).run()
    assert 0.3 <= time.monotonic() - began < 3


def test_it_stays_while_a_retry_waits(server, state_dir, file):
    service(server, "poison", file)
    server.config("service.own.broker", "nosuch")
    server.config("oberon.retry", "1h")
    push_event(server, state_dir, 1)
    worker = in_process(state_dir, idle_s=0.1)
    thread = threading.Thread(target=worker.run)
    thread.start()
    time.sleep(1.5)
    assert thread.is_alive()
    worker.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_an_event_written_while_it_leaves_is_not_left_lying(server, state_dir, file, monkeypatch):
    """A hook that looked while the lock was still held started no worker."""
    service(server, "record", file)
    statedir.prepare(str(state_dir))
    worker = in_process(state_dir, idle_s=0.1)
    real = Outbox.close
    closed = []

    def closing(outbox):
        if not closed:
            closed.append(push_event(server, state_dir, 1))
        real(outbox)

    monkeypatch.setattr(Outbox, "close", closing)
    worker.run()
    assert recorded(file) == ["had"]


def test_one_lock_for_one_state_directory(state_dir):
    first = in_process(state_dir, idle_s=2.0)
    thread = threading.Thread(target=first.run)
    thread.start()
    until((state_dir / wake.SOCKET).exists)
    with pytest.raises(WorkerRunning):
        in_process(state_dir).run()
    assert int((state_dir / wake.LOCK).read_text()) == os.getpid()
    first.stop()
    thread.join(10)


def test_ordered_deliveries_keep_their_order(server, state_dir, file):
    service(server, "record", file, ordered="true")
    for number in range(1, 8):
        push_event(server, state_dir, number)
    run_worker(state_dir, "--drain").communicate(timeout=30)
    assert [int(line.split()[1]) for line in file.read_text().splitlines()] == list(range(1, 8))


def test_the_record_has_what_was_said(server, state_dir, receiver):
    receiver.answer(503, body=b"come back later")
    service(server, "post", "", url=receiver.url.replace("http://", "http://user:pa55word@"))
    server.config("service.own.file")
    server.config("oberon.retry", "0.1s")
    push_event(server, state_dir, 1)
    run_worker(state_dir, "--drain").communicate(timeout=30)
    time.sleep(0.2)
    run_worker(state_dir, "--drain").communicate(timeout=30)
    with Outbox.open(str(state_dir), time.time) as outbox:
        first, second = outbox.ask("attempts_of", id=1)
    exchange = json.loads(first["details"])["exchanges"][0]
    assert (first["outcome"], second["outcome"]) == ("retry", "delivered")
    assert exchange["status"] == 503
    assert "come back later" in exchange["response"]
    assert exchange["request"].startswith("POST / HTTP/1.1")
    assert "payload=" in exchange["request"]
    assert "pa55word" not in first["details"]
    assert receiver.requests[0].headers["Authorization"].startswith("Basic ")


def test_a_file_that_cannot_be_read_now_holds_up_no_other(server, state_dir, file, monkeypatch):
    service(server, "record", file)
    stuck = push_event(server, state_dir, 1)
    push_event(server, state_dir, 2)
    real = spool.load

    def load(path, **options):
        if path.endswith(stuck):
            raise OSError(24, "Too many open files", path)
        return real(path, **options)

    monkeypatch.setattr(spool, "load", load)
    in_process(state_dir).run(drain=True)
    assert recorded(file) == ["had"]
    assert [Path(path).name for path in spool.waiting(str(state_dir))] == [stuck], "and it is not lost"


def test_files_that_are_stuck_take_no_turn_from_fresh_ones(server, state_dir, file, monkeypatch):
    service(server, "record", file)
    monkeypatch.setattr("brokers.delivery.intake.FILES_AT_A_TIME", 2)
    stuck = [push_event(server, state_dir, number) for number in (1, 2, 3)]
    for number in range(4, 9):
        push_event(server, state_dir, number)
    real = spool.load

    def load(path, **options):
        if Path(path).name in stuck:
            raise OSError(24, "Too many open files", path)
        return real(path, **options)

    monkeypatch.setattr(spool, "load", load)
    in_process(state_dir).run(drain=True)
    assert recorded(file) == ["had"] * 5
    assert sorted(Path(path).name for path in spool.waiting(str(state_dir))) == sorted(stuck), "and they are not lost"


def test_what_is_odd_in_one_delivery_ends_neither_the_worker_nor_the_others(server, state_dir, file, tmp_path):
    folder = broker_folder(
        tmp_path,
        RECORDING
        + """

class Odd(BaseBroker):
    def handle(self, payload):
        from brokers import RetryLater
        raise RetryLater("no", after_s="60")


class Mute(Exception):
    def __str__(self):
        raise ValueError("no words")


class Silent(BaseBroker):
    def handle(self, payload):
        raise Mute
""",
    )
    assert folder.exists()
    service(server, "odd", file, "odd")
    service(server, "silent", file, "silent")
    service(server, "record", file, "good")
    server.config("oberon.retry", "1h")
    with (server.path / "config").open("ab") as config:
        config.write(b'[service "caf\xe9"]\n\tbroker = caf\xe9\n')
    push_event(server, state_dir, 1)
    worker = run_worker(state_dir, "--drain")
    said, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0, said
    assert recorded(file) == ["had"]
    with Outbox.open(str(state_dir), time.time) as outbox:
        rows = {row["service"]: row["state"] for row in outbox.ask("deliveries_of", id=_first_event(outbox))}
    assert rows == {"odd": "waiting", "silent": "waiting", "good": "delivered", "caf\ufffd": "waiting"}


def test_a_repository_path_of_any_bytes_may_vanish_between_attempts(git_server, state_dir, tmp_path):
    server = git_server(os.fsdecode(b"caf\xe9.git"))
    git_settings(server, state_dir)
    for key, value in {"broker": "post", "url": "http://127.0.0.1:9/"}.items():
        server.config(f"service.ci.{key}", value)
    server.config("oberon.retry", "0.1s 0.1s")
    clone = server.clone("plain")
    node = clone.commit({"a": "b"})
    clone.push()
    statedir.prepare(str(state_dir))
    event = Event(spool.new_id(), "git", str(server.path), time.time(), "ann", "local")
    spool.write(str(state_dir), {**event.to_record(), "refs": [["0" * 40, node, "refs/heads/main"]]})
    in_process(state_dir).run(drain=True)
    server.path.rename(tmp_path / "gone")
    time.sleep(0.3)
    in_process(state_dir).run(drain=True)
    with Outbox.open(str(state_dir), time.time) as outbox:
        assert "no such repository" in outbox.ask("deliveries_of", id=event.id)[0]["reason"]


def test_trouble_of_the_machine_is_waited_out(server, state_dir, file, monkeypatch):
    """A database that another process holds for longer than the time-out."""
    service(server, "record", file)
    push_event(server, state_dir, 1)
    monkeypatch.setattr("brokers.delivery.scheduler.SCAN_S", 0.2)
    monkeypatch.setattr(Outbox.open.__func__, "__kwdefaults__", {"busy_timeout_s": 0.2})
    with Outbox.open(str(state_dir), time.time) as holder:
        worker = in_process(state_dir, idle_s=0.3)
        thread = threading.Thread(target=worker.run)
        with holder.write():
            thread.start()
            time.sleep(1.0)
            assert thread.is_alive()
            assert recorded(file) == []
        thread.join(15)
    assert recorded(file) == ["had"]


def test_a_payload_that_kills_the_worker_each_time_ends_as_dead(server, state_dir, file):
    service(server, "poison", file)
    server.config("oberon.retry", "0.1s")
    push_event(server, state_dir, 1)
    ends = drained_a_minute_apart(state_dir, 4)
    assert ends == [9, 9, 0, 0]
    with Outbox.open(str(state_dir), time.time) as outbox:
        (row,) = outbox.ask("show_delivery", id=1)
    assert (row["state"], row["reason"]) == ("dead", "given up: the worker ended during each attempt")


def test_what_stood_beside_a_payload_that_kills_is_delivered_all_the_same(server, state_dir, file):
    server.config("oberon.retry", "0.1s")
    service(server, "slow", file, "a")
    service(server, "poison", file, "b")
    service(server, "slow", file, "c")
    push_event(server, state_dir, 1)
    ends = drained_a_minute_apart(state_dir, 5)
    with Outbox.open(str(state_dir), time.time) as outbox:
        states = {row["service"]: row["state"] for row in outbox.ask("deliveries_of", id=_first_event(outbox))}
    assert states == {"a": "delivered", "b": "dead", "c": "delivered"}
    assert ends[:2] == [9, 9]
    assert ends[-1] == 0


def test_what_a_worker_was_killed_with_has_its_turn_while_there_are_pushes_to_read(server, state_dir, file, monkeypatch):
    service(server, "record", file)
    push_event(server, state_dir, 1)
    in_process(state_dir).run(drain=True)
    with Outbox.open(str(state_dir), time.time) as outbox:
        outbox.redeliver(1)
        outbox.claim_delivery(60, 4)  # and then it was killed
    file.unlink()
    for number in range(2, 8):
        push_event(server, state_dir, number)
    real = Outbox.expand

    def expand(outbox, *arguments, **options):
        with file.open("a") as noted:
            noted.write("read\n")
        return real(outbox, *arguments, **options)

    monkeypatch.setattr(Outbox, "expand", expand)
    in_process(state_dir, workers=2).run(drain=True)
    lines = file.read_text().splitlines()
    assert sum(line.startswith("had ") for line in lines) == 7
    first = next(place for place, line in enumerate(lines) if line.startswith("had 1 "))
    assert lines[first:].count("read") >= 4, "all the others had been read before it"


def test_when_too_many_brokers_never_end_the_worker_begins_anew(server, state_dir, file, tmp_path):
    broker_folder(tmp_path, RECORDING.replace("time.sleep(1.5)", "time.sleep(600)"))
    service(server, "slow", file, "stuck", timeout="0.1s")
    for number in range(1, 6):  # a time-out is not tried again within a minute
        push_event(server, state_dir, number)
    worker = run_worker(state_dir, "--threads", "1")
    until(lambda: recorded(file).count("began") >= 5)
    service(server, "record", file, "good")
    push_event(server, state_dir, 6)
    until(lambda: "had" in recorded(file), 25)
    assert worker.poll() is None, "it is the same process still"
    worker.terminate()
    said, _ = worker.communicate(timeout=30)
    assert "beginning anew" in said


def test_it_rests_while_a_retry_waits(server, state_dir, file):
    """With its idle time over and something waiting, it may not turn round and round."""
    service(server, "nosuch", file)
    server.config("oberon.retry", "1h")
    push_event(server, state_dir, 1)
    worker = run_worker(state_dir, "--leave-when-idle")
    with Outbox.open(str(state_dir), time.time) as outbox:
        until(lambda: [row["state"] for row in outbox.ask("deliveries_of", id=_first_event(outbox))] == ["waiting"])
    before_s = _cpu_s(worker.pid)
    time.sleep(2)
    assert _cpu_s(worker.pid) - before_s < 0.1
    worker.kill()
    worker.communicate(timeout=30)


def _first_event(outbox):
    rows = outbox.ask("list_deliveries", repository=None, service=None, state=None, failed=False, since=None, most=1)
    return rows[0]["event"] if rows else ""


def _cpu_s(number):
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
