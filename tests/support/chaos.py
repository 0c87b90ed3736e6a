"""Producers and workers that are killed at random, and a receiver that tells what arrived.

What is killed are processes, by SIGKILL: small ones that write event after event to the spool, `git push` with all that belongs
to it, the hook of a push alone, which writes an event or (inline) delivers it, and workers, some of them right after the receiver
has answered. The seed decides who is killed and when; how far they have come by then is the machine's business.
"""

from __future__ import annotations

import os
import random
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from brokers.delivery import wake
from tests.support import processes
from tests.support.arrivals import Arrivals
from tests.support.command import environment
from tests.support.fault_injection import UNCOUNTED
from tests.support.git import GitClone
from tests.support.hooked import SCRIPTS

ROOT = Path(wake.__file__).parents[2]

PRODUCER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from brokers.delivery import spool
state_dir, path, node = sys.argv[2:5]
for length in map(int, sys.argv[5:]):
    filling = os.urandom(length).hex()
    record = {
        "version": 1, "id": spool.new_id(), "scm": "git", "path": path, "time": 1.7e9, "login": "ann", "source": "local",
        "refs": [[node, node, "refs/heads/main"]], "options": [filling, spool._sha256(filling.encode())], "environment": {},
    }
    spool.write(state_dir, record)
    os.write(1, record["id"].encode() + b"\\n")
