"""Pushes that take long to read: a real worker, over a real repository whose reading waits for the test."""

import logging
import threading
import time

import pytest

from brokers.cli.sources import GitSource
from brokers.delivery import readings, record, scheduler, spool, statedir
from brokers.delivery.outbox import Outbox
from brokers.delivery.scheduler import Limits
from brokers.delivery.worker import Worker
from brokers.errors import BrokerError
from payload.push import Event, RefUpdate

DEADLINE_S = 15.0


class Held(GitSource):
    """git's reader, which first does what the test tells it: `work(progress)`."""

    def __init__(self, work):
        super().__init__()
        self.work = work

    def read(self, event, settings, needs, later=(), progress=None):
        self.work(progress)
        return super().read(event, settings, needs, later)


def until(condition):
    end = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
    return found


@pytest.fixture
def server(git_server, state_dir):
    server = git_server("team/app.git")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    clone.push("HEAD:main")
    statedir.prepare(str(state_dir))
    return server


@pytest.fixture
def push(server, state_dir):
    def write():
        refs = (RefUpdate("refs/heads/main", "0" * 40, server.node("main")),)
        event = Event(spool.new_id(), "git", str(server.path), time.time(), "ann", "local", refs)
        spool.write(str(state_dir), event.to_record())
        return event

    return write


@pytest.fixture
def quick(monkeypatch, caplog):
    """Notes every 20 ms, the log after 50 ms and then every 100 ms."""
    monkeypatch.setattr(readings, "NOTE_EVERY_S", 0.02)
    monkeypatch.setattr(readings, "LOG_AFTER_S", 0.05)
    monkeypatch.setattr(readings, "LOG_EVERY_S", 0.1)
    caplog.set_level(logging.INFO, "oberon.worker")


@pytest.fixture
def outbox(state_dir, server):
    with Outbox.open(str(state_dir), time.time) as opened:
        yield opened


@pytest.fixture
def working(state_dir, outbox, monkeypatch):
    """working(work, **limits): a worker in a thread, whose readings do `work` first; it is stopped after the test."""
    monkeypatch.setattr(scheduler, "STOP_S", 0.2)
    started = []

    def start(work, **limits):
        worker = Worker(str(state_dir), {"git": Held(work)}, str, Limits(**limits))
        thread = threading.Thread(target=worker.run)
        started.append((worker, thread))
        thread.start()
        return worker

    def stop():
        while started:
            worker, thread = started.pop()
            worker.stop()
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    start.stop = stop
    yield start
    stop()


def shown(outbox, *, worker=True, now=None):
    """What `oberon status` would show: (repository, event, commits read, commits to read) each."""
    found = record.readings(outbox, worker=worker, now=time.time() if now is None else now)
    return [(one.repository, one.event, one.commits_read, one.commits_total) for one in found]


def state_of(outbox, event):
    rows = outbox.ask("show_event", id=event.id)
    return (rows[0]["state"], rows[0]["reason"]) if rows else None


def test_how_far_a_long_reading_is_is_logged_and_shown_to_other_processes(server, push, outbox, working, quick, caplog):
    told, more, done = threading.Event(), threading.Event(), threading.Event()

    def work(progress):
        assert told.wait(DEADLINE_S)
        progress(0, 60_000)
        progress(12_000, 60_000)
        assert more.wait(DEADLINE_S)
        progress(60_000, 60_000)
        assert done.wait(DEADLINE_S)

    event = push()
    began = time.time()
    working(work)
    place = (str(server.path), event.id)
    until(lambda: shown(outbox) == [(*place, 0, None)])
    until(lambda: f"reading {server.path}, event {event.id}: finding its new commits, 0 s" in caplog.text)
    told.set()
    until(lambda: shown(outbox) == [(*place, 12_000, 60_000)])
    until(lambda: f"reading {server.path}, event {event.id}: 12,000 of 60,000 commits, " in caplog.text)
    assert [began <= one.started_at <= time.time() for one in record.readings(outbox, worker=True, now=time.time())] == [True]
    more.set()
    until(lambda: shown(outbox) == [(*place, 60_000, 60_000)])
    done.set()
    until(lambda: state_of(outbox, event) == ("read", ""))
    assert shown(outbox) == []
    until(lambda: f"read {server.path}, event {event.id}: 60,000 of 60,000 commits, " in caplog.text)


def test_a_short_reading_is_not_told_of(push, outbox, working, caplog):
    caplog.set_level(logging.INFO, "oberon.worker")
    event = push()
    working(lambda progress: progress(0, 1))
    until(lambda: state_of(outbox, event) == ("read", ""))
    assert outbox._connection.execute("SELECT count(*) FROM reading").fetchone()[0] == 0
    assert caplog.text == ""


def test_the_log_has_a_line_now_and_then_and_not_for_each_progress(push, outbox, working, quick, caplog):
    def work(progress):
        began = time.monotonic()
        for number in range(10**9):
            progress(number, 10**9)
            time.sleep(0.001)
            if time.monotonic() - began > 1:
                return

    event = push()
    working(work)
    until(lambda: state_of(outbox, event) == ("read", ""))
    lines = [entry.message for entry in caplog.records if entry.message.startswith("reading ")]
    assert 3 <= len(lines) <= 10


def test_a_reading_that_fails_is_shown_no_more(push, outbox, working, quick):
    fail = threading.Event()

    def work(progress):
        progress(1, 2)
        assert fail.wait(DEADLINE_S)
        raise ValueError("broken")

    event = push()
    working(work)
    until(lambda: shown(outbox))
    fail.set()
    until(lambda: state_of(outbox, event) == ("waiting", "fault in Oberon: ValueError: broken"))
    assert shown(outbox) == []


