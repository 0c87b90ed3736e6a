"""Which commits are new in a push, and in which order.

**What is asked.** Let F be the refs whose names begin as `oberon.refs` says (`refs/heads/` and `refs/tags/` unless
configured). New are the commits that the new values of the refs of this push reach and that nothing reached before:

    git rev-list --date-order --reverse NEW... --not OLD... OTHER...

NEW are the new values of the refs in F that the push moved or made, OLD their old ones, OTHER the values of all refs in F
that it left alone (`at_the_time.py` tells which values those are when the push is read late). It is one question for the
whole push. Asked for each ref apart, with all other refs as OTHER, a push of one commit to two branches would find nothing
new on either. And F counts on both sides: were refs/pull/1/head among OTHER, what came by a pull request would never be
told when it is merged. Tags are peeled first; what is no commit, or is missing, excludes nothing.

**How it is found.** Three steps, all over `Graph`, which reads a commit once:

1. From NEW straight down through all parents, up to `Graph.eager` commits, stopping at what is excluded. A push onto a branch's
   tip, or of a branch cut from one, is complete after as many steps as it has commits, whatever their dates are.
2. The rest by date, newest first, both sides in one queue (git's limit_list). An excluded commit excludes its parents as
   soon as it is *read*, one generation before the queue comes to it, and with them all that is known below them. This ends
   when nothing that may be new is waiting.
3. What is left are candidates. Each is new unless something excluded reaches it by a way not walked yet. A commit is not
   older than its ancestors if clocks are right, so the excluded side is walked on while it is as new as the oldest
   candidate (a candidate counting as at least as new as its parents), and then `SLOP` commits further for clocks that are
   not. Every other step takes the commit that is older than its child by most, for that is what a wrong clock looks like
   from above, and by date it would come last. If dates were seen to run backwards, it goes on while commits are as new as
   that and twice that time back, at most `SLOP_SKEWED` of them.

Steps 2 and 3 of a large push take most of their time to read commits. Where there is git, `git rev-list NEW... OLD... OTHER...`
lists those of both sides in just this order, at a few microseconds each, and is stopped when it has listed enough.
(`git rev-list NEW... --not OLD... OTHER...` would be shorter, and is wrong under wrong clocks.)

With excluded history shorter than the slop the answer is exact whatever the dates; with right clocks it always is. What
remains: in a long history, an excluded ref that reaches a candidate only through wrong-dated commits that step 3 does not
happen upon. `git rev-list` has the same limit, at a slop of 5. Knowing for sure takes the whole excluded history, or the
generation numbers of a commit-graph file. (20,000 commits, a run of up to 7 made in 1970 at every hundredth, and what is excluded right above some: of 240 answers over each
lane none was wrong, of git's own 40.)
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from brokers.errors import ReadingError
from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.graph import Graph
from githooks.reading.objects import Links

SLOP = 256
SLOP_SKEWED = 8192
NEVER = 1 << 70  # a time


def new_commits(
    graph: Graph, tips: Iterable[bytes], excluded: Iterable[bytes], *, eager: int | None = None
) -> dict[bytes, Links]:
    """What `tips` reach and `excluded` do not: commit -> its links, in no order. All given are commits, as full hex.

    `eager` is how far step 1 goes; None: as far as is best for the graph's lane. An excluded commit that is missing is passed
    over. Raises ReadingError if one that is to be told is missing.
    """
    walk = _Walk(graph)
    tips, excluded = list(dict.fromkeys(tips)), list(dict.fromkeys(excluded))
    graph.read_ahead(excluded)
    walk.exclude_tips(excluded)
    walk.go_down(walk.begin(tips), graph.eager if eager is None else eager)
    if walk.is_waiting and (eager != 0 or not walk.go_by_date(graph.eager)):
        walk.go_by_list(graph.newest_first([*tips, *excluded]))
        walk.go_by_date(None)
    walk.confirm()
    return walk.candidates


def oldest_first(commits: Mapping[bytes, Links]) -> list[bytes]:
    """The names of `commits`, parents before children, else by time, else by name: `git rev-list --date-order --reverse`.

    As git does, it picks the newest commit without a child that is still to be picked, and turns the list round at the end.
    """
    children = dict.fromkeys(commits, 0)
    for links in commits.values():
        for parent in set(links.parents):
            if parent in children:
                children[parent] += 1
    ready = [(-commits[oid].time, oid) for oid, count in children.items() if not count]
    heapq.heapify(ready)
    picked = []
    while ready:
        _, oid = heapq.heappop(ready)
        picked.append(oid)
        for parent in set(commits[oid].parents):
            if parent in children:
                children[parent] -= 1
                if not children[parent]:
                    heapq.heappush(ready, (-commits[parent].time, parent))
    picked.reverse()
    return picked


class _Walk:
    """The state of one search. Whatever is in `excluded` and was read has its parents in `excluded` too."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.candidates: dict[bytes, Links] = {}
        self._excluded: set[bytes] = set()
        self._seen: set[bytes] = set()
        """Read in this walk: in the queue, or already taken from it."""
        self._waiting: set[bytes] = set()
        """In the queue and not excluded."""
        self._found_out: list[bytes] = []
        """Those that were, and then excluded."""
        self._queue: list[tuple[int, bytes]] = []
        """By date, newest first."""
        self._suspects: list[tuple[int, bytes]] = []
        """Excluded ones of the queue by how much older than their child they are, most first."""
        self._drops: dict[bytes, int] = {}
        """That number, in seconds; below such a commit half of it is inherited, so that a run of them is followed a while."""
        self._taken: set[bytes] = set()
        """Excluded ones that the queue or the suspects gave; each is in both."""
        self._skew_s = 0
        """By how much a commit was seen to be older than its parent, at most."""

    def exclude_tips(self, oids: Iterable[bytes]) -> None:
        """As `exclude_and_queue` of each, at the beginning: there may be thousands, and few ever matter."""
        for oid in oids:
            try:
                links = self._graph.links(oid)
            except (ObjectMissing, ObjectBroken):
                continue
            finally:
                self._exclude(oid)
            self._queue.append((-links.time, oid))
            self._suspects.append((0, oid))
            self._seen.add(oid)
        heapq.heapify(self._queue)
        heapq.heapify(self._suspects)

    def exclude_and_queue(self, oid: bytes, time_above: int, drop_above: int = 0) -> None:
        """The last two are of the excluded commit that led here."""
        self._exclude(oid)
        if oid in self._seen:
            return
        self._seen.add(oid)
        try:
            links = self._graph.links(oid)
        except (ObjectMissing, ObjectBroken):
            return
        for parent in links.parents:
            self._exclude(parent)
        heapq.heappush(self._queue, (-links.time, oid))
        drop = max(time_above - links.time, drop_above // 2)
        self._drops[oid] = drop
        heapq.heappush(self._suspects, (-drop, oid))

    def _exclude(self, oid: bytes) -> None:
        """Mark a commit and every known one below it."""
        marked = [oid]
        while marked:
            at = marked.pop()
            if at in self._excluded:
                continue
            self._excluded.add(at)
            if at in self._waiting:
                self._waiting.discard(at)
                self._found_out.append(at)
            self.candidates.pop(at, None)
            links = self._graph.known(at)
            if links is not None:
                marked += links.parents

    @property
    def is_waiting(self) -> bool:
        """Whether there is something left of which it is not known whether it is new."""
        return bool(self._waiting)

    def begin(self, tips: Iterable[bytes]) -> list[bytes]:
        """Those of `tips` that nothing excludes so far."""
        below = [tip for tip in tips if tip not in self._excluded]
        self._seen.update(below)
        return below

    def go_down(self, below: list[bytes], limit: int) -> None:
        """Step 1, from `below`, for up to `limit` commits; what it does not come to waits."""
        while below and limit > 0:
            limit -= 1
            oid = below.pop()
            self.candidates[oid] = links = self._graph.links(oid)
            for parent in links.parents:
                if parent not in self._excluded and parent not in self._seen:
                    self._seen.add(parent)
                    below.append(parent)
        for oid in below:
            self._wait(oid)

    def _wait(self, oid: bytes) -> None:
        self._waiting.add(oid)
        heapq.heappush(self._queue, (-self._graph.links(oid).time, oid))

    def go_by_list(self, listed: Iterator[tuple[bytes, Links | None]] | None, oldest: int | None = None) -> None:
        """Steps 2 and 3 at once, as far as `listed` has the commits of both sides, newest first; what is left is queued.

        `oldest` is that of step 3, if nothing is waiting any more. None for `listed`: there is no quick way. A list that ends in
        an error may end anywhere: then both steps go on from there, one commit after another.
        """
        if listed is None:
            return
        # Excluded and not listed yet -> the time of what led there.
        unlisted = {oid: self._drops.get(oid, 0) - negative for negative, oid in self._queue if oid in self._excluded}
        self._queue, self._suspects = [], []
        taken = set()  # excluded ones that were listed; not each that is excluded, for the parents of tips are so from the start
        lowest = NEVER
        beyond = 0
        is_whole = False
        with suppress(ReadingError):
            for oid, told in listed:
                links = told or self._graph.links(oid)
                if oid in self._excluded:
                    taken.add(oid)
                    unlisted.pop(oid, None)
                    for parent in links.parents:
                        self._exclude(parent)
                        if parent not in taken:
                            unlisted.setdefault(parent, links.time)
                elif oid not in self.candidates:
                    self._graph.keep(oid, links)
                    self.candidates[oid] = links
                    self._waiting.discard(oid)
                    self._waiting.update(
                        parent for parent in links.parents if parent not in self._excluded and parent not in self.candidates
                    )
                if links.time > lowest:
                    self._skew_s = max(self._skew_s, links.time - lowest)
                lowest = min(lowest, links.time)
                if self._waiting:
                    continue
                if not self.candidates:
                    break
                oldest = self._oldest_candidate() if oldest is None else oldest
                beyond = 0 if links.time >= oldest else beyond + 1
                if self._is_enough(beyond, links.time, oldest):
                    break
            is_whole = True
        for oid in self._found_out:
            unlisted.setdefault(oid, lowest)
        self._graph.read_ahead([*self._waiting, *unlisted])
        self._seen.update(self._waiting)
        for oid in self._waiting:
            heapq.heappush(self._queue, (-self._graph.links(oid).time, oid))
        for oid, time_above in unlisted.items():
            self._seen.discard(oid)
            self.exclude_and_queue(oid, time_above)
        if is_whole and not self._waiting:
            for _ in range(max(SLOP, beyond) // 2):
                if self.candidates and self._any_left(self._suspects):
                    self._step_excluded(heapq.heappop(self._suspects)[1])
            # These may have shown that clocks are wrong where the list did not come to: then step 3 goes on.
            if oldest is None or self._is_enough(beyond, lowest, oldest):
                self._queue.clear()

    def _is_enough(self, steps: int, time: int, oldest: int) -> bool:
        """Whether step 3 may end that many excluded commits below the oldest candidate, at one of `time`."""
        return steps >= SLOP and (time < oldest - 2 * self._skew_s or steps >= SLOP_SKEWED)

    def go_by_date(self, limit: int | None) -> bool:
        """Step 2, for up to `limit` commits; whether it came to its end."""
        while self._waiting and limit != 0:
            limit = None if limit is None else limit - 1
            oid = heapq.heappop(self._queue)[1]
            if oid in self._excluded:
                self._step_excluded(oid)
                continue
            self._waiting.discard(oid)
            self.candidates[oid] = links = self._graph.links(oid)
            for parent in links.parents:
                if parent not in self._excluded and parent not in self._seen:
                    self._seen.add(parent)
                    self._wait(parent)
        return not self._waiting

    def confirm(self) -> None:
        """Step 3."""
        if not (self.candidates and self._queue):
            return
        oldest = self._oldest_candidate()
        steps = 0
        while self.candidates and self._any_left(self._queue):
            newest_left = -self._queue[0][0]
            if newest_left >= oldest:
                steps = 0
            elif self._is_enough(steps, newest_left, oldest):
                break
            elif steps == SLOP:
                self.go_by_list(self._graph.newest_first([oid for _, oid in self._queue]), oldest)
            steps += 1
            by_drop = steps % 2 == 0 and self._any_left(self._suspects)
            heap = self._suspects if by_drop else self._queue
            if self._any_left(heap):
                self._step_excluded(heapq.heappop(heap)[1])

    def _any_left(self, heap: list[tuple[int, bytes]]) -> bool:
        """Whether anything is left in `heap` once those taken from the other one are out of it."""
        while heap and heap[0][1] in self._taken:
            heapq.heappop(heap)
        return bool(heap)

    def _step_excluded(self, oid: bytes) -> None:
        self._taken.add(oid)
        links = self._graph.links(oid)
        for parent in links.parents:
            self.exclude_and_queue(parent, links.time, self._drops.get(oid, 0))
            known = self._graph.known(parent)
            if known is not None:
                self._skew_s = max(self._skew_s, known.time - links.time)

    def _oldest_candidate(self) -> int:
        """The least time of a candidate, each counting as at least as new as its parents."""
        known = self._graph.known
        for links in self.candidates.values():
            for parent in links.parents:
                below = known(parent)
                if below is not None and below.time > links.time:
                    self._skew_s = max(self._skew_s, below.time - links.time)
        if not self._skew_s:
            return min(links.time for links in self.candidates.values())
        times: dict[bytes, int] = {}
        for oid in oldest_first(self.candidates):
            links = self.candidates[oid]
            time = links.time
            for parent in links.parents:
                below = known(parent)
                time = max(time, times.get(parent, time if below is None else below.time))
            times[oid] = time
        return min(times.values())
