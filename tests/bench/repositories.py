"""The repositories that are read: made up, built once and kept in `build/bench`, or a real one; and ranges of their commits."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.history import History, Made

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build/bench"

_NOBODY = ("-c", "user.name=Bench", "-c", "user.email=bench@oberon.example")


@dataclass(frozen=True)
class Range:
    """What `old..new` holds: `commits` of them."""

    old: str
    new: str
    commits: int


def git(path: Path, *arguments: str, said: str = "") -> str:
    """What `git ARGUMENTS` prints in the bare repository at `path`, which is given `said`."""
    argv = ["git", f"--git-dir={path}", *_NOBODY, *arguments]
    return subprocess.run(argv, input=said, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def made_up_git(commits: int) -> Path:
    """A bare repository in one pack, with a made-up history of so many commits on `main`."""

    def build(path: Path) -> None:
        subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", path], check=True)
        with subprocess.Popen(["git", f"--git-dir={path}", "fast-import", "--quiet"], stdin=subprocess.PIPE) as importing:
            assert importing.stdin is not None
            for made in History(commits):
                importing.stdin.writelines(_stream(made))
        if importing.returncode:
            raise SystemExit(f"git fast-import failed with code {importing.returncode}")
        git(path, "repack", "-adfq")

    return _kept(f"git-{commits}", build)


def made_up_hg(commits: int) -> Path:
    """A Mercurial repository with the same history."""

    def build(path: Path) -> None:
        subprocess.run(
            [sys.executable, ROOT / "tests/bench/hg_building.py", path, str(commits)], env={"HGRCPATH": ""}, check=True
        )

    return _kept(f"hg-{commits}", build)


def with_many_refs(source: Path, refs: int) -> Path:
    """A bare repository that borrows its objects from `source`: `refs` branches, all over the history of its HEAD, and `main`."""

    def build(path: Path) -> None:
        subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", path], check=True)
        (path / "objects/info/alternates").write_text(f"{source.resolve() / 'objects'}\n")
        nodes = git(source, "rev-list", "HEAD").splitlines()
        step = max(1, len(nodes) // refs)
        lines = [f"create refs/heads/b{number:05d} {nodes[number * step % len(nodes)]}" for number in range(refs)]
        git(path, "update-ref", "--stdin", said="\n".join([*lines, f"create refs/heads/main {nodes[0]}", ""]))
        git(path, "pack-refs", "--all")

    return _kept(f"refs-{refs}-{source.name}-{git(source, 'rev-parse', '--short', 'HEAD')}", build)


def commit_on(path: Path, parent: str, *, time_s: float, count: int = 1) -> str:
    """The last of `count` new commits on `parent`, each with a new file in the root and dated `time_s`; no ref has it."""
    person = f"Bench <bench@oberon.example> {int(time_s)} +0000"
    stream = []
    for number in range(count):
        stream.append(f"commit refs/bench/new\ncommitter {person}\ndata 2\nx\n")
        stream.append(f"from {parent}\n" if not number else "")
        stream.append(f"M 100644 inline bench-{number}\ndata 6\n{number:05d}\n\n")
    git(path, "fast-import", "--quiet", "--force", said="".join(stream))
    node = git(path, "rev-parse", "refs/bench/new")
    git(path, "update-ref", "-d", "refs/bench/new")
    return node


def git_range(path: Path, commits: int) -> Range | None:
    """The newest range on the main line that holds so many commits or a few more; None if the history is too short."""
    new = git(path, "rev-list", "--first-parent", "--no-merges", "--max-count=1", "HEAD")
    line = git(path, "rev-list", "--first-parent", new).splitlines()

    def count(back: int) -> int:
        return int(git(path, "rev-list", "--count", f"{line[back]}..{new}"))

    if len(line) == 1 or count(len(line) - 1) < commits:
        return None
    least, most = 1, len(line) - 1
    while least < most:
        middle = (least + most) // 2
        least, most = (middle + 1, most) if count(middle) < commits else (least, middle)
    return Range(line[least], new, count(least))


def hg_range(hg: Sequence[str], path: Path, commits: int) -> Range | None:
    """First and last node (both in it) of the newest so many changesets; None if there are fewer."""
    argv = [*hg, "-R", str(path), "log", "-r", f"last(all(), {commits})", "-T", "{node}\n"]
    nodes = subprocess.run(argv, env={"HGRCPATH": ""}, capture_output=True, check=True, text=True).stdout.split()
    return Range(nodes[0], nodes[-1], commits) if len(nodes) == commits else None


def _kept(name: str, build: Callable[[Path], None]) -> Path:
    path = KEPT / name
    if not path.is_dir():
        began = time.monotonic()
        sys.stderr.write(f"making {path.relative_to(ROOT)} ... ")
        sys.stderr.flush()
        unfinished = KEPT / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        KEPT.mkdir(parents=True, exist_ok=True)
        build(unfinished)
        unfinished.rename(path)
        sys.stderr.write(f"{time.monotonic() - began:.0f} s\n")
    return path


def _stream(made: Made) -> Iterator[bytes]:
    """git-fast-import(1)."""
    message = made.message.encode()
    who = b"%s %d +0200" % (made.person.encode(), made.time)
    yield b"commit refs/heads/main\nmark :%d\nauthor %s\ncommitter %s\ndata %d\n%s" % (
        made.number,
        who,
        who,
        len(message),
        message,
    )
    for word, parent in zip((b"from", b"merge"), made.parents, strict=False):
        yield b"%s :%d\n" % (word, parent)
    for path, content in made.files.items():
        if content is None:
            yield b"D %s\n" % path
        else:
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(content), content)
    yield b"\n"
