"""The bounded pool: at most so many threads, each job under a deadline.

Not `ThreadPoolExecutor`, which joins its threads when the process ends, so that one stuck broker would hold up a push for as
long as it likes. These are daemon threads; a job that outlives its deadline is given up, its thread left behind and replaced.
Only so many may be left behind: beyond, slots are lost until one of them comes to its end.

More jobs may be submitted than there are threads. They wait, and the thread that ends a job goes on with the next by itself:
to hand a job from thread to thread costs more than a quick job does. Of the jobs of one *lane*, as of one endpoint, only so many
run at once, however many wait.

One thread - the pool's owner - calls all but `allow`.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from brokers import thread_locals
from brokers.delivery.job import Job
from brokers.delivery.pace import MEASURE_S, Pace

MAX_ABANDONED_PER_SLOT = 4


class Pool:
    """`size` threads. `on_done` is called, in a pool thread, when a job has ended."""

    def __init__(self, size: int, on_done: Callable[[], None] = lambda: None, *, per_lane: int | None = None) -> None:
        self.per_lane = per_lane
        """How many jobs of one lane run at once; None: as many as there are threads."""
        self._size = max(1, size)
        self._pace = Pace(self._size)
        self._on_done = on_done
        self._begun: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        """For a thread that has nothing to do."""
        self._done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._uncollected: dict[int, Job] = {}
        self._abandoned: list[Job] = []
        self._lock = threading.Lock()
        """Held over the next four, and while it is decided of a job whether it finished first or was given up first."""
        self._waiting: list[Job] = []
        """Those that are not quick first."""
        self._threads = 0
        """At a job or idle; never fewer than `_active`."""
        self._active = 0
        """Jobs that a thread is at, or is about to begin; no thread has two."""
        self._lanes: Counter[str] = Counter()
        """How many of them each lane has."""

    @property
    def free(self) -> int:
        """How many jobs can be submitted now without waiting for a thread."""
        return max(0, self._size - self._lost - self._active)

    @property
    def _lost(self) -> int:
        return max(0, len(self._abandoned) - self._size * MAX_ABANDONED_PER_SLOT)

    @property
    def under_way(self) -> list[Job]:
        """Jobs submitted and not yet collected, those that wait among them."""
        return list(self._uncollected.values())

    @property
    def waiting(self) -> list[Job]:
        """Jobs that no thread has begun, in their turn."""
        with self._lock:
            return self._waiting[:]

    def resize(self, size: int, *, per_lane: int | None = None) -> None:
        """So many threads from now on; jobs that run end as they would have."""
        self._size, self.per_lane = max(1, size), per_lane
        with self._lock:
            for _ in range(min(self._threads - self._size, self._threads - self._active)):  # others end with their jobs
                self._begun.put(None)
                self._threads -= 1
        with suppress(RuntimeError):  # as in `collect`
            self._fill()

    def submit(
        self,
        key: Any,
        work: Callable[[Job], Any],
        timeout_s: float,
        *,
        lane: str = "",
        is_quick: bool = False,
    ) -> Job:
        """Run `work` in a thread of the pool; its result, or that it took longer than `timeout_s`, comes from `collect`.

        `work` is given its job. If there is no thread for it now, or enough of its lane run, it waits, before all that are
        quick if it is not. Raises RuntimeError if the machine gives no thread; then nothing was submitted.
        """
        job = Job(key, work, timeout_s, lane, is_quick)
        with self._lock:
            self._waiting.insert(len(self._waiting) if is_quick else sum(not other.is_quick for other in self._waiting), job)
        try:
            self._fill()
        except RuntimeError:
            if self.withdraw(job):
                raise
        self._uncollected[id(job)] = job
        return job

    def withdraw(self, job: Job) -> bool:
        """Take back a job that waits; whether it did. If not, a thread has begun it, and it will be collected."""
        with self._lock:
            if job.began is not None:
                return False
            self._waiting.remove(job)
        self._uncollected.pop(id(job), None)
        return True

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
        return self.free == 0 and all(job.began is None for job in self._uncollected.values())

    def collect(self) -> list[Job]:
        """The jobs that have ended or run out of time since the last call."""
        self._pace.measure(self._size)
        ended = []
        while True:
            try:
                job = self._done.get_nowait()
            except queue.Empty:
                break
            if job.abandoned:
                self._abandoned.remove(job)
                continue
            del self._uncollected[id(job)]
            ended.append(job)
        now = time.monotonic()
        for job in [job for job in self._uncollected.values() if job.deadline <= now]:
            with self._lock:
                if job.finished:
                    continue  # it lies in the queue already, for the next call
                job.abandoned = True
                self._end(job)
                self._threads -= 1
            del self._uncollected[id(job)]
            self._abandoned.append(job)
            ended.append(job)
        with suppress(RuntimeError):  # the machine gives no thread now; the next call tries again
            self._fill()
        return ended

    def next_deadline(self) -> float | None:
        """When the next job runs out of time, on time.monotonic()'s clock; None if none is running.

        Sooner while there is a thread for what waits, but enough running: then it is time to look whether that is still so.
        """
        deadline = min((job.deadline for job in self._uncollected.values()), default=math.inf)
        if self.free and self._waiting:
            deadline = min(deadline, time.monotonic() + MEASURE_S)
        return None if deadline == math.inf else deadline

    def close(self) -> None:
        """Let the idle threads end, and begin nothing more; those at work end with the process."""
        with self._lock:
            self._waiting.clear()
            for _ in range(self._threads):
                self._begun.put(None)
            self._threads = 0

    # -------------------------------------------------------------------------------------------------- who does what next

    def _fill(self) -> None:
        """Have every job begun that need not wait. Raises RuntimeError if the machine gives no thread."""
        while self.free:
            if self._threads <= self._active and self._waiting:
                self._start_thread()
            with self._lock:
                job = self._next()
            if job is None:
                return
            self._begun.put(job)

    def _next(self) -> Job | None:
        """Of what waits the first whose lane has room, begun now; None if there is none. With the lock held."""
        for place, job in enumerate(self._waiting):
            if not job.lane or self._lanes[job.lane] < self._width(job):
                del self._waiting[place]
                self._active += 1
                self._lanes[job.lane] += 1
                job.began = time.monotonic()
                job.deadline = job.began + job.timeout_s
                return job
        return None

    def _width(self, job: Job) -> int:
        """How many jobs of its lane may run at once."""
        width = self._size if self.per_lane is None else self.per_lane
        return min(width, self._pace.width) if job.is_quick else width

    def _end(self, job: Job) -> None:
        """Its thread and its place in its lane are another's. With the lock held."""
        self._active -= 1
        self._lanes[job.lane] -= 1
        if not self._lanes[job.lane]:
            del self._lanes[job.lane]

    def _start_thread(self) -> None:
        threading.Thread(target=self._run, name="oberon-pool", daemon=True).start()
        with self._lock:
            self._threads += 1

    def _run(self) -> None:
        try:
            self._loop()
        finally:
            thread_locals.end_thread()

    def _loop(self) -> None:
        job = self._begun.get()
        while job is not None:
            if not job.abandoned:
                try:
                    job.result = job.work(job)
                except BaseException as error:
                    job.error = error
            following = None
            with self._lock:
                job.finished = True
                if not (is_last := job.abandoned):
                    self._end(job)
                    is_last = self._threads > self._size  # after `resize`
                    if is_last:
                        self._threads -= 1
                    else:
                        following = self._next()
            self._done.put(job)
            self._on_done()
            if is_last:
                return
            job = following or self._begun.get()


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
