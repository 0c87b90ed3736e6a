import threading
import time

from brokers.delivery.pool import MAX_ABANDONED_PER_SLOT, GivenUp, Pool, within


def collect(pool, count, timeout_s=5.0):
    jobs = []
    until = time.monotonic() + timeout_s
    while len(jobs) < count and time.monotonic() < until:
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
    until = time.monotonic() + 5
    while pool.free == 0 and time.monotonic() < until:
        pool.collect()
        time.sleep(0.01)
    assert pool.free == 1
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


def test_a_job_is_waited_for_no_longer_than_it_may_take():
    gate = threading.Event()
    began = time.monotonic()
    assert within(lambda _: gate.wait(), 0.1).abandoned
    assert time.monotonic() - began < 1
    gate.set()
    assert within(lambda _: 42, 5).result == 42
