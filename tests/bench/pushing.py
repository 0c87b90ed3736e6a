"""What a push waits for: the hooks by themselves, whole pushes, and many pushers at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from brokers.delivery import statedir
from brokers.delivery.bell import Bell
from githooks.install import install
from tests.bench import repositories
from tests.bench.measuring import Program, Run, in_turns, median, ratio, run
from tests.bench.report import Goal, Section, rows

HERE = Path(__file__).parent
HG = str(Path(sys.executable).with_name("hg"))
ZERO = "0" * 40
LARGE = 20_000  # commits
HISTORY = 6_500  # commits, as had the repository that the goal for a whole push was found with
FILES = 300
FILES_CHANGED = 3  # by each commit of it
MEMORY = Path("/dev/shm")
LARGE_ROUNDS = 3
HOOK = 1.25
GIT_PUSH = 1.6
HG_PUSH = 1.05
LARGE_PUSH = 1.1  # the same hook, for LARGE commits
PUSHERS = 50
TIMES = 10  # that each records a push
OF_SQLITE = 0.1
HG_ENVIRONMENT = {"HGRCPATH": "", "HGPLAIN": "1"}


def sections(rounds: int, *, quick: bool) -> Iterator[Section]:
    """All of it. The hooks, being quick, are run twenty times as often as `rounds`."""
    with TemporaryDirectory(prefix="oberon-bench-") as folder:
        place = Path(folder)
        state_dir = place / "state"
        large = LARGE // 20 if quick else LARGE
        with _awake(state_dir):
            yield _hook(place, state_dir, rounds * 20, large)
            for commits, before in ((1, HISTORY), (1, 1), (large, 1)):
                yield _git_push(place, state_dir, rounds * 3 if commits == 1 else LARGE_ROUNDS, commits, before)
            for commits in (1, large):
                yield _hg_push(place, state_dir, rounds * 3 if commits == 1 else LARGE_ROUNDS, commits)
            yield _pushers(place, state_dir, rounds)


# ---------------------------------------------------------------------------------------------------------------- the hook


@contextmanager
def _awake(state_dir: Path) -> Iterator[None]:
    """A worker is, as far as a hook can see."""
    statedir.prepare(str(state_dir))
    with Bell(str(state_dir)):
        yield


def _hook(place: Path, state_dir: Path, rounds: int, large: int) -> Section:
    section = Section("the git hook, a worker being awake, against `python3 -I -c pass`", unit="pushed")
    source = _git_chain(place / "hooked", large)
    path = _git_target(place / "hook.git", state_dir)
    subprocess.run(["git", f"--git-dir={path}", "fetch", "-q", source, "+refs/heads/*:refs/heads/*"], check=True)
    one, many = place / "one", place / "many"
    tip, before = repositories.git(path, "rev-parse", "main", "main~1").split()
    one.write_text(f"{before} {tip} refs/heads/main\n")
    many.write_text(f"{ZERO} {tip} refs/heads/main\n")
    environment = {"GIT_DIR": "."}
    hook = [str(path / "hooks/post-receive")]
    programs = {
        "python3 -I -c pass": Program([sys.executable, "-I", "-c", "pass"]),
        "our hook": Program(hook, environment, cwd=path, stdin=one),
        f"our hook, {large:,} commits": Program(hook, environment, cwd=path, stdin=many),
    }
    multimail = os.environ.get("OBERON_BENCH_MULTIMAIL")
    if multimail:
        sendmail = "/bin/sh -c 'cat > /dev/null' sendmail"  # it minds one that does not read
        for key, value in {"mailer": "sendmail", "sendmailCommand": sendmail, "mailingList": "ann@example.org"}.items():
            repositories.git(path, "config", f"multimailhook.{key}", value)
        programs["git-multimail"] = Program([sys.executable, multimail], environment, cwd=path, stdin=one, slow=True)
    _install_compiled(hook, path, one)
    with ExitStack() as stack:
        if MEMORY.is_dir():  # what the disk takes of it, a busy one above all
            in_memory = Path(stack.enter_context(TemporaryDirectory(prefix="oberon-bench-", dir=MEMORY)))
            stack.enter_context(_awake(in_memory))
            target = _git_target(place / "memory.git", in_memory)
            hook = [str(target / "hooks/post-receive")]
            programs["our hook, spool in memory"] = Program(hook, environment, cwd=target, stdin=one)
        runs = in_turns(programs, rounds)
    ours, ours_large = list(runs.values())[1:3]
    reference = runs["python3 -I -c pass"]
    goals = {
        "our hook": [Goal("x wall", ratio(ours, reference), most=HOOK)],
        f"our hook, {large:,} commits": [Goal("x one commit's", ratio(ours_large, ours), most=LARGE_PUSH)],
    }
    section.rows = rows(runs, 1, goals)
    section.rows[2] = replace(section.rows[2], commits=large)
    return section


def _install_compiled(hook: Sequence[str], path: Path, stdin: Path) -> None:
    """Have the modules compiled, as an installation does, whatever PYTHONDONTWRITEBYTECODE says."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with stdin.open("rb") as said:
        subprocess.run(hook, env={**environment, "GIT_DIR": "."}, cwd=path, stdin=said, check=True)


