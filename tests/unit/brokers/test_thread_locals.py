"""get_local's instances: one for each thread, broker class and name, closed once when thread or class ends."""

import logging
import threading

import pytest

from brokers import BaseBroker, registry, thread_locals
from brokers.delivery.pool import Pool
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_versions", {})


def a_broker(name="Local", version="1"):
    return type(BaseBroker)(name, (BaseBroker,), {"handle": lambda self, payload: None, "version": version})


class Session:
    def __init__(self, closed, name="session"):
        self.closed = closed
        self.name = name

    def close(self):
        self.closed.append((self.name, threading.get_ident()))


class Stubborn(Session):
    def close(self):
        super().close()
        raise SystemExit("not today")


class Unspeakable(Session):
    def close(self):
        raise UnspeakableError


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError("it cannot be told")


class ClosesWithArguments(Session):
    def close(self, how):
        raise AssertionError("called")


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return thread.ident


def test_two_brokers_that_use_one_name_have_instances_of_their_own():
    brokers = [a_broker("One"), a_broker("Other"), a_broker("One", "2"), a_broker("One")]
    made = [broker().get_local("opener", object) for broker in brokers]
    assert len({id(each) for each in made}) == 4
    assert [broker().get_local("opener", object) for broker in brokers] == made


def test_what_a_thread_kept_is_closed_by_it_when_it_ends():
    closed = []
    broker = a_broker()

    def work():
        for name in ("first", "second"):
            broker().get_local(name, lambda name=name: Session(closed, name))
        broker().get_local("number", lambda: 5)
        assert closed == []

    ident = in_a_thread(work)
    assert closed == [("second", ident), ("first", ident)]


def test_what_a_thread_of_the_pool_kept_is_closed_by_it_while_it_is_still_known():
    closed = []
    broker = a_broker()

    class Named(Session):
        def close(self):
            closed.append(threading.current_thread().name)

    pool = Pool(2)
    for number in range(2):
        pool.submit(number, lambda _: broker().get_local("session", lambda: Named(closed)), 10.0)
    until(lambda: len(pool.collect()) == 0 and not pool.under_way)
    pool.close()
    until(lambda: closed)
    assert set(closed) == {"oberon-pool"}


def test_what_all_threads_kept_for_a_version_is_closed_when_it_ends_and_nothing_else_is():
    closed = []
    old, new = a_broker(version="1"), a_broker(version="2")
    ready, over = threading.Barrier(4), threading.Event()

    def work():
        for broker in (old, new):
            broker().get_local("session", lambda broker=broker: Session(closed, broker.version))
        ready.wait()
        over.wait()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait()
    thread_locals.end(old)
    until(lambda: len(closed) == 3)
    own = {thread.ident for thread in threads}
    assert {name for name, _ in closed} == {"1"}
    assert {closer for _, closer in closed}.isdisjoint(own)
    thread_locals.end(old)
    over.set()
    for thread in threads:
        thread.join()
    assert {name for name, _ in closed[3:]} == {"2"}
    assert {closer for _, closer in closed[3:]} == own


def test_who_asks_after_the_end_gets_a_new_instance_that_is_closed_in_its_turn():
    closed = []
    broker = a_broker()

    def work():
        first = broker().get_local("session", lambda: Session(closed))
        thread_locals.end(broker)
        until(lambda: closed)
        assert broker().get_local("session", lambda: Session(closed, "later")) is not first

    in_a_thread(work)
    assert [name for name, _ in closed] == ["session", "later"]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Stubborn, "SystemExit: not today"),
        (Unspeakable, "<exception str() failed>"),
        (ClosesWithArguments, "missing 1 required positional argument: 'how'"),
    ],
)
@pytest.mark.parametrize("ends", ["the thread", "the version"])
def test_what_closing_raises_is_logged_and_the_others_are_closed(caplog, kind, told, ends):
    closed = []
    broker = a_broker()

    def work():
        broker().get_local("other", lambda: Session(closed, "other"))
        broker().get_local("stubborn", lambda: kind(closed, "stubborn"))
        if ends == "the version":
            thread_locals.end(broker)

    with caplog.at_level(logging.WARNING, "oberon.brokers"):
        in_a_thread(work)
        until(lambda: ("other" in dict(closed)) and caplog.records)
    (record,) = caplog.records
    assert record.getMessage().startswith("closing what the broker local keeps as 'stubborn' failed: ")
    assert told in record.getMessage()
