from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import sys
import threading

import pytest

from brokers.transport import deadline
from brokers.transport.deadline import Watchdog
from tests.unit.brokers.transport.conftest import ending_by


def test_lookups_that_hang_are_counted_and_those_that_end_make_room(monkeypatch, black_hole):
    monkeypatch.setattr(deadline, "_lookups", threading.BoundedSemaphore(2))
    for name in ("a", "b", "c"):
        with ending_by(0.1), pytest.raises(TimeoutError):
            deadline.lookup(name, 80, 0.1)
    assert black_hole.asked == ["a", "b"]  # for the third there was no thread
    black_hole.answers.set()
    with pytest.raises(socket.gaierror):
        deadline.lookup("d", 80, 5)


def test_a_lookup_that_waited_for_its_turn_has_what_is_left_of_its_time(monkeypatch, black_hole):
    turns = threading.BoundedSemaphore(1)
    monkeypatch.setattr(deadline, "_lookups", turns)
    turns.acquire()
    threading.Timer(0.2, turns.release).start()
    with ending_by(0.3), pytest.raises(TimeoutError, match="did not answer"):
        deadline.lookup("slow", 80, 0.3)


def test_a_lookup_without_a_thread_takes_no_turn(monkeypatch):
    monkeypatch.setattr(deadline, "_lookups", threading.BoundedSemaphore(1))

    def start(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            deadline.lookup("localhost", 80, 1)
    assert deadline.lookup("localhost", 80, 1)


@pytest.mark.parametrize(("host", "found"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("fe80::1%lo", "fe80::1")])
def test_the_lookup_of_an_address_takes_no_thread_and_no_time(monkeypatch, host, found):
    monkeypatch.setattr(deadline, "_lookups", threading.BoundedSemaphore(1))
    deadline._lookups.acquire()
    [(_, address)] = deadline.lookup(host, 80, 0.0)
    assert address[:2] == (found, 80)


def watchdogs() -> int:
    return sum(thread.name == "oberon-watchdog" for thread in threading.enumerate())


def test_one_thread_serves_all_watchdogs():
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(Watchdog(30))
        assert watchdogs() == 1


def test_alarms_go_off_in_their_order_and_cancelled_ones_not_at_all():
    gone_off: list[int] = []
    last = threading.Event()
    deadline.alarm(0.15, last.set)
    for number in (3, 1, 2, 0):  # the earlier one comes later: the thread has to wait anew
        deadline.alarm(number * 0.03, functools.partial(gone_off.append, number))
    deadline.alarm(0.05, functools.partial(gone_off.append, 9)).cancel()
    assert last.wait(3)
    assert gone_off == [0, 1, 2, 3]


def test_a_cancelled_alarm_may_be_cancelled_again_and_after_it_went_off():
    off = threading.Event()
    done = deadline.alarm(0, off.set)
    assert off.wait(3)
    for _ in range(1000):
        done.cancel()
    again = threading.Event()
    deadline.alarm(0.01, again.set)
    assert again.wait(3)


def test_cancelled_alarms_do_not_pile_up():
    left = [deadline.alarm(600, print) for _ in range(10)]
    for _ in range(10_000):
        deadline.alarm(600, print).cancel()
    assert len(deadline._clock._rows) < 200
    assert {row[2] for row in deadline._clock._rows} >= set(left)
    for one in left:
        one.cancel()


def test_an_alarm_that_fails_is_told_and_stops_no_other(monkeypatch):
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    after = threading.Event()
    deadline.alarm(0, functools.partial(int, "x"))
    deadline.alarm(0.01, after.set)
    assert after.wait(3)
    assert told == [ValueError]


def test_an_alarm_for_a_time_beyond_all_harms_no_other():
    never, soon = deadline.alarm(float("inf"), print), threading.Event()
    far = deadline.alarm(1e30, print)
    deadline.alarm(0.01, soon.set)
    assert soon.wait(3)
    never.cancel()
    far.cancel()


def test_what_is_watched_too_late_is_shut_at_once():
    with Watchdog(0) as watchdog:
        near, far = socket.socketpair()
        with near, far:
            off = threading.Event()
            deadline.alarm(0.01, off.set)  # after the watchdog's
            assert off.wait(3)
            assert watchdog.fired
            watchdog.watch(near)
            assert far.recv(1) == b""


FORKING = """
import os, socket, time
from brokers.transport import deadline

near, far = socket.socketpair()
with deadline.Watchdog(0.1) as watchdog:
    watchdog.watch(near)
    child = os.fork()
    if child == 0:
        deadline.alarm(0.3, lambda: os._exit(0))
        time.sleep(10)
        os._exit(1)
assert os.waitpid(child, 0)[1] == 0
near.sendall(b"still there")
"""


def test_a_forked_child_shuts_nothing_of_its_parent_s():
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING], check=True, timeout=20)
