"""How long pushing, reading and delivering take, against git, hg and others: `make bench`. The README beside this file tells how to read it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tests.bench import delivering, peers, pushing, repositories
from tests.bench.measuring import Program, Run, in_turns, median, ratio
from tests.bench.report import Goal, Section, as_json, rows
from tests.bench.repositories import Range

SIZES = (1, 100, 1_000, 10_000)
QUICK_SIZES = (1, 100, 1_000)
CROSSOVER_SIZES = (5, 10, 20, 40, 80, 160)
SLOW_PEERS_UP_TO = 1_000  # commits
MANY_REFS = 5_000
PUSHED = 5  # commits
YEAR_2007_S = 1_170_000_000

PYTHON_MB = 40
GIT_LANE = {1_000: 1.5, 10_000: 1.25}
DULWICH_LANE = 8.0
DULWICH_WALKER = 8.0
NEW_COMMITS = 2.0
HG = 0.8
HG_FROM = 1_000  # commits; below, both are Mercurial's start

HERE = Path(__file__).parent
GIT_LOG = (
    "log",
    "--raw",
    "-z",
    "--no-abbrev",
    "--no-renames",
    "--diff-merges=first-parent",
    "--format=%H%n%P%n%an%n%ae%n%ad%n%B",
    "--date=raw",
)
HG_LOG = "{dict(node, parents, user, desc, branch, rev, date, adds=file_adds, mods=file_mods, dels=file_dels)|json}\\n"


def sections(options: argparse.Namespace) -> Iterator[Section]:
    """All that is asked for, measured one after another."""
    sizes = QUICK_SIZES if options.quick else SIZES
    rounds = 3 if options.quick else options.rounds
    made_up = max(sizes) + max(sizes) // 20
    real = os.environ.get("OBERON_BENCH_REPO")
    if "git" in options.only or "crossover" in options.only or "refs" in options.only:
        path = Path(real) if real else repositories.made_up_git(made_up)
        if "git" in options.only:
            yield from git_sections(path, sizes, rounds, everything=options.slow)
        if "crossover" in options.only:
            yield crossover_section(path)
        if "refs" in options.only:
            yield from refs_sections(path, 500 if options.quick else MANY_REFS, rounds)
    if "hg" in options.only:
        real = os.environ.get("OBERON_BENCH_HG_REPO")
        yield from hg_sections(Path(real) if real else repositories.made_up_hg(made_up), sizes, rounds)
    if "push" in options.only:
        yield from pushing.sections(rounds, quick=options.quick)
    if "delivery" in options.only:
        yield from delivering.sections(repositories.made_up_git(made_up), rounds, quick=options.quick)


def git_sections(path: Path, sizes: tuple[int, ...], rounds: int, *, everything: bool) -> Iterator[Section]:
    """Our lanes and others, against `git log --raw -z`."""
    for size in sizes:
        section = Section(f"git, {size:,} commits of {path.name}, against `git log --raw -z`")
        span = repositories.git_range(path, size)
        if span is None:
            section.notes.append("its history is too short")
            yield section
            continue
        programs = {
            "git log --raw -z": Program(["git", f"--git-dir={path}", *GIT_LOG, f"{span.old}..{span.new}"]),
            **{f"{lane} lane": _reading(lane, path, span) for lane in ("git", "dulwich", "auto")},
            "auto, numbered": _reading("auto", path, span, revision="count"),
        }
        if size <= SLOW_PEERS_UP_TO or everything:
            here = str(HERE / "peers.py")
            programs |= {
                name: Program([sys.executable, here, name, str(path), span.old, span.new], slow=True) for name in peers.there()
            }
        runs = in_turns(programs, rounds)
        section.rows = rows(runs, span.commits, _git_goals(runs, size))
        for name in peers.PEERS.keys() & runs.keys():
            section.notes.append(
                f"{name}: {median(runs[name]) / span.commits * 1000:.1f} ms a commit, dulwich lane "
                f"{median(runs['dulwich lane']) / span.commits * 1000:.2f} ms; run once"
            )
        yield section


def crossover_section(path: Path) -> Section:
    """The two lanes in a process that is warm, by the number of commits."""
    spans = list(dict.fromkeys(span for size in CROSSOVER_SIZES if (span := repositories.git_range(path, size)) is not None))
    program = Program([sys.executable, str(HERE / "crossover.py"), str(path), spans[0].new, *(span.old for span in spans)])
    told = in_turns({"": program}, 1)[""][0].told["ranges"]
    section = Section(f"crossover, in a warm process, {path.name}")
    section.notes = [
        f"{one['commits']:>5} commits: dulwich {one['dulwich'] * 1000:7.1f} ms, git {one['git'] * 1000:7.1f} ms" for one in told
    ]
    slower = [one["commits"] for one in told if one["git"] >= one["dulwich"]]
    section.notes.append(f"git is quicker beyond {max(slower)} commits" if slower else "git is quicker in all")
    return section


def refs_sections(source: Path, refs: int, rounds: int) -> Iterator[Section]:
    """Which commits are new, where that is hard to tell, against `git rev-list` of the same question."""
    path = repositories.with_many_refs(source, refs)
    tip = repositories.git(path, "rev-parse", "refs/heads/main")
    nobody = "0" * 40
    others = ("--exclude=main", "--branches")
    now = time.time()
    pushed = repositories.commit_on(path, tip, time_s=now, count=PUSHED)
    branched = repositories.commit_on(path, repositories.git(path, "rev-parse", f"{tip}~50"), time_s=now, count=PUSHED)
    dated = repositories.commit_on(path, tip, time_s=YEAR_2007_S)
    for title, ref, old, new, asked in (
        (f"a push of {PUSHED} commits among {refs:,} refs", "refs/heads/main", tip, pushed, [f"^{tip}", *others]),
        (f"a new branch of {PUSHED} commits among {refs:,} refs", "refs/heads/new", nobody, branched, ["--branches"]),
        ("a commit of 2007 on a young history", "refs/bench/main", tip, dated, [f"^{tip}"]),
    ):
        rev_list = [
            "git",
            f"--git-dir={path}",
            "rev-list",
            "--date-order",
            "--reverse",
            new,
            "--not",
            *(one.lstrip("^") for one in asked),
        ]
        programs = {"git rev-list": Program(rev_list)}
        for lane in ("git", "dulwich", "auto"):
            programs[f"{lane} lane"] = _reading(lane, path, Range(old, new, 0), ref=ref)
        runs = in_turns(programs, rounds)
        goals = {
            label: [Goal("x in process, known", ratio(runs[label], runs["git rev-list"], "known_s"), most=NEW_COMMITS)]
            for label in ("git lane", "dulwich lane", "auto lane")
        }
        section = Section(f"{title}, read as a whole, against `git rev-list`")
        section.rows = rows(runs, int(runs["auto lane"][0].told["commits"]), goals)
        yield section


def hg_sections(path: Path, sizes: tuple[int, ...], rounds: int) -> Iterator[Section]:
    """Our reading against `hg log` with lists of files."""
    hg = [str(Path(sys.executable).with_name("hg"))]
    for size in sizes:
        section = Section(f"hg, {size:,} changesets of {path.name}, against `hg log` with lists of files")
        span = repositories.hg_range(hg, path, size)
        if span is None:
            section.notes.append("its history is too short")
            yield section
            continue
        env = {"HGRCPATH": "", "HGPLAIN": "1"}
        reading = [sys.executable, str(HERE / "hg_reading.py"), str(path), span.old, span.new]
        programs = {
            "hg log": Program([*hg, "-R", str(path), "log", "-r", f"{span.old}:{span.new}", "-T", HG_LOG], env),
            "our reading": Program(reading, env),
        }
        runs = in_turns(programs, rounds)
        goals = {"our reading": [Goal("x wall", ratio(runs["our reading"], runs["hg log"]), most=HG)]} if size >= HG_FROM else {}
        section.rows = rows(runs, span.commits, goals)
        yield section


def _reading(lane: str, path: Path, span: Range, *, ref: str = "refs/bench/main", revision: str = "off") -> Program:
    return Program([sys.executable, str(HERE / "git_reading.py"), lane, str(path), ref, span.old, span.new, revision])


def _git_goals(runs: Mapping[str, list[Run]], size: int) -> dict[str, list[Goal]]:
    reference = runs["git log --raw -z"]
    goals = {
        "git lane": [Goal("Python MB", max(run.told["rss_mb"] for run in runs["git lane"]), most=PYTHON_MB)],
        "dulwich lane": [],
    }
    if size in GIT_LANE:
        goals["git lane"].insert(0, Goal("x wall", ratio(runs["git lane"], reference), most=GIT_LANE[size]))
        goals["dulwich lane"].append(Goal("x wall", ratio(runs["dulwich lane"], reference), most=DULWICH_LANE))
    walker = runs.get("dulwich's walker")
    if walker is not None and size in GIT_LANE:
        times = median(walker) / median(runs["dulwich lane"])
        goals["dulwich lane"].append(Goal("times quicker than dulwich's walker", times, least=DULWICH_WALKER))
    return goals


def main() -> None:
    """Measure and print, section by section, then the goals that were not met; those of a quick run are not judged."""
    parts = ("git", "crossover", "refs", "hg", "push", "delivery")
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="up to 1,000 commits, 500 refs, a backlog of 1,000, 3 rounds: a few minutes; no goal is judged",
    )
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, metavar="PART", help=f"some of: {', '.join(parts)}")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each program is run (5)")
    parser.add_argument(
        "--slow", action="store_true", help="run PyDriller, GitPython and dulwich's walker over 10,000 commits too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    measured = []
    for section in sections(options):
        if options.quick:
            section.rows = [replace(row, goals=[replace(goal, judged=False) for goal in row.goals]) for row in section.rows]
        measured.append(section)
        print(section, flush=True)
    missed = [
        f"{section.title}: {row.label}: {goal}"
        for section in measured
        for row in section.rows
        for goal in row.goals
        if goal.met is False
    ]
    unmissed = "no goal was judged: they are for the full run" if options.quick else "no goal was missed"
    print("", "goals not met:" if missed else unmissed, *missed, sep="\n")
    if options.json:
        options.json.write_text(as_json(measured))


if __name__ == "__main__":
    main()
