import math
import os
import time

import pytest

from brokers.delivery.notify import STATUS_EVERY_S, Notifier
from tests.support.service_manager import ServiceManager


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    with ServiceManager(tmp_path if request.param == "path" else None) as manager:
        yield manager


def test_what_it_is_told_is_what_sd_notify_says(manager, clock):
    notifier = Notifier(manager.environment(), clock)
    notifier.ready()
    notifier.stopping()
    notifier.status("3 deliveries wait\nREADY=0 \u202e")
    assert manager.told() == ["READY=1", "STOPPING=1", "STATUS=3 deliveries wait\\x0aREADY=0 \\u202e"]


def test_a_reload_tells_the_time_at_which_it_began(manager, clock):
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(manager.environment(), clock).reloading()
    (said,) = manager.told()
    word, moment = said.split("\n")
    assert word == "RELOADING=1"
    name, _, number = moment.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before_us <= int(number) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_the_watchdog_is_fed_when_half_of_its_time_is_over(manager, clock):
    notifier = Notifier({**manager.environment(30), "WATCHDOG_PID": str(os.getpid())}, clock)
    assert notifier.feed_in_s == 0
    notifier.ready()
    assert manager.told() == ["READY=1", "WATCHDOG=1"]
    assert notifier.feed_in_s == 15
    clock.now += 14.9
    notifier.watchdog()
    assert manager.told() == []
    clock.now += 0.1
    assert notifier.feed_in_s == 0
    notifier.watchdog()
    assert manager.told() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_is_fed_that_is_not_ours(manager, clock, variables):
    notifier = Notifier({**manager.environment(), **variables}, clock)
    notifier.watchdog()
    notifier.allow(600)
    assert manager.told() == []
    assert notifier.feed_in_s == math.inf


def test_what_takes_long_is_allowed_for(manager, clock):
    notifier = Notifier(manager.environment(30), clock)
    notifier.allow(600)
    notifier.allow(None)
    notifier.allow(1)
    assert manager.told() == ["WATCHDOG_USEC=600000000", "WATCHDOG_USEC=30000000", "WATCHDOG_USEC=30000000"]


def test_the_status_is_told_now_and_then_and_only_when_it_changes(manager, clock):
    notifier = Notifier(manager.environment(), clock)
    assert notifier.status_is_due
    notifier.status("idle")
    assert not notifier.status_is_due
    clock.now += STATUS_EVERY_S
    assert notifier.status_is_due
    notifier.status("idle")
    notifier.status("busy")
    assert manager.told() == ["STATUS=idle", "STATUS=busy"]


@pytest.mark.parametrize("named", ["", "vsock:2:9999", "/no/such/socket", "@no-such-socket"])
def test_without_a_manager_that_listens_nothing_happens(named, clock):
    notifier = Notifier({"NOTIFY_SOCKET": named, "WATCHDOG_USEC": "1000000"}, clock)
    for tell in (notifier.ready, notifier.reloading, notifier.watchdog, notifier.stopping):
        tell()
    notifier.status("unheard")
    assert (notifier.feed_in_s == math.inf) == (not named.startswith(("/", "@")))


def test_a_manager_that_does_not_read_holds_up_nobody(manager, clock, monkeypatch):
    monkeypatch.setattr("brokers.delivery.notify.SEND_TIMEOUT_S", 0.05)
    assert manager.is_full()
    began = time.monotonic()
    Notifier(manager.environment(), clock).ready()
    assert 0.05 <= time.monotonic() - began < 5
    assert "READY=1" not in manager.told()