def test_a_reading_that_a_stopped_worker_gives_back_is_shown_no_more(push, outbox, working, quick):
    go_on = threading.Event()
    event = push()
    working(lambda progress: (progress(1, 2), go_on.wait(DEADLINE_S)))
    until(lambda: shown(outbox))
    working.stop()
    go_on.set()
    assert state_of(outbox, event) == ("waiting", "")
    assert shown(outbox) == []


def test_a_long_reading_that_makes_progress_is_not_given_up(push, outbox, working, monkeypatch):
    monkeypatch.setattr(readings, "READ_TIMEOUT_S", 0.5)

    def work(progress):
        for number in range(15):
            progress(number, 15)
            time.sleep(0.1)

    event = push()
    working(work)
    until(lambda: state_of(outbox, event) not in (None, ("waiting", ""), ("leased", "")))
    assert state_of(outbox, event) == ("read", "")


def test_a_reading_without_progress_is_given_up_and_ends_at_its_next_word(push, outbox, working, monkeypatch):
    monkeypatch.setattr(readings, "READ_TIMEOUT_S", 0.5)
    ended = threading.Event()

    def work(progress):
        progress(0, 15)
        try:
            while True:
                progress(7, 15)  # the same again is no progress
                time.sleep(0.05)
        finally:
            ended.set()

    event = push()
    working(work)
    until(lambda: state_of(outbox, event) == ("waiting", "no progress for 0.5 s: 7 of 15 commits"))
    assert ended.wait(DEADLINE_S)


def damaged(_):
    raise BrokerError("the repository is damaged")


def test_a_repository_whose_first_push_cannot_be_read_has_its_alert(server, push, outbox, working, receiver, monkeypatch):
    monkeypatch.setattr(readings, "EVENT_RETRY_S", ())
    for key, value in {"oberon.alert": "ops", "service.ops.broker": "post", "service.ops.url": receiver.url}.items():
        server.config(key, value)
    event = push()
    working(damaged)
    [alert] = [request.payload() for request in receiver.wait(1, DEADLINE_S)]
    assert (alert["user"], alert["repository"]["name"], alert["commits"]) == ("oberon", "app", [])
    assert state_of(outbox, event) == ("dead", "the repository is damaged")


def test_alerts_are_wanted_as_the_configuration_says_before_a_push_is_read(server, push, outbox, working, monkeypatch):
    monkeypatch.setattr(scheduler, "SCAN_S", 0.1)

    def wanted():
        return bool(outbox.ask("wants_alerts", repository=str(server.path)))

    server.config("oberon.alert", "ops")
    server.config("service.ops.broker", "post")
    held = threading.Event()
    push()
    working(lambda _: held.wait(DEADLINE_S))
    try:
        until(wanted)
        server.config("oberon.alert")
        push()
        until(lambda: not wanted())
    finally:
        held.set()


def test_at_most_half_of_the_threads_read(push, outbox, working):
    go_on, reading = threading.Event(), []

    def work(progress):
        reading.append(None)
        progress(len(reading), 10)
        assert go_on.wait(DEADLINE_S)

    events = [push() for _ in range(4)]
    working(work, workers=4)
    until(lambda: len(reading) == 2)
    time.sleep(0.5)
    assert len(reading) == 2
    go_on.set()
    until(lambda: all(state_of(outbox, event) == ("read", "") for event in events))


# ------------------------------------------------------------------------------------------------ notes in the outbox alone


@pytest.fixture
def claim(outbox, push):
    outbox.add_event(push())
    return outbox.claim_event(60)


def test_a_killed_worker_s_reading_is_not_shown(outbox, claim):
    outbox.note_reading(claim, 1, 2, 3.0)
    assert shown(outbox) == [(claim.event.path, claim.event.id, 1, 2)]
    assert shown(outbox, worker=False) == [], "nobody reads where no worker runs"
    assert shown(outbox, now=time.time() + 61) == [], "the lease is over"


def test_the_next_worker_begins_without_the_notes_of_a_killed_one(outbox, claim, working):
    outbox.note_reading(claim, 1, 2, 3.0)
    working(lambda _: None)
    until(lambda: shown(outbox) == [])
    until(lambda: state_of(outbox, claim.event) == ("read", ""))


@pytest.mark.parametrize(
    "ended",
    [
        lambda outbox, claim: outbox.expand(claim, {}, []),
        lambda outbox, claim: outbox.fail_event(claim, "gone", None),
        lambda outbox, claim: outbox.fail_event(claim, "not now", time.time() + 5),
        lambda outbox, claim: outbox.release(claim),
    ],
    ids=["read", "dead", "failed", "given back"],
)
def test_a_note_ends_with_the_lease(outbox, claim, ended):
    outbox.note_reading(claim, 1, 2, 3.0)
    outbox.renew([claim], 60)
    assert len(shown(outbox)) == 1
    ended(outbox, claim)
    assert outbox._connection.execute("SELECT count(*) FROM reading").fetchone()[0] == 0
    assert not outbox.note_reading(claim, 2, 2, 4.0), "nor is it noted again"
    assert shown(outbox) == []


def test_a_note_ends_when_another_takes_the_reading_over(state_dir, outbox, claim):
    outbox.note_reading(claim, 1, 2, 3.0)
    with Outbox.open(str(state_dir), lambda: time.time() + 61) as later:
        taken = later.claim_event(60)
        assert taken.event.id == claim.event.id
        assert shown(later, now=time.time() + 61) == []
        assert not outbox.note_reading(claim, 2, 2, 4.0), "it lost its lease"
        assert later.note_reading(taken, 0, None, 0.0)
        assert shown(later, now=time.time() + 61) == [(claim.event.path, claim.event.id, 0, None)]
