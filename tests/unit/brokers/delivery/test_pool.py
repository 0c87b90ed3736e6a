import random
import threading
import time
from collections import Counter

import pytest

from brokers.delivery.job import GivenUp
from brokers.delivery.pool import MAX_ABANDONED_PER_SLOT, Pool, within
from tests.support.waiting import until


def collect(pool, count, timeout_s=5.0):
    jobs = []
    end = time.monotonic() + timeout_s
    while len(jobs) < count and time.monotonic() < end:
        jobs += pool.collect()
        time.sleep(0.002)
    assert len(jobs) == count
    return jobs


def test_results_and_errors_come_back_with_their_keys():
    pool = Pool(2)
    pool.submit("good", lambda _: 42, 5)
    pool.submit("bad", lambda _: 1 / 0, 5)
    jobs = {job.key: job for job in collect(pool, 2)}
    assert jobs["good"].result == 42
    assert isinstance(jobs["bad"].error, ZeroDivisionError)
    assert pool.free == 2
    pool.close()


def test_system_exit_in_a_job_ends_neither_thread_nor_process():
    pool = Pool(1)

    def leave(_):
        raise SystemExit(3)

    pool.submit(1, leave, 5)
    assert isinstance(collect(pool, 1)[0].error, SystemExit)
    pool.submit(2, lambda _: "next", 5)
    assert collect(pool, 1)[0].result == "next"
    pool.close()


def test_its_size_changes_while_jobs_run():
    pool = Pool(3)
    gate = threading.Event()
    for number in range(3):
        pool.submit(number, lambda _: gate.wait(5), 5)
    pool.resize(1)
    assert pool.free == 0
    gate.set()
    collect(pool, 3)
    assert pool.free == 1
    pool.submit("one", lambda _: threading.get_ident(), 5)
    collect(pool, 1)
    pool.resize(2)
    assert pool.free == 2
    both = threading.Barrier(2)
    for number in range(2):
        pool.submit(number, lambda _: both.wait(5), 5)
    assert [job.error for job in collect(pool, 2)] == [None, None]
    pool.close()


def test_a_job_finds_a_thread_at_once_after_the_size_went_down_and_up():
    pool = Pool(4)
    gate = threading.Event()
    for number in range(3):
        pool.submit(number, lambda _: gate.wait(5), 5)
    pool.resize(1)
    pool.resize(4)
    pool.submit("next", lambda _: "done", 5)
    assert [job.key for job in collect(pool, 1)] == ["next"]
    gate.set()
    collect(pool, 3)
    pool.close()


def test_a_job_finds_a_thread_after_the_size_went_down_while_all_were_stuck():
    pool = Pool(3)
    gate = threading.Event()
    for number in range(3):
        pool.submit(number, lambda _: gate.wait(5), 0.05)
    pool.resize(1)
    assert all(job.abandoned for job in collect(pool, 3))
    pool.submit("next", lambda _: "done", 1)
    assert [job.result for job in collect(pool, 1)] == ["done"]
    gate.set()
    pool.close()


def test_threads_that_are_too_many_end():
    before = {*threading.enumerate()}  # some of which, others' pools', may end meanwhile
    pool = Pool(4)
    gate = threading.Event()
    for number in range(3):
        pool.submit(number, lambda _: gate.wait(5), 5)
    pool.submit("short", lambda _: None, 5)
    collect(pool, 1)
    pool.resize(1)
    waits = pool.submit("waits", lambda _: None, 5)
    gate.set()
    assert collect(pool, 4)[-1] is waits
    until(lambda: len({*threading.enumerate()} - before) == 1)
    pool.close()
    until(lambda: {*threading.enumerate()} <= before)


def test_where_the_machine_gives_no_thread_the_size_changes_all_the_same(monkeypatch):
    pool = Pool(1)
    gate = threading.Event()
    pool.submit("first", lambda _: gate.wait(5), 5)
    waits = pool.submit("waits", lambda _: None, 5)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool.resize(2)
    assert pool.waiting == [waits]
    monkeypatch.undo()
    assert collect(pool, 1) == [waits]
    gate.set()
    pool.close()


