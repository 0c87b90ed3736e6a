from __future__ import annotations

import socket
import threading

import pytest

from brokers.transport import deadline
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
            deadline.lookup("127.0.0.1", 80, 1)
    assert deadline.lookup("127.0.0.1", 80, 1)
