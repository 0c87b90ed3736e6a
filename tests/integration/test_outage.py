"""A service that is down for a while, or for good: what waits, what goes out, who is told. Real pushes, receivers and mails."""

import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from brokers.cli.sources import by_scm
from brokers.delivery import breaker, control, deliveries, record, scheduler, spool, statedir
from brokers.delivery.outbox import Outbox, OutboxError
from brokers.delivery.pool import Pool
from brokers.delivery.scheduler import Limits, Scheduler
from brokers.delivery.worker import Worker
from brokers.secrets import resolver
from brokers.testing import Receiver
from tests.support.hooked import broker_folder, git_settings, link_hook
from tests.support.waiting import until


@pytest.fixture
def server(git_server, state_dir, tmp_path):
    server = git_server("team/app.git")
    link_hook(server)
    git_settings(server, state_dir, brokerPath=str(broker_folder(tmp_path)), retry="0.1s, 0.1s, 0.1s, 0.1s, 0.1s, 1h")
    return server


@pytest.fixture
def worker(state_dir):
    """One of this process, at work until the test ends; it is there before the first push, whose hook would start another."""
    worker = Worker(str(state_dir), by_scm(), resolver({}), Limits())
    thread = threading.Thread(target=worker.run)
    thread.start()
    until((state_dir / "oberon.sock").exists)
    yield worker
    worker.stop()
    thread.join(20)
    assert not thread.is_alive()


def service(server, name, broker, **settings):
    for key, value in {"broker": broker, **settings}.items():
        server.config(f"service.{name}.{key}", value)


def pushes(clone, count):
    nodes = []
    for number in range(count):
        nodes.append(clone.commit({"file": str(number)}))
        assert clone.push().returncode == 0
    return nodes


def backlog(server, state_dir, node, count):
    """As many pushes in the spool, and no worker awake."""
    statedir.prepare(str(state_dir))
    for _ in range(count):
        refs = [["0" * 40, node, "refs/heads/main"]]
        event = {"version": 1, "id": spool.new_id(), "scm": "git", "path": str(server.path), "time": time.time(), "refs": refs}
        spool.write(str(state_dir), {**event, "login": "ann", "source": "local", "options": [], "environment": {}})


def states(state_dir):
    with Outbox.open(str(state_dir), time.time) as outbox:
        return [delivery.state for delivery in record.deliveries(outbox)]


def test_what_is_pushed_during_an_outage_arrives_after_it(server, state_dir, worker, monkeypatch):
    monkeypatch.setattr(breaker, "FIRST_PROBE_S", 0.5)
    monkeypatch.setattr(breaker, "LONGEST_PROBE_S", 1.0)
    with Receiver() as before:
        port = before.port
    # However slowly the pushes come, no wait of their own is longer than the breaker's.
    service(server, "ci", "post", url=f"http://127.0.0.1:{port}/hook", retry=", ".join(["0.1s"] * 200))
    nodes = pushes(server.clone(), 8)
    until(lambda: states(state_dir) == ["parked"] * 8)
    with Receiver(port=port) as back:
        requests = back.wait(8, 20)
        until(lambda: states(state_dir) == ["delivered"] * 8)
        assert sorted(request.payload()["commits"][0]["raw_node"] for request in requests) == sorted(nodes)
        assert len(back.requests) == 8


def test_what_was_claimed_ahead_for_a_service_that_now_hangs_is_given_back(server, state_dir):
    """No thread begins it, no attempt of it is counted, and whoever else is pushed to notices nothing."""
    with Receiver() as hanging, Receiver() as healthy:
        hanging.answer(200, times=8)
        hanging.answer(200, delay_s=60, times=None)
        service(server, "ci", "post", url=hanging.url, timeout="1s")
        service(server, "chat", "post", url=healthy.url)
        clone = server.clone()
        node = clone.commit({"file": "1"})
        (server.path / "hooks/post-receive").unlink()
        clone.push()
        backlog(server, state_dir, node, 60)
        worker = Worker(str(state_dir), by_scm(), resolver({}), Limits(workers=8, per_host=4))
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            began = time.monotonic()
            healthy.wait(60, 20)
            took_s = time.monotonic() - began
            until(lambda: "parked" in states(state_dir))
            assert states(state_dir).count("leased") <= 4
        finally:
            worker.stop()
            thread.join(20)
        assert not thread.is_alive()
        assert took_s < 5
        with Outbox.open(str(state_dir), time.time) as outbox:
            kept = record.deliveries(outbox)
            assert sum(delivery.attempts for delivery in kept) == sum(len(record.attempts(outbox, one.id)) for one in kept)
        of_ci = Counter((delivery.state, delivery.attempts > 0) for delivery in kept if delivery.service == "ci")
        assert of_ci["delivered", True] == 8
        assert sum(of_ci.values()) == 60
        assert of_ci["waiting", False] + of_ci["parked", False] >= 60 - len(hanging.requests)


