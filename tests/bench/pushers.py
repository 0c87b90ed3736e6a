"""Many at a time who record a push: `python pushers.py spool|sqlite STATE_DIR PUSHERS TIMES`, each pusher a process.

To stderr, as JSON: `seconds` (all of it), `p50` and `p99` of one recording, `failed` (how many raised).
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from brokers.delivery import spool, statedir, wake

REFS = [["0" * 40, "1" * 40, "refs/heads/main"]]


def record() -> dict[str, object]:
    """An event as the hook writes it."""
    names = {"scm": "git", "path": "/srv/git/app.git", "login": "ann", "source": "local"}
    return {"version": 1, "id": spool.new_id(), "time": time.time(), "refs": REFS, "options": [], "environment": {}, **names}


def spooled(state_dir: str) -> None:
    """As our hooks do it, a worker being awake."""
    statedir.prepare(state_dir)
    spool.write(state_dir, record())
    wake.wake(state_dir, {})


def inserted(state_dir: str) -> None:
    """What a hook would do that opened the outbox by itself."""
    connection = sqlite3.connect(Path(state_dir) / "queue.sqlite3", timeout=60, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, record TEXT)")
        told = record()
        connection.execute("INSERT INTO event VALUES (?, ?)", (told["id"], json.dumps(told)))
    finally:
        connection.close()


def push(enqueue: Callable[[str], None], state_dir: str, times: int, start: int, told: int) -> None:
    """In a process of its own: wait until `start` is closed, then record `times` pushes."""
    os.read(start, 1)
    seconds = []
    failed = 0
    for _ in range(times):
        began = time.perf_counter()
        try:
            enqueue(state_dir)
        except (OSError, sqlite3.Error):
            failed += 1
        seconds.append(time.perf_counter() - began)
    os.write(told, (json.dumps([failed, seconds]) + "\n").encode())


def main() -> None:
    """Fork, let them loose at once, gather."""
    kind, state_dir, pushers, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    enqueue = {"spool": spooled, "sqlite": inserted}[kind]
    enqueue(state_dir)  # what is made only once is there
    start, go = os.pipe()
    result, told = os.pipe()
    for _ in range(pushers):
        if not os.fork():
            os.close(go)
            push(enqueue, state_dir, times, start, told)
            os._exit(0)
    os.close(told)
    began = time.perf_counter()
    os.close(go)
    with os.fdopen(result) as lines:
        told_by_each = [json.loads(line) for line in lines]
    took_s = time.perf_counter() - began
    seconds = sorted(one for _, several in told_by_each for one in several)
    failed = sum(one for one, _ in told_by_each) + times * (pushers - len(told_by_each))
    hundredths = statistics.quantiles(seconds, n=100)
    sys.stderr.write(json.dumps({"seconds": took_s, "p50": hundredths[49], "p99": hundredths[98], "failed": failed}))


if __name__ == "__main__":
    main()
