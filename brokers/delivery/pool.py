"""The bounded pool: at most so many threads, each job under a deadline.

Not `ThreadPoolExecutor`, which joins its threads when the process ends, so that one stuck broker would hold up a push for as
long as it likes. These are daemon threads; a job that outlives its deadline is given up, its thread left behind and replaced.
Only so many may be left behind: beyond, slots are lost until one of them comes to its end.

One thread - the pool's owner - calls all but `allow`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from brokers import thread_locals

MAX_ABANDONED_PER_SLOT = 4


class GivenUp(Exception):
    """Raised within a job that took longer than it might."""


@dataclass(slots=True)
class Job:
    """Something to be done, and what became of it."""

    key: Any
    """The owner's own."""
    work: Callable[[Job], Any]
    deadline: float
    """On time.monotonic()'s clock."""
    submitted: float = field(default_factory=time.monotonic)
    told: Any = None
    """What the work let its owner know before it ended."""
    result: Any = None
    error: BaseException | None = None
    finished: bool = False
    """The work has returned or raised."""
    abandoned: bool = False
    """Given up by the owner when its time was over; the thread that runs it sees this when it is done, and ends."""

    @property
    def elapsed_s(self) -> float:
        """Since it was submitted."""
        return time.monotonic() - self.submitted

    def go_on(self) -> None:
        """From within the job, now and then. Raises GivenUp, to end the work, if nobody waits for it any more."""
        if self.abandoned:
            raise GivenUp


class Pool:
    """`size` threads. `on_done` is called, in a pool thread, when a job has ended."""

    def __init__(self, size: int, on_done: Callable[[], None] = lambda: None) -> None:
        self._size = max(1, size)
        self._on_done = on_done
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._running: dict[int, Job] = {}
        self._abandoned: list[Job] = []
        self._threads = 0
        self._lock = threading.Lock()
        """Decides for each job whether it finished first or was given up first."""

    @property
    def free(self) -> int:
        """How many jobs can be submitted now without waiting."""
        lost = max(0, len(self._abandoned) - self._size * MAX_ABANDONED_PER_SLOT)
        return max(0, self._size - lost - len(self._running))

    @property
    def running(self) -> list[Job]:
        """Jobs submitted and not yet collected."""
        return list(self._running.values())

    def resize(self, size: int) -> None:
        """So many threads from now on; jobs that run end as they would have."""
        self._size = max(1, size)
        while self._threads > self._size:
            self._jobs.put(None)
            self._threads -= 1

    def submit(self, key: Any, work: Callable[[Job], Any], timeout_s: float) -> Job:
        """Run `work` in a thread of the pool; its result, or that it took longer than `timeout_s`, comes from `collect`.

        `work` is given its job. Raises RuntimeError if the machine gives no thread; then nothing was submitted.
        """
        job = Job(key, work, time.monotonic() + timeout_s)
        if self._threads < min(self._size, len(self._running) + 1):
            self._start_thread()
        self._running[id(job)] = job
        self._jobs.put(job)
        return job

    def allow(self, job: Job, timeout_s: float) -> None:
        """From within the job: it turned out how long it may take, `timeout_s` from now. Too late if it was given up."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            sooner = deadline < job.deadline
            job.deadline = deadline
        if sooner:
            self._on_done()  # the owner, who waits for the old one, finds a later one by itself

    @property
    def is_exhausted(self) -> bool:
        """Whether so many jobs never ended that no thread is left, and none will be."""
        return not self._running and self.free == 0

    def collect(self) -> list[Job]:
        """The jobs that have ended or run out of time since the last call."""
        ended = []
        while True:
            try:
                job = self._done.get_nowait()
            except queue.Empty:
                break
            if job.abandoned:
                self._abandoned.remove(job)
                continue
            del self._running[id(job)]
            ended.append(job)
        now = time.monotonic()
        for job in [job for job in self._running.values() if job.deadline <= now]:
            with self._lock:
                if job.finished:
                    continue  # it lies in the queue already, for the next call
                job.abandoned = True
            del self._running[id(job)]
            self._abandoned.append(job)
            self._threads -= 1
            ended.append(job)
            if self._threads < min(self._size, len(self._running)):
                with suppress(RuntimeError):  # the machine gives no thread now; `submit` tries again
                    self._start_thread()
        return ended

    def next_deadline(self) -> float | None:
        """When the next job runs out of time, on time.monotonic()'s clock; None if none is running."""
        return min((job.deadline for job in self._running.values()), default=None)

    def close(self) -> None:
        """Let the idle threads end; those at work end with the process."""
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _start_thread(self) -> None:
        threading.Thread(target=self._run, name="oberon-pool", daemon=True).start()
        self._threads += 1

    def _run(self) -> None:
        try:
            self._loop()
        finally:
            thread_locals.end_thread()

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.abandoned:
                try:
                    job.result = job.work(job)
                except BaseException as error:
                    job.error = error
            with self._lock:
                job.finished = True
                replaced = job.abandoned
            self._done.put(job)
            self._on_done()
            if replaced:
                return


def within(work: Callable[[Job], Any], timeout_s: float) -> Job:
    """One job in a thread of its own, waited for: ended, or given up after `timeout_s`."""
    rung = threading.Event()
    pool = Pool(1, rung.set)
    job = pool.submit(None, work, timeout_s)
    try:
        while not pool.collect():
            rung.wait(max(0.0, job.deadline - time.monotonic()))
            rung.clear()
    finally:
        pool.close()
    return job
