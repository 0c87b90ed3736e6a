"""A made-up history that looks like a real one, the same at every run.

A main line and topic branches that are merged into it; some 1,700 files at first and 1,900 at last: a large folder, and small ones
up to five deep; files of 1 to 20 kB, of which a commit changes a few lines. Every 300th commit is dated by a clock that is an
hour slow.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

FIRST_FILES = 1700
NEW_FILES = 0.02  # of the changes to files; half as many remove one
TOPICS = 0.35  # of the steps of the main line
START_S = 1_500_000_000

_WORDS = ("alpha", "buffer", "cache", "delta", "entry", "frame", "graph", "hash", "index", "join", "key", "lock", "merge", "node")

Files = dict[bytes, bytes | None]
"""Path -> content; None: removed."""


@dataclass(frozen=True)
class Made:
    """One commit: its number from 1 up, those of its parents, and what it does to the files of the first."""

    number: int
    parents: tuple[int, ...]
    person: str
    time: int
    message: str
    files: Files


class History:
    """`commits` of it, after a first one that brings the files."""

    def __init__(self, commits: int, seed: int = 2008) -> None:
        self._left = commits
        self._dice = random.Random(seed)
        self._number = 0
        self._time = START_S
        self._texts: dict[bytes, list[bytes]] = {}
        """Lines of each file as they were last written, on whatever line of development."""
        self._tip = 0

    def __iter__(self) -> Iterator[Made]:
        self._texts = {self._new_path(): self._lines(max(10, int(self._dice.expovariate(1 / 80)))) for _ in range(FIRST_FILES)}
        first = self._made((), {path: b"".join(text) for path, text in self._texts.items()})
        self._tip = first.number
        yield first
        while self._left > 0:
            if self._dice.random() < TOPICS and self._left > 1:
                yield from self._topic(min(1 + int(self._dice.expovariate(1 / 2.5)), self._left - 1))
            else:
                yield self._on_main_line(self._changes())

    def _topic(self, commits: int) -> Iterator[Made]:
        tip = self._tip
        all_changes: Files = {}
        for _ in range(commits):
            changes = self._changes()
            all_changes |= changes
            commit = self._made((tip,), changes)
            tip = commit.number
            yield commit
            if self._dice.random() < 0.3 and self._left > commits:
                yield self._on_main_line(self._changes())
        yield self._on_main_line(all_changes, tip)

    def _on_main_line(self, files: Files, *merged: int) -> Made:
        commit = self._made((self._tip, *merged), files)
        self._tip = commit.number
        return commit

    def _made(self, parents: tuple[int, ...], files: Files) -> Made:
        self._number += 1
        self._left -= 1 if parents else 0
        self._time += self._dice.randrange(60, 14_400)
        time = self._time - (3600 if self._number % 300 == 0 else 0)
        first, last = self._dice.choice(("Ann", "Bo", "Cy", "Di", "Émile")), self._dice.choice(_WORDS)
        message = self._words(6) + "\n"
        if self._dice.random() < 0.6:
            message += "\n" + "".join(self._words(10) + "\n" for _ in range(self._dice.randrange(1, 12)))
        return Made(self._number, parents, f"{first} {last.title()} <{first.lower()}@{last}.example>", time, message, files)

    def _changes(self) -> Files:
        changes: Files = {}
        known = list(self._texts)
        for _ in range(1 + int(self._dice.expovariate(1 / 1.6))):
            path = known[int(len(known) * self._dice.random() ** 3)]  # what was worked on is worked on again
            chance = self._dice.random()
            if chance < NEW_FILES:
                path = self._new_path()
                self._texts.setdefault(path, self._lines(40))
            elif chance < 1.5 * NEW_FILES and path in self._texts:
                del self._texts[path]
                changes[path] = None
                continue
            text = self._texts.setdefault(path, [])
            at = self._dice.randrange(len(text) + 1)
            text[at : at + self._dice.randrange(3)] = self._lines(1 + self._dice.randrange(4))
            changes[path] = b"".join(text)
        return changes

    def _new_path(self) -> bytes:
        name = f"{self._dice.choice(_WORDS)}-{self._dice.randrange(10_000):04d}.c"
        if self._dice.random() < 0.3:
            return f"t/t{name}".encode()
        folders = self._dice.choices(_WORDS, k=min(5, int(self._dice.expovariate(1 / 1.5))))
        return "/".join([*folders, name]).encode()

    def _lines(self, count: int) -> list[bytes]:
        return [f"{self._words(8)} {self._dice.getrandbits(30)}\n".encode() for _ in range(count)]

    def _words(self, count: int) -> str:
        return " ".join(self._dice.choices(_WORDS, k=count))