def test_no_more_than_size_jobs_run_at_once():
    pool = Pool(3)
    running, most = 0, 0
    lock = threading.Lock()

    def work(_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    done, sent = 0, 0
    while done < 12:
        while sent < 12 and pool.free:
            pool.submit(sent, work, 5)
            sent += 1
        done += len(pool.collect())
        time.sleep(0.002)
    assert most == 3
    pool.close()


def test_a_job_over_its_deadline_is_given_up_and_its_slot_is_free_again():
    pool = Pool(1)
    gate = threading.Event()
    pool.submit("stuck", lambda _: gate.wait(), 0.05)
    began = time.monotonic()
    (job,) = collect(pool, 1)
    assert job.abandoned
    assert time.monotonic() - began < 1
    assert pool.free == 1
    pool.submit("next", lambda _: "done", 5)
    assert collect(pool, 1)[0].result == "done"
    gate.set()
    time.sleep(0.05)
    assert pool.collect() == []
    pool.close()


def test_threads_left_behind_are_bounded():
    pool = Pool(1)
    gate = threading.Event()
    for number in range(MAX_ABANDONED_PER_SLOT + 1):
        assert pool.free == 1
        begun = threading.Event()
        job = pool.submit(number, lambda _, begun=begun: begun.set() or gate.wait(), 5)
        assert begun.wait(5)
        pool.allow(job, 0)
        collect(pool, 1)
    assert pool.free == 0
    assert pool.is_exhausted
    gate.set()
    until(lambda: pool.collect() or pool.free == 1)
    pool.close()


def test_threads_do_not_pile_up_over_many_jobs():
    before = threading.active_count()
    pool = Pool(4)
    for number in range(200):
        pool.submit(number, lambda _: None, 5)
        collect(pool, 1)
    assert threading.active_count() - before <= 4
    pool.close()


def test_the_owner_is_told_when_a_job_ends():
    rung = threading.Event()
    pool = Pool(1, rung.set)
    pool.submit(1, lambda _: None, 5)
    assert rung.wait(5)
    pool.close()


def test_a_job_can_learn_how_long_it_may_take():
    pool = Pool(1)

    def work(job):
        pool.allow(job, 5)
        time.sleep(0.2)
        return "in time"

    pool.submit(1, work, 0.1)
    (job,) = collect(pool, 1)
    assert job.result == "in time"
    pool.close()


def test_a_later_deadline_rings_nobody_and_is_kept():
    rung = threading.Event()
    pool = Pool(1, rung.set)
    job = pool.submit(1, lambda job: (pool.allow(job, 60), time.sleep(0.3)), 0.2)
    assert not rung.wait(0.25)
    assert pool.collect() == []
    assert job.deadline > time.monotonic() + 30
    assert collect(pool, 1) == [job]
    pool.close()


def test_a_job_that_was_given_up_ends_when_it_asks():
    pool = Pool(1)
    ended = threading.Event()

    def work(job):
        try:
            while True:
                job.go_on()
                time.sleep(0.01)
        except GivenUp:
            ended.set()

    pool.submit(1, work, 0.1)
    (job,) = collect(pool, 1)
    assert job.abandoned
    assert ended.wait(5)
    pool.close()


def test_what_has_no_thread_yet_waits_and_the_thread_goes_on_with_it():
    pool = Pool(1)
    gate = threading.Event()
    pool.submit(0, lambda _: gate.wait(5) and threading.get_ident(), 5)
    waiting = [pool.submit(number, lambda _: threading.get_ident(), 5) for number in (1, 2, 3)]
    assert pool.free == 0
    assert pool.waiting == waiting
    assert [job.elapsed_s for job in waiting] == [0, 0, 0]
    gate.set()
    jobs = collect(pool, 4)
    assert [job.key for job in jobs] == [0, 1, 2, 3]
    assert len({job.result for job in jobs}) == 1
    assert pool.waiting == []
    pool.close()


def test_no_time_runs_out_while_a_job_waits():
    pool = Pool(1)
    gate = threading.Event()
    pool.submit("long", lambda _: gate.wait(5), 5)
    job = pool.submit("waits", lambda _: "done", 0.05)
    time.sleep(0.1)
    assert pool.collect() == []
    gate.set()
    assert [job.result for job in collect(pool, 2)] == [True, "done"]
    assert not job.abandoned
    pool.close()


def test_a_thread_that_is_left_behind_holds_up_nothing_that_waits():
    pool = Pool(1)
    gate = threading.Event()
    pool.submit("stuck", lambda _: gate.wait(), 0.05)
    pool.submit("waits", lambda _: "done", 5)
    assert [job.abandoned for job in collect(pool, 2)] == [True, False]
    gate.set()
    pool.close()


def test_of_a_lane_so_many_run_at_once_and_other_lanes_go_on():
    pool = Pool(4, per_lane=2)
    gate = threading.Event()
    running, most = set(), 0
    lock = threading.Lock()

    def work(job):
        nonlocal most
        with lock:
            running.add(job.key)
            most = max(most, len(running))
        gate.wait(5)
        with lock:
            running.remove(job.key)

    for number in range(6):
        pool.submit(number, work, 5, lane="ci:443")
    other = pool.submit("other", lambda _: "done", 5, lane="chat:443")
    nowhere = [pool.submit("nowhere", lambda _: "done", 5) for _ in range(3)]
    assert {id(job) for job in collect(pool, 4)} == {id(job) for job in (other, *nowhere)}
    assert len(pool.waiting) == 4
    assert pool.free == 2
    gate.set()
    collect(pool, 6)
    assert most == 2
    pool.close()


def test_one_that_is_not_quick_goes_before_the_quick_ones_that_wait():
    pool = Pool(1)
    gate = threading.Event()
    pool.submit("first", lambda _: gate.wait(5), 5)
    for number in range(2):
        pool.submit(f"quick {number}", lambda _: None, 5, lane="ci:443", is_quick=True)
        pool.submit(number, lambda _: None, 5)
    gate.set()
    assert [job.key for job in collect(pool, 5)] == ["first", 0, 1, "quick 0", "quick 1"]
    pool.close()


def test_what_waits_can_be_taken_back_and_what_has_begun_cannot():
    pool = Pool(1)
    gate = threading.Event()
    begun = pool.submit("begun", lambda _: gate.wait(5), 5)
    waits = pool.submit("waits", lambda _: None, 5)
    assert [pool.withdraw(job) for job in (waits, begun)] == [True, False]
    gate.set()
    assert collect(pool, 1) == [begun]
    time.sleep(0.05)
    assert pool.collect() == []
    assert pool.under_way == []
    pool.close()


def test_nothing_that_waits_is_begun_once_it_is_closed():
    pool = Pool(1)
    gate = threading.Event()
    begun = []
    pool.submit("first", lambda _: gate.wait(5), 5)
    pool.submit("waits", begun.append, 5)
    pool.close()
    gate.set()
    collect(pool, 1)
    time.sleep(0.05)
    assert begun == []


def test_a_machine_that_gives_no_thread_takes_nothing(monkeypatch):
    pool = Pool(1)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        pool.submit(1, lambda _: None, 5)
    assert (pool.under_way, pool.waiting, pool.free) == ([], [], 1)
    monkeypatch.undo()
    pool.submit(2, lambda _: "done", 5)
    assert collect(pool, 1)[0].key == 2
    pool.close()


def test_of_quick_jobs_of_a_lane_only_as_many_run_as_are_of_use(monkeypatch):
    pool = Pool(4, per_lane=4)
    monkeypatch.setattr(pool._pace, "measure", lambda _: None)
    pool._pace.width = 2
    gate = threading.Event()
    quick = [pool.submit(number, lambda _: gate.wait(5), 5, lane="ci:443", is_quick=True) for number in range(3)]
    slow = [pool.submit(number, lambda _: gate.wait(5), 5, lane="chat:443") for number in range(2)]
    assert pool.waiting == quick[2:], "there is no thread too few for it"
    assert all(job.began for job in slow)
    pool.submit("free", lambda _: None, 5)
    assert collect(pool, 0) == []
    pool._pace.width = 3
    pool.collect()
    gate.set()
    assert len(collect(pool, 6)) == 6
    pool.close()


def test_a_job_is_waited_for_no_longer_than_it_may_take():
    gate = threading.Event()
    began = time.monotonic()
    assert within(lambda _: gate.wait(), 0.1).abandoned
    assert time.monotonic() - began < 1
    gate.set()
    assert within(lambda _: 42, 5).result == 42


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_with_it_each_job_ends_once_or_is_taken_back(seed):
    """Submitted, taken back, given up and collected in any order, with fewer threads and more."""
    draw = random.Random(seed)
    pool = Pool(4, per_lane=2)
    ran, lock, stuck = Counter(), threading.Lock(), threading.Event()
    running, most = Counter(), Counter()

    def work(job):
        number, is_stuck = job.key
        with lock:
            ran[number] += 1
            if not is_stuck:
                running.update((job.lane, "all"))
                most[job.lane], most["all"] = max(most[job.lane], running[job.lane]), max(most["all"], running["all"])
        if is_stuck:
            stuck.wait()
            return
        time.sleep(draw.choice((0, 0, 0.001)))
        with lock:
            running.subtract((job.lane, "all"))

    submitted, collected, withdrawn = [], Counter(), set()
    for number in range(600):
        is_stuck = number % 100 == 99
        options = {"lane": draw.choice(("ci:443", "chat:443")), "is_quick": draw.random() < 0.5}
        submitted.append(pool.submit((number, is_stuck), work, 0.01 if is_stuck else 60, **options))
        if draw.random() < 0.1:
            pool.resize(draw.randint(1, 4), per_lane=2)
        if draw.random() < 0.3 and (waiting := pool.waiting) and pool.withdraw(job := draw.choice(waiting)):
            withdrawn.add(job.key)
        collected.update(job.key for job in pool.collect())
    pool.resize(4, per_lane=2)
    until(lambda: collected.update(job.key for job in pool.collect()) or not pool.under_way)
    stuck.set()
    assert all(collected[job.key] + (job.key in withdrawn) == 1 for job in submitted)
    assert all(ran[job.key[0]] == (job.key not in withdrawn) for job in submitted)
    assert max(most["ci:443"], most["chat:443"]) <= 2
    assert most["all"] <= 4
    assert pool.free == 4
    pool.close()