# --------------------------------------------------------------------------------------------------------------- whole pushes


def _git_push(place: Path, state_dir: Path, rounds: int, commits: int, before: int) -> Section:
    of = f"{before:,} commits" if before > 1 else "one"
    section = Section(
        f"`git push` of {commits:,} commits to a local repository of {of}, against /bin/true as its hook", unit="pushed"
    )
    source = _git_chain(place / f"git-{before}-{commits}", commits, before)
    templates = {"/bin/true": _git_target(place / "true.git", None), "our hook": _git_target(place / "ours.git", state_dir)}
    for path in templates.values():
        subprocess.run(["git", "-C", source, "push", "-q", path, "base:refs/heads/main"], check=True)
        repositories.git(path, "repack", "-adq")
    program = ["git", "-C", str(source), "push", "-q"]
    runs = _copied(templates, place, lambda target: Program([*program, str(target), "main:refs/heads/main"]), rounds)
    goal = Goal("x wall", ratio(runs["our hook"], runs["/bin/true"]), most=GIT_PUSH)
    section.rows = rows(runs, commits, {"our hook": [goal]})
    section.notes.append(_difference(runs["our hook"], runs["/bin/true"]))
    return section


def _hg_push(place: Path, state_dir: Path, rounds: int, commits: int) -> Section:
    section = Section(
        f"`hg push` of {commits:,} changesets to a local repository, against an empty hook in process", unit="pushed"
    )
    source = place / f"hg-source-{commits}"
    _hg("init", str(source))
    _hg("-R", str(source), "debugbuilddag", f"+{commits + 10}")
    (place / "empty.py").write_text("def hook(**_):\n    return 0\n")
    settings = {
        "empty hook": f"[hooks]\nchangegroup.empty = python:{place}/empty.py:hook\n",
        "our hook": f"[hooks]\nchangegroup.oberon = python:hghooks.changegroup.hook\n[oberon]\nstateDir = {state_dir}\n"
        "[services]\nci.broker = post\nci.url = http://127.0.0.1:9/\n",
    }
    templates = {}
    for number, (label, hgrc) in enumerate(settings.items()):
        templates[label] = place / f"hg-{number}"
        shutil.rmtree(templates[label], ignore_errors=True)
        _hg("clone", "-q", "-U", "-r", "9", str(source), str(templates[label]))
        (templates[label] / ".hg/hgrc").write_text(hgrc)
    program = [HG, "-R", str(source), "push", "-q"]
    runs = _copied(templates, place, lambda target: Program([*program, str(target)], HG_ENVIRONMENT), rounds)
    goal = Goal("x wall", ratio(runs["our hook"], runs["empty hook"]), most=HG_PUSH)
    section.rows = rows(runs, commits, {"our hook": [goal]})
    section.notes.append(_difference(runs["our hook"], runs["empty hook"]))
    return section


