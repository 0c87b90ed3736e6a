"""Made-up git repositories: a history of any shape with files of any kind, and pushes that move its refs about.

Two numbers decide all of it: any one, and how many commits there are. So a repository that showed an error is told by two
numbers, and looked for again with fewer commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from tests.support.git_objects import Objects, commit, tag
from tests.support.random_commits import MESSAGES, START_S, MadeCommit, commits, person_line

PUSHES = 10  # to each repository

BRANCHES = ("main", "side", "team/x", "h\xe9", "caf\udce9", "-dash", "v1")
TAGS = ("v1", "v2", "rel/1.0", "\udcff", "h\xe9")
OUTSIDE = ("refs/pull/1/head", "refs/notes/commits", "refs/changes/01/1/1", "refs/headstrong")
FILTERS = (
    *[("refs/heads/", "refs/tags/")] * 5,
    ("refs/heads/",),
    ("refs/heads/", "refs/tags/", "refs/notes/"),
    ("refs/",),
    ("refs/heads/main", "refs/tags/v"),
)


@dataclass(frozen=True)
class MadeTag:
    """An annotated tag object; `target` as of `Move`."""

    target: str
    kind: Literal["commit", "tree", "blob", "tag"]
    tagger: bytes | None
    message: bytes


@dataclass(frozen=True)
class Move:
    """A ref, by its full name, and what it names then: `c3` commit 3, `r3` its tree, `t0` the first tag, `b` a blob; None: gone."""

    ref: str
    target: str | None


@dataclass(frozen=True)
class MadePush:
    """The refs that one push moves, with the settings it is read with."""

    moves: tuple[Move, ...]
    max_commits: int
    revision: Literal["count", "off"]
    upkeep: tuple[str, ...]
    """A git command that the repository's owner runs between push and reading; () if none."""


@dataclass(frozen=True)
class MadeUp:
    """A repository's whole life."""

    object_format: Literal["sha1", "sha256"]
    packed: bool
    commits: tuple[MadeCommit, ...]
    tags: tuple[MadeTag, ...]
    head: str
    """What HEAD says: a symbolic ref, or a target."""
    filter: tuple[str, ...]
    pushes: tuple[MadePush, ...]

    def write(self, git_dir: Path) -> dict[str, str]:
        """Put all objects into the empty repository at `git_dir`, with no refs to them; target -> its full name."""
        objects = Objects(self.object_format)
        names = {"b": objects.add("blob", b"a blob of its own\n")}
        for index, one in enumerate(self.commits):
            tree = names[f"r{index}"] = objects.tree(one.files)
            parents = [names[f"c{parent}"] for parent in one.parents]
            content = commit(tree, parents, one.author, one.committer, one.message, one.headers)
            names[f"c{index}"] = objects.add("commit", content)
        for index, made in enumerate(self.tags):
            content = tag(names[made.target], made.kind, b"t%d" % index, made.tagger, made.message)
            names[f"t{index}"] = objects.add("tag", content)
        objects.write(git_dir, packed=self.packed)
        (git_dir / "HEAD").write_text(self.head if self.head.startswith("ref: ") else names[self.head])
        return names


def made_up(number: int, count: int, object_format: Literal["sha1", "sha256"] = "sha1") -> MadeUp:
    """The repository `number` of `count` commits (at least 1), with `PUSHES` pushes to it."""
    dice = Random(number)
    made = commits(Random(dice.random()), count, 40 if object_format == "sha1" else 64)
    tags = _tags(Random(dice.random()), count)
    return MadeUp(
        object_format=object_format,
        packed=dice.choice((False, True)),
        commits=made,
        tags=tags,
        head=dice.choice(("ref: refs/heads/main\n", "ref: refs/heads/side\n", "ref: refs/heads/none\n", "c0")),
        filter=dice.choice(FILTERS),
        pushes=_Pushes(dice, made, tags).made(),
    )


def _tags(dice: Random, count: int) -> tuple[MadeTag, ...]:
    """Of commits, of one another, and of what has no history."""
    made: list[MadeTag] = []
    for index in range(dice.choice((2, 4, 6))):
        target = f"c{dice.randrange(count)}"
        if index and not dice.randrange(3):
            target = f"t{dice.randrange(index)}"
        elif not dice.randrange(5):
            target = dice.choice(("b", "r0"))
        kinds: dict[str, Literal["commit", "tree", "blob", "tag"]] = {"c": "commit", "t": "tag", "b": "blob", "r": "tree"}
        tagger = person_line(dice, START_S) if dice.randrange(5) else None
        made.append(MadeTag(target, kinds[target[0]], tagger, dice.choice(MESSAGES)))
    return tuple(made)


class _Pushes:
    """The refs as they are after each push."""

    def __init__(self, dice: Random, made: Sequence[MadeCommit], tags: Sequence[MadeTag]) -> None:
        self._dice = dice
        self._commits = made
        self._tags = tags
        self._refs: dict[str, str] = {}
        self._done = 0

    def made(self) -> tuple[MadePush, ...]:
        return tuple(self._push() for _ in range(PUSHES))

    def _push(self) -> MadePush:
        dice = self._dice
        moves: dict[str, str | None] = {}
        for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 5))):
            ref = dice.choice(self._names())
            if ref not in moves:
                target = self._target(ref)
                if target != self._refs.get(ref):
                    moves[ref] = target
        if not moves:  # a name that nothing else takes, once there and once not
            moves["refs/heads/toggle"] = None if "refs/heads/toggle" in self._refs else self._new_commit()
        for ref, target in moves.items():
            if target is None:
                del self._refs[ref]
            else:
                self._refs[ref] = target
        self._done += 1
        return MadePush(
            moves=tuple(Move(ref, target) for ref, target in moves.items()),
            max_commits=dice.choice((1000,) * 8 + (5, 2, 1, 0)),
            revision=dice.choice(("count",) * 7 + ("off",)),
            upkeep=dice.choice(
                ((),) * 12 + (("pack-refs", "--all"), ("repack", "-adkq"), ("commit-graph", "write", "--reachable"))
            ),
        )

    def _names(self) -> list[str]:
        branches = [f"refs/heads/{name}" for name in BRANCHES]
        return branches[:3] * 3 + branches + [f"refs/tags/{name}" for name in TAGS] + list(OUTSIDE)

    def _target(self, ref: str) -> str | None:
        dice = self._dice
        now = self._refs.get(ref)
        if now is not None and not dice.randrange(5):
            return None
        if ref.startswith("refs/heads/"):
            ahead = self._ahead(now) if now is not None else []
            return dice.choice(ahead) if ahead and dice.randrange(3) else self._new_commit()
        choices = [self._new_commit(), *(f"t{index}" for index in range(len(self._tags))), "b", "r0"]
        return dice.choice(choices)

    def _new_commit(self) -> str:
        """Mostly one that follows those pushed before."""
        count = len(self._commits)
        near = (self._done + 1) * count // PUSHES
        first, last = (max(0, near - 5), min(count, near + 3)) if self._dice.randrange(4) else (0, count)
        return f"c{self._dice.randrange(first, max(last, first + 1))}"

    def _ahead(self, target: str) -> list[str]:
        """Commits that a branch can go on to, a few."""
        holding = {int(target[1:])}
        for index, one in enumerate(self._commits):
            if not holding.isdisjoint(one.parents):
                holding.add(index)
        return [f"c{index}" for index in sorted(holding)[1:6]]