@contextmanager
def backlog_read(server, state_dir, count, **limits):
    """A worker that has read as many pushes, and delivers them when the function is called that it gives."""
    clone = server.clone()
    node = clone.commit({"file": "1"})
    (server.path / "hooks/post-receive").unlink()
    clone.push()
    backlog(server, state_dir, node, count)
    worker = Worker(str(state_dir), by_scm(), resolver({}), Limits(**limits))
    thread = threading.Thread(target=worker.run)
    with Outbox.open(str(state_dir), time.time) as outbox:
        names = [one.service for one in worker.configuration("git", str(server.path)).services]
        for name in names:
            control.disable(outbox, name, None, "")
        thread.start()
        try:
            until(lambda: states(state_dir) == ["disabled"] * count * len(names))

            def let_go():
                with outbox.write():
                    for name in names:
                        control.enable(outbox, name, None)
                worker._bell.ring()

            yield let_go
        finally:
            worker.stop()
            thread.join(20)
    assert not thread.is_alive()


def test_what_was_claimed_ahead_is_not_attempted_once_one_has_failed(server, state_dir, receiver, monkeypatch):
    """However long the loop takes to see it: its disk is slow here."""
    exchange = Scheduler._exchange
    monkeypatch.setattr(Scheduler, "_exchange", lambda self: (time.sleep(0.1), exchange(self))[1])
    receiver.answer(200, times=20)
    receiver.answer(503, times=None)
    service(server, "ci", "post", url=receiver.url)
    with backlog_read(server, state_dir, 60, workers=8, per_host=4) as let_go:
        let_go()
        until(lambda: "parked" in states(state_dir))
    assert len(receiver.requests) <= 20 + 3 * 4
    with Outbox.open(str(state_dir), time.time) as outbox:
        assert sum(one.attempts for one in record.deliveries(outbox)) == len(receiver.requests)


class Gate:
    """The body of an answer that ends when it is opened."""

    def __init__(self):
        self.opened = threading.Event()

    def __iter__(self):
        self.opened.wait(60)
        yield b"at last"


def test_what_was_claimed_ahead_for_a_service_is_not_sent_once_that_is_switched_off(server, state_dir, receiver, monkeypatch):
    monkeypatch.setattr(deliveries, "QUICK_S", 1.0)  # even on a slow machine
    monkeypatch.setattr(deliveries, "AHEAD_S", 60.0)
    gate = Gate()
    receiver.answer(times=8)
    receiver.answer(body=gate, times=None)
    service(server, "ci", "post", url=receiver.url)
    with backlog_read(server, state_dir, 60, workers=8, per_host=4) as let_go:
        let_go()
        until(lambda: len(receiver.requests) == 8 + 4)
        with Outbox.open(str(state_dir), time.time) as outbox:
            control.disable(outbox, "ci", None, "")
        until(lambda: states(state_dir).count("leased") == 4)
        gate.opened.set()
        until(lambda: Counter(states(state_dir)) == {"delivered": 12, "disabled": 48})
    assert len(receiver.requests) == 12


def test_what_finds_no_thread_is_given_back_even_where_the_outbox_is_locked_then(server, state_dir, receiver, monkeypatch):
    monkeypatch.setattr(scheduler, "SCAN_S", 0.1)
    service(server, "ci", "post", url=receiver.url)
    refused = []

    def once(error, real):
        def called(*args, **kwargs):
            if error not in refused:
                refused.append(error)
                raise error
            return real(*args, **kwargs)

        return called

    with backlog_read(server, state_dir, 4, workers=8, per_host=4) as let_go:
        monkeypatch.setattr(Outbox, "release", once(OutboxError(str(state_dir), "locked"), Outbox.release))
        monkeypatch.setattr(Pool, "submit", once(RuntimeError("can't start new thread"), Pool.submit))
        let_go()
        until(lambda: states(state_dir) == ["delivered"] * 4)
    assert len(refused) == 2
    with Outbox.open(str(state_dir), time.time) as outbox:
        assert [one.attempts for one in record.deliveries(outbox)] == [1] * 4


def test_a_service_that_says_it_is_gone_is_switched_off_and_the_alert_says_so(server, state_dir, receiver, mailbox, worker):
    receiver.answer(410)
    service(server, "ci", "post", url=receiver.url)
    service(server, "ops", "email", to="ops@example.org", host=mailbox.host, port=str(mailbox.port), refs="!*")
    server.config("oberon.alert", "ops")
    clone = server.clone()
    pushes(clone, 1)
    [mail] = mailbox.wait(1, 20)
    assert mail.message["Subject"].startswith(f"[app] Oberon: ci of {server.path} was switched off: HTTP 410 Gone: ")
    assert mail.message.get_content().splitlines()[-1] == "oberon enable ci"
    pushes(clone, 1)
    until(lambda: "disabled" in states(state_dir))
    assert len(receiver.requests) == 1
    with Outbox.open(str(state_dir), time.time) as outbox:
        assert control.enable(outbox, "ci", str(server.path)) == 1
    worker._bell.ring()
    assert len(receiver.wait(2, 20)) == 2


def test_a_delivery_that_is_given_up_is_told_once_for_all(server, state_dir, mailbox, worker):
    service(server, "chat", "never")
    service(server, "ops", "email", to="ops@example.org", host=mailbox.host, port=str(mailbox.port), refs="!*")
    server.config("oberon.alert", "ops")
    pushes(server.clone(), 3)
    until(lambda: states(state_dir).count("dead") == 3)
    [mail] = mailbox.wait(1, 20)
    assert mail.message["Subject"] == f"[app] Oberon: 1 delivery to chat of {server.path} given up: no such channel"
    with Outbox.open(str(state_dir), time.time) as outbox:
        assert record.last_push(outbox, str(server.path)).sequence == 3, "an alert is no push"
