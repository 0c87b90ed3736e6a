"""The numbers of commits: what `git rev-list --count NODE` says of each, asked as seldom as can be.

A commit's number is how many commits it reaches, itself included. Of the commits of a push, what they reach among one another
is found here. What they reach below, through the parents that are not among them (the *base*), is old and asked of git:

- One base commit, as after most pushes: `git rev-list --count BASE`, unless a push read before ended there.
- Several, where side branches began before: `git rev-list --topo-order --parents BASE...` names every old commit once,
  children first. As it goes by, each hands to its parents which of the base reach it. How many commits there are for each
  set of base commits is all that must be kept: what some of the base reach together is the sum over the sets that hold one
  of them. No commit is excluded in that question, so wrong clocks cannot make it wrong.

All of it has a time limit, for a history of 100,000 commits without a commit-graph takes a second, and one of a million ten.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from brokers.errors import ReadingError
from githooks.reading.git_binary import Git

TIME_LIMIT_S = 5.0

_REMEMBERED = 4096

_known: dict[tuple[str, bytes], int] = {}
"""(git's directory, tip of a push read before) -> its number, which never changes; oldest first."""
_remembering = threading.Lock()


def counted(
    commits: Iterable[tuple[bytes, Sequence[bytes]]], git: Git, *, remember: bool = False, time_limit_s: float = TIME_LIMIT_S
) -> dict[bytes, int | None]:
    """oid -> number, of commits with their parents, parents before children.

    None for those that need git where there is none, it fails, or is not done within `time_limit_s`. `remember` keeps the
    numbers of this push's tips for the next; not where history is cut short, for it may be completed.
    """
    listed = {oid: tuple(parents) for oid, parents in commits}
    base = list(dict.fromkeys(parent for parents in listed.values() for parent in parents if parent not in listed))
    try:
        reached = _reached(base, git, time_limit_s)
    except (ReadingError, LookupError, ValueError):  # it failed, or what it says makes no sense
        reached = None
    numbers = _numbers(listed, {oid: number for number, oid in enumerate(base)}, reached)
    if remember:
        _remember(git.repository, numbers, set(listed).difference(*listed.values()))
    return numbers


def _reached(base: Sequence[bytes], git: Git, time_limit_s: float) -> Counter[int]:
    """Set of base commits, as bits by their place in `base` -> how many old commits just these reach. Raises ReadingError."""
    if not base:
        return Counter()
    if len(base) == 1:
        known = _known.get((git.repository, base[0]))
        if known is None:
            known = int(next(git.lines("rev-list", "--count", base[0].decode(), "--", time_limit_s=time_limit_s), b"0"))
        return Counter({1: known})
    reaching = {oid: 1 << number for number, oid in enumerate(base)}
    found: Counter[int] = Counter()
    asked = b"".join(oid + b"\n" for oid in base)
    for line in git.lines("rev-list", "--topo-order", "--parents", "--stdin", asked=asked, time_limit_s=time_limit_s):
        oid, *parents = line.split(b" ")
        bits = reaching.pop(oid)
        found[bits] += 1
        for parent in parents:
            reaching[parent] = reaching.get(parent, 0) | bits
    return found


def _numbers(
    listed: Mapping[bytes, Sequence[bytes]], base: Mapping[bytes, int], reached: Counter[int] | None
) -> dict[bytes, int | None]:
    """The numbers, from what the base reaches; None: that is not known."""
    old: dict[int, int | None] = {0: 0}
    above: dict[bytes, tuple[int, int]] = {}  # which of `listed`, and which of `base`, a commit reaches: as bits
    waiting = Counter(parent for parents in listed.values() for parent in set(parents))
    numbers: dict[bytes, int | None] = {}
    for place, (oid, parents) in enumerate(listed.items()):
        new, below = 1 << place, 0
        for parent in set(parents):
            if parent in base:
                below |= 1 << base[parent]
                continue
            new |= above[parent][0]
            below |= above[parent][1]
            waiting[parent] -= 1
            if not waiting[parent]:
                del above[parent]
        above[oid] = new, below
        if below not in old:
            old[below] = None if reached is None else sum(count for bits, count in reached.items() if bits & below)
        under = old[below]
        numbers[oid] = None if under is None else under + new.bit_count()
    return numbers


def _remember(repository: str, numbers: Mapping[bytes, int | None], tips: Iterable[bytes]) -> None:
    with _remembering:
        for oid in tips:
            number = numbers[oid]
            if number is not None:
                _known[repository, oid] = number
        while len(_known) > _REMEMBERED:
            del _known[next(iter(_known))]