def _copied(templates: Mapping[str, Path], place: Path, program: Callable[[Path], Program], rounds: int) -> dict[str, list[Run]]:
    """Runs of `program(target)`, in turns, each on a fresh copy of its template."""
    runs: dict[str, list[Run]] = {label: [] for label in templates}
    target = place / "target"
    for _ in range(rounds):
        for label, template in templates.items():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(template, target, symlinks=True)
            runs[label].append(run(program(target)))
    return runs


def _difference(ours: Sequence[Run], reference: Sequence[Run]) -> str:
    differences = sorted(one.wall_s - other.wall_s for one, other in zip(ours, reference, strict=True))
    return f"the hook takes {differences[len(differences) // 2] * 1000:.1f} ms of it"


def _git_chain(path: Path, commits: int, before: int = 1) -> Path:
    """A repository with the branches `base`, of `before` commits, and `main`, of so many more."""
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", path], check=True)
    stream = []
    for number in range(commits + before):
        stream.append(f"commit refs/heads/main\ncommitter Ann <ann@example.org> {1_700_000_000 + number} +0000\ndata 2\nx\n")
        stream += [f"M 100644 inline {file}\ndata 6\n{number:06d}\n" for file in _changed(number, before)]
        stream.append("reset refs/heads/base\nfrom refs/heads/main\n\n" if number == before - 1 else "")
    repositories.git(path, "fast-import", "--quiet", said="".join(stream))
    return path


def _changed(number: int, before: int) -> list[str]:
    """The files of a commit, by its number: the same one each time, or, of a repository with a history, a few of many."""
    if before == 1:
        return ["file"]
    numbers = range(FILES) if number == 0 else [(number * 7 + nth * 101) % FILES for nth in range(FILES_CHANGED)]
    return [f"folder-{nth % 20}/file-{nth}" for nth in numbers]


def _git_target(path: Path, state_dir: Path | None) -> Path:
    """A bare repository with our hook, as it is installed, or, without a `state_dir`, with /bin/true."""
    shutil.rmtree(path, ignore_errors=True)
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", path], check=True)
    if state_dir is None:
        (path / "hooks").mkdir(exist_ok=True)
        (path / "hooks/post-receive").symlink_to("/bin/true")
        return path
    install(str(path))
    for key, value in {
        "oberon.stateDir": str(state_dir),
        "service.ci.broker": "post",
        "service.ci.url": "http://127.0.0.1:9/",
    }.items():
        repositories.git(path, "config", key, value)
    return path


def _hg(*arguments: str) -> None:
    subprocess.run([HG, *arguments], env={**os.environ, **HG_ENVIRONMENT}, check=True)


# --------------------------------------------------------------------------------------------------------------- many pushers


def _pushers(place: Path, state_dir: Path, rounds: int) -> Section:
    section = Section(
        f"{PUSHERS} pushers at once, {TIMES} pushes each, against opening SQLite (WAL, FULL) in each", unit="pushed"
    )
    script = [sys.executable, str(HERE / "pushers.py")]
    programs = {
        "SQLite": Program([*script, "sqlite", str(place), str(PUSHERS), str(TIMES)]),
        "our spool": Program([*script, "spool", str(state_dir), str(PUSHERS), str(TIMES)]),
    }
    runs = in_turns(programs, rounds)
    goals = {
        "our spool": [
            Goal("x p99", ratio(runs["our spool"], runs["SQLite"], "p99", "p99"), most=OF_SQLITE),
            Goal("failed", sum(one.told["failed"] for one in runs["our spool"]), most=0),
        ]
    }
    section.rows = rows(runs, PUSHERS * TIMES, goals)
    section.notes += [
        f"{label}: one takes {median(own, 'p50') * 1000:.1f} ms, p99 {median(own, 'p99') * 1000:.1f} ms; "
        f"{sum(one.told['failed'] for one in own)} failed"
        for label, own in runs.items()
    ]
    return section
