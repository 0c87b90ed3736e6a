"""The worker with a backlog, against a bare loop of `requests`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from brokers.delivery import spool, statedir
from brokers.delivery.expansion import expand
from brokers.delivery.outbox import Outbox
from githooks import config, reading
from payload.dialects import bitbucket
from payload.push import Event
from tests.bench import repositories
from tests.bench.measuring import Program, Run, run
from tests.bench.report import Goal, Row, Section
from tests.bench.repositories import Range

HERE = Path(__file__).parent
OBERON = str(Path(sys.executable).with_name("oberon"))
COMMITS = 5  # of the push that is delivered
BACKLOG = 10_000
QUICK_BACKLOG = 1_000
THREADS = 8
MOST_ROUNDS = 3
OF_A_BARE_LOOP = 0.7
LATENCY_S = 0.05
SLOW_THREADS = (1, 2, 4, 8, 16)
SLOW_FOR_S = 4.0
OF_THE_IDEAL = 0.8


def sections(source: Path, rounds: int, *, quick: bool) -> Iterator[Section]:
    """A backlog to a receiver that answers at once, then to one that takes LATENCY_S; MOST_ROUNDS at most.

    `source` is a git repository to push from.
    """
    rounds = min(rounds, MOST_ROUNDS)
    with TemporaryDirectory(prefix="oberon-bench-") as folder:
        place = Path(folder)
        yield _backlog(place, source, QUICK_BACKLOG if quick else BACKLOG, rounds)
        yield _slow(place, source, rounds)


def _backlog(place: Path, source: Path, count: int, rounds: int) -> Section:
    section = Section(f"a backlog of {count:,} to a local receiver, {THREADS} threads", unit="posted")
    section.notes.append("x in process: from the first request to the last answer, as the receiver sees it")
    bare: list[tuple[Run, float]] = []
    alone: list[tuple[Run, float]] = []
    ours: list[tuple[Run, float]] = []
    with _receiver(0) as url:
        backlog = _Backlog(place, source, url, count)
        loop = [sys.executable, str(HERE / "posting.py"), url, str(count), str(THREADS), backlog.body]
        for _ in range(rounds):
            bare.append(_timed(Program(loop), url))
            ours.append(_timed(backlog.drain(THREADS), url))
            alone.append(_timed(Program([*loop, "alone"]), url))
    ratios = sorted(own / reference for (_, own), (_, reference) in zip(ours, bare, strict=True))
    ratio = ratios[len(ratios) // 2]
    section.rows = [
        _row("requests.Session.post", count, bare, bare, ()),
        _row("the same, trust_env off", count, alone, bare, ()),
        _row("oberon run --drain", count, ours, bare, [Goal("x throughput", 1 / ratio, least=OF_A_BARE_LOOP)]),
    ]
    return section


def _slow(place: Path, source: Path, rounds: int) -> Section:
    section = Section(f"a receiver that takes {LATENCY_S * 1000:.0f} ms, against threads / latency", unit="posted")
    with _receiver(LATENCY_S) as url:
        for threads in SLOW_THREADS:
            count = int(threads * SLOW_FOR_S / LATENCY_S)
            backlog = _Backlog(place, source, url, count)
            runs = [_timed(backlog.drain(threads), url) for _ in range(rounds)]
            seconds = sorted(seconds for _, seconds in runs)[len(runs) // 2]
            ideal_s = count * LATENCY_S / threads
            goal = Goal("of threads / latency", ideal_s / seconds, least=OF_THE_IDEAL)
            reference = [(Run(ideal_s, 0, 0, {}), ideal_s)] * len(runs)
            section.rows.append(_row(f"{threads} threads", count, runs, reference, [goal], cpu=False))
    return section


class _Backlog:
    """A state directory whose outbox has `count` deliveries of one push to `url`, due now; copied for each run."""

    def __init__(self, place: Path, source: Path, url: str, count: int) -> None:
        self.place = place
        self.home = place / "home"
        self.home.mkdir(exist_ok=True)
        path = place / "app.git"
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["git", "clone", "-q", "--bare", "--shared", source, path], check=True)
        for key, value in {"broker": "post", "url": url}.items():
            repositories.git(path, "config", f"service.ci.{key}", value)
        span = repositories.git_range(path, COMMITS)
        assert span is not None, "the history is too short"
        self.full = place / "full"
        shutil.rmtree(self.full, ignore_errors=True)
        self.body = str(place / "body")
        self._fill(path, span, count)

    def _fill(self, path: Path, span: Range, count: int) -> None:
        def pushed() -> Event:
            record = {"version": 1, "id": spool.new_id(), "scm": "git", "path": str(path), "time": time.time()}
            who = {"login": "ann", "source": "local", "options": [], "environment": {}}
            return Event.from_record({**record, **who, "refs": [[span.old, span.new, "refs/heads/main"]]})

        statedir.prepare(str(self.full))
        configuration = config.load(str(path))
        push = reading.read(pushed(), configuration.settings, frozenset())
        with Outbox.open(str(self.full), time.time) as outbox, outbox.write():
            for number in range(count):
                expansion = expand(push, configuration, number + 1)
                claim = outbox.add_event(pushed(), lease_s=60)
                assert claim is not None
                outbox.expand(claim, expansion.composed, expansion.deliveries)
        Path(self.body).write_bytes(bitbucket.form({"broker": "post", "service": {"url": ""}, **expansion.composed}))

    def drain(self, threads: int) -> Program:
        """A worker for a copy of it."""
        state_dir = self.place / "state"
        shutil.rmtree(state_dir, ignore_errors=True)
        shutil.copytree(self.full, state_dir)
        (self.home / ".gitconfig").write_text(f"[oberon]\nperHost = {threads}\n")
        argv = [OBERON, "run", "--drain", "--state-dir", str(state_dir), "--threads", str(threads)]
        return Program(argv, {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home)})


@contextmanager
def _receiver(delay_s: float) -> Iterator[str]:
    argv = [sys.executable, str(HERE / "receiving.py"), str(delay_s)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


def _timed(program: Program, url: str) -> tuple[Run, float]:
    """A run, and the seconds from its first request to the last answer."""
    _served(url)
    done = run(program)
    return done, float(_served(url)["seconds"])


def _served(url: str) -> Mapping[str, float]:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        told: Mapping[str, float] = json.load(answer)
        return told


def _row(
    label: str,
    count: int,
    own: list[tuple[Run, float]],
    reference: list[tuple[Run, float]],
    goals: Sequence[Goal],
    *,
    cpu: bool = True,
) -> Row:
    def median(values: Iterable[float]) -> float:
        ordered = sorted(values)
        return ordered[len(ordered) // 2]

    pairs = list(zip(own, reference, strict=True))
    return Row(
        label,
        count,
        wall_s=median(run.wall_s for run, _ in own),
        wall_ratio=median(one[0].wall_s / other[0].wall_s for one, other in pairs),
        in_process_ratio=median(one[1] / other[1] for one, other in pairs),
        cpu_ratio=median(one[0].cpu_s / other[0].cpu_s for one, other in pairs) if cpu else None,
        largest_mb=max(run.largest_mb for run, _ in own),
        goals=goals,
    )