"""
"""Writes one event after the other, and says its id when it is written: only then it counts as acknowledged."""

HOOK = "hooks/post-receive"
PRODUCERS = 2  # at a time
PAUSE_S = 0.5  # at most, between two of them
MOST_WAITING = 40  # events; under a longer backlog a worker always has answers in hand that it has not written down
MOST_EVENTS = 12  # of a producer that is killed in its last
LENGTHS = (10, 10, 10, 300, 300, 3_000, 10_000)  # bytes of filling in an event
WRITE_S = 0.003  # writing an event takes about so long,
PUSH_S = 0.15  # a push,
HOOK_S = 0.06  # its hook,
INLINE_S = 0.5  # and one that delivers
INLINE_SHARE = 0.12  # of the pushes
SAYS = re.compile(rb"")
INLINE_SAYS = re.compile(
    rb"remote: oberon: own: delivered *\n(remote: warning: oberon: cannot write to \S+: database is locked; .*\n)?"
)
"""A worker that has the outbox for longer than a pusher is to wait leaves the hook to do without."""
WARM_S = 5.0  # a worker is given so long at most to deliver something,
WORK_S = 5.0  # and is killed so long after that at most;
START_S = 0.2  # or so long at most after it has begun
WORKERS_KILLED = {"early": 20, "at work": 4, "on answer": 1}
"""When a worker is killed -> how many of a row: before it is warm, after it is, as soon as the receiver has answered it."""
EVENTS_APART = 300
"""So many are delivered for each worker that is killed warm. What it has had answered and not yet written down is delivered twice,
some two events where the machine is slow; their share of all is to tell of the code, not of the machine."""
PATIENCE_S = 60.0  # at most, for that


@dataclass
class Chaos:
    """Everything that goes on at once."""

    seed: int
    state_dir: Path
    arrivals: Arrivals
    clone: GitClone
    """It is pushed from, to a repository with Oberon's hook,"""
    inline: Path
    """or to this one, whose hook delivers by itself."""
    told_of: Sequence[Path]
    """Repositories with the same commits, of which events are written without a push."""
    acknowledged: set[str] = field(default_factory=set)
    """Ids of events, and nodes of pushes, of which it was said that they are recorded."""
    kills: Counter[str] = field(default_factory=Counter)
    """Of whom -> how many."""

    def __post_init__(self) -> None:
        self.arrivals.on_answer = self._answered
        self._node = self.clone.node()
        self._over = threading.Event()
        self._kill_on_answer = threading.Event()
        self._faults: list[BaseException] = []
        self._killed_warm = 0
        self._row: list[str] = []
        """What is to happen to the next workers."""
        self._workers: list[subprocess.Popen[bytes]] = []
        """Of those that were started here, and not by a hook, the last."""

    def run(self, duration_s: float, least: Mapping[str, int]) -> None:
        """For so long, and on until there were `least` kills of each sort. Raises what went wrong, TimeoutError after four times."""
        until = time.monotonic() + duration_s
        actors = {"push": self._push, "work": self._work} | {f"produce {number}": self._produce for number in range(PRODUCERS)}
        threads = [self._thread(name, act) for name, act in actors.items()]
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() < until or any(self.kills[who] < number for who, number in least.items()):
                if self._faults or time.monotonic() > until + 3 * duration_s:
                    break
                time.sleep(0.1)
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            processes.end(processes.below(self.state_dir))
            for process in self._workers:
                process.wait()
        if self._faults:
            raise self._faults[0]
        if any(self.kills[who] < number for who, number in least.items()):
            raise TimeoutError(f"only {dict(self.kills)} of {dict(least)} kills in {4 * duration_s:g} s")

    def _thread(self, name: str, act: Callable[[random.Random], None]) -> threading.Thread:
        """A thread that does `act` again and again. What it draws depends on seed and name alone."""
        draw = random.Random(f"{self.seed} {name}")

        def loop() -> None:
            try:
                while not self._over.is_set():
                    act(draw)
            except BaseException as error:
                self._faults.append(error)

        return threading.Thread(target=loop, name=name)

    # ----------------------------------------------------------------------------------------------------------- producers

    def _produce(self, draw: random.Random) -> None:
        """A process that writes events, killed as it writes one."""
        path = draw.choice(self.told_of)
        said = b""
        written = draw.randrange(MOST_EVENTS)
        moment = draw.random()
        lengths = [str(draw.choice(LENGTHS)) for _ in range(2 * MOST_EVENTS)]
        argv = [sys.executable, "-I", "-S", "-c", PRODUCER, ROOT, self.state_dir, path, self._node, *lengths]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment(UNCOUNTED)) as process:
            assert process.stdout is not None
            for _ in range(1 + written):
                said += process.stdout.readline()
            time.sleep(moment * WRITE_S)
            process.kill()
            said += process.stdout.read()
        self.acknowledged.update(said.decode().split())
        assert process.returncode in {0, -signal.SIGKILL}, "it could not write"
        self.kills["producer"] += process.returncode == -signal.SIGKILL
        self._over.wait(draw.uniform(0, PAUSE_S))
        while len(self.acknowledged) - len(self.arrivals.events) > MOST_WAITING and not self._over.is_set():
            time.sleep(0.05)

    # -------------------------------------------------------------------------------------------------------------- pushes

    def _push(self, draw: random.Random) -> None:
        """`git push`, of which all, or the hook alone, is killed now and then."""
        branch = f"b{draw.getrandbits(64):016x}"  # a killed push leaves its lock on the ref
        node = self.clone.git("commit-tree", "-m", branch, "-p", "HEAD", "HEAD^{tree}")
        inline = draw.random() < INLINE_SHARE
        victim = draw.choice(("pusher", "hook", None, None))
        moment = draw.random()
        hook_s = INLINE_S if inline else HOOK_S
        argv = ["git", "push", "-q", self.inline if inline else "origin", f"{node}:refs/heads/{branch}"]
        with subprocess.Popen(
            argv, cwd=self.clone.path, env=environment(UNCOUNTED), stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            if victim == "pusher":
                time.sleep(moment * (PUSH_S - HOOK_S + hook_s))
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            elif victim == "hook":
                _kill_hook(process, moment * hook_s)
            _, said = process.communicate(timeout=60)
        kind = "inline " if inline else ""
        self.kills[f"{kind}pusher"] += process.returncode == -signal.SIGKILL
        hook_died = b"signal 9" in said
        self.kills[f"{kind}hook"] += hook_died
        if process.returncode == 0 and not hook_died:
            assert (INLINE_SAYS if inline else SAYS).fullmatch(said), f"a pusher was told: {said!r}"
            self.acknowledged.add(node)

    # ------------------------------------------------------------------------------------------------------------- workers

    def _work(self, draw: random.Random) -> None:
        """A worker, unless a hook has started one; killed after a while, or as soon as the receiver has answered it."""
        while (worker := self._worker()) is None:
            if all(process.poll() is not None for process in self._workers):
                self._workers = [self._start_worker()]
            time.sleep(0.02)
        if not self._row:
            self._row = [kind for kind, number in WORKERS_KILLED.items() for _ in range(number)]
            draw.shuffle(self._row)
        kind = self._row.pop()
        moment = draw.random()
        try:
            if kind != "early":
                self._await_events()
            if kind == "on answer":
                self._kill_on_answer.set()
                ended = _ended(worker, WARM_S)
                self._kill_on_answer.clear()
                if ended:
                    self._killed_warm += 1
                    return
            if kind != "early":
                self._await_arrival(WARM_S)
            time.sleep(moment * (START_S if kind == "early" else WORK_S))
            self._kill("worker", worker)
            self._killed_warm += kind != "early"
            assert _ended(worker, 10.0)
        finally:
            os.close(worker)

    def _await_events(self) -> None:
        """Until EVENTS_APART have been delivered for each worker that was killed warm, and for this one."""
        wanted = EVENTS_APART * (self._killed_warm + 1)
        until = time.monotonic() + PATIENCE_S
        while len(self.arrivals.events) < wanted and time.monotonic() < until and not self._over.is_set():
            time.sleep(0.01)

    def _await_arrival(self, timeout_s: float) -> None:
        """Until something has arrived from now on."""
        before = self.arrivals.events.total()
        until = time.monotonic() + timeout_s
        while self.arrivals.events.total() == before and time.monotonic() < until:
            time.sleep(0.01)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        argv = [SCRIPTS / "oberon", "run", "--state-dir", self.state_dir]
        return subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, env=environment(UNCOUNTED))

    def _worker(self) -> int | None:
        """A descriptor of the process that holds the worker's lock; None if none does."""
        lock = self.state_dir / wake.LOCK
        if not wake.is_held(str(lock)):
            return None
        try:
            number = int(lock.read_text())
            descriptor = os.pidfd_open(number)
        except (ValueError, ProcessLookupError):
            return None  # it is about to write its number, or has gone
        if str(self.state_dir) in processes.command_line(number) and wake.is_held(str(lock)):
            return descriptor
        os.close(descriptor)
        return None

    def _answered(self) -> None:
        """The receiver has answered: now the worker has yet to write that down."""
        if self._kill_on_answer.is_set() and (worker := self._worker()) is not None:
            self._kill_on_answer.clear()
            self._kill("worker, answered", worker)
            os.close(worker)

    def _kill(self, who: str, descriptor: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            self.kills[who] += 1


def _kill_hook(push: subprocess.Popen[bytes], after_s: float) -> None:
    """Kill the hook of a push, `after_s` seconds after it was first seen; nothing if the push ends before."""
    while push.poll() is None:
        for number in _descendants(push.pid):
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(number)
                try:
                    if HOOK in processes.command_line(number):
                        time.sleep(after_s)
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                        return
                finally:
                    os.close(descriptor)
        time.sleep(0.002)


def _descendants(number: int) -> Iterator[int]:
    with suppress(OSError):
        for child in map(int, Path(f"/proc/{number}/task/{number}/children").read_text().split()):
            yield child
            yield from _descendants(child)


def _ended(descriptor: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
