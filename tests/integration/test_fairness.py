"""A service that never answers, and how long pushes then take to another."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from brokers.delivery import spool, wake
from brokers.delivery.control import breakers
from brokers.delivery.outbox import Outbox
from githooks.post_receive import hand_over
from tests.support.git import GitServer
from tests.support.hooked import SCRIPTS, git_settings
from tests.support.receiving import Arrivals, BlackHole

PUSHES = 200
PAUSE_S = 0.015  # between two, of which each third is for the same worker
PER_HOST = 4
MOST_S = 1.0
MOST_TIMES = 1.5
# A few turns of the kernel's scheduler: three workers and this process, with their receivers, share what processors there are.
NOISE_S = 0.05


@dataclass
class Installation:
    """A state directory with its own worker, and a repository with a service that answers and perhaps one that does not."""

    name: str
    server: GitServer
    state_dir: Path
    arrivals: Arrivals
    refs: list[list[str]]
    pushed_at: dict[str, float] = field(default_factory=dict)

    def push(self) -> None:
        """As the hook does it."""
        record = {
            "version": 1,
            "id": spool.new_id(),
            "scm": "git",
            "path": str(self.server.path),
            "time": time.time(),
            "login": f"user-{len(self.pushed_at)}",  # by which the arrival is known
            "source": "local",
            "refs": self.refs,
            "options": [],
            "environment": {},
        }
        self.pushed_at[record["login"]] = time.monotonic()
        hand_over(record, str(self.state_dir), os.environ)

    def seconds(self) -> list[float]:
        """From push to arrival, in the order of the pushes."""
        end = time.monotonic() + 10
        while len(self.arrivals.came_at) < len(self.pushed_at):
            assert time.monotonic() < end, f"{self.name}: {len(self.arrivals.came_at)} of {len(self.pushed_at)} pushes came"
            time.sleep(0.02)
        return [self.arrivals.came_at[user] - pushed for user, pushed in self.pushed_at.items()]


@pytest.fixture
def install(git_server, tmp_path):
    with ExitStack() as stack:

        def make(name: str, hole: BlackHole | None = None, timeout: str = "") -> Installation:
            server = git_server(f"{name}.git")
            clone = server.clone(f"{name}-clone")
            node = clone.commit({"file": "1"})
            clone.push()
            state_dir = tmp_path / f"{name}-state"
            git_settings(server, state_dir)
            arrivals = stack.enter_context(Arrivals())
            for service, url in {"healthy": arrivals.url, **({"hole": hole.url} if hole else {})}.items():
                server.config(f"service.{service}.broker", "post")
                server.config(f"service.{service}.url", url)
            if timeout:
                server.config("service.hole.timeout", timeout)
            stack.enter_context(worker(state_dir))
            return Installation(name, server, state_dir, arrivals, [["0" * 40, node, "refs/heads/main"]])

        yield make


@contextmanager
def worker(state_dir):
    argv = [SCRIPTS / "oberon", "run", "--state-dir", state_dir]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 20
            while not (state_dir / wake.SOCKET).exists():
                assert time.monotonic() < end, "the worker did not come up"
                time.sleep(0.02)
            yield
        finally:
            process.kill()


def test_a_service_that_never_answers_holds_up_no_other(install):
    with BlackHole() as hole, BlackHole() as parked:
        alone = install("alone")
        # One attempt outlives the test, so that only the limit for one host is in its way; or the breaker opens, after 5 of them.
        limited = install("limited", hole, "60s")
        broken = install("broken", parked, "0.3s")
        everywhere = (alone, limited, broken)
        for one in everywhere:  # the first has the worker load what it needs
            one.push()
            one.seconds()
            one.pushed_at.clear()
            one.arrivals.came_at.clear()
        for _ in range(PUSHES):
            for one in everywhere:
                one.push()
                time.sleep(PAUSE_S)
        without_s = p95(alone.seconds())
        with_s = {one.name: p95(one.seconds()) for one in (limited, broken)}
        assert (open_breakers(limited), open_breakers(broken)) == (0, 1)
    assert hole.taken == PER_HOST
    assert parked.taken >= PER_HOST
    most_s = min(MOST_S, MOST_TIMES * without_s + NOISE_S)
    assert max(with_s.values()) < most_s, f"p95 {without_s:.3f} s alone, with a service that never answers {with_s}"


def open_breakers(installation: Installation) -> int:
    with Outbox.open(str(installation.state_dir), time.time) as outbox:
        return sum(breaker.open_until is not None for breaker in breakers(outbox))


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]
