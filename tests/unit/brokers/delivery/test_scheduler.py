"""Whose turn it is, as the worker's loop shares out its threads: a real outbox, and a pool whose threads are taken."""

import threading
from dataclasses import replace

import pytest

from brokers.delivery.bell import Bell
from brokers.delivery.claims import NewDelivery
from brokers.delivery.scheduler import Limits, Scheduler
from brokers.delivery.worker import Worker
from payload.push import Event, RefUpdate
from tests.support.waiting import until

THREADS = 8


def enter(outbox, number, service):
    refs = (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    outbox.add_event(Event(f"{number:032x}", "git", "/srv/git/app.git", 1.0, "git", "ssh", refs))
    outbox.expand(outbox.claim_event(60), {"commits": []}, [NewDelivery(service, "post", f"{service}:443")])


@pytest.fixture
def scheduler(outbox, state_dir, clock):
    worker = Worker(str(state_dir), {}, {}.get, Limits(workers=THREADS), clock)
    with Bell(str(state_dir)) as bell:
        yield Scheduler(worker, outbox, bell)


@pytest.fixture
def occupy(outbox, scheduler):
    """occupy(is_quick): every thread of the pool is at a delivery, and as many wait for it."""
    ended = threading.Event()

    def occupy(*, is_quick):
        enter(outbox, 1, "quick")
        claim = outbox.claim_delivery(60, 1)
        for number in range(2 * THREADS):
            job = replace(claim, id=-number, endpoint=f"quick{number}:443")
            scheduler._pool.submit(job, lambda _: ended.wait(60), 60, lane=job.endpoint, is_quick=is_quick)
        assert scheduler._pool.free == 0

    yield occupy
    ended.set()
    until(lambda: not scheduler._pool.waiting and scheduler._pool.free == THREADS)


@pytest.mark.parametrize(("is_quick", "claimed"), [(True, ["slow"]), (False, [])])
def test_where_only_quick_ones_wait_for_a_thread_the_next_is_for_whoever_is_due(outbox, scheduler, occupy, is_quick, claimed):
    """Otherwise a service that is not quick would wait for as long as quick ones have a backlog: they are claimed ahead."""
    occupy(is_quick=is_quick)
    for number in (2, 3):
        enter(outbox, number, "slow")
    with outbox.write():
        assert [claim.service for claim in scheduler._claim()] == claimed
