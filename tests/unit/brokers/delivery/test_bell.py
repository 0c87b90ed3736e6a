import os
import socket
import threading
import time

import pytest

from brokers.delivery import statedir, wake
from brokers.delivery.bell import DEAF_S, Bell


@pytest.fixture
def bell(state_dir):
    statedir.prepare(str(state_dir))
    with Bell(str(state_dir)) as bell:
        yield bell


def waited_s(bell, timeout_s):
    began = time.monotonic()
    bell.wait(timeout_s)
    return time.monotonic() - began


def test_a_datagram_and_a_thread_each_end_the_wait(bell, state_dir):
    assert wake.wake(str(state_dir), os.environ) == "woken"
    assert waited_s(bell, 10) < 5
    bell.ring()
    assert waited_s(bell, 10) < 5
    assert waited_s(bell, 0.02) >= 0.02, "each is heard once"


def test_a_datagram_after_another_is_heard_later_and_a_thread_at_once(bell, state_dir, monkeypatch):
    monkeypatch.setattr("brokers.delivery.bell.DEAF_S", 0.5)
    assert wake.wake(str(state_dir), os.environ) == "woken"
    bell.wait(10)
    began = time.monotonic()
    assert wake.wake(str(state_dir), os.environ) == "woken"
    bell.ring()
    bell.wait(10)
    assert time.monotonic() - began < 0.5
    bell.wait(10)
    assert 0.4 < time.monotonic() - began < 5


def test_who_sends_without_end_turns_the_loop_no_faster(bell, state_dir):
    over = threading.Event()

    def flood():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(0.1)
            while not over.is_set():
                try:
                    channel.sendto(b"", str(state_dir / wake.SOCKET))
                except TimeoutError:
                    continue

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        began, turns = time.monotonic(), 0
        while time.monotonic() - began < 0.5:
            bell.wait(5)
            turns += 1
    finally:
        over.set()
        thread.join()
    assert 1 < turns <= 0.5 / DEAF_S + 3
