"""event -> what was pushed, over either lane: which commits are new, whose they are, what became of the refs, and each commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

from brokers.config import Settings
from brokers.errors import RepositoryUnreadable
from githooks import forge
from githooks.reading import at_the_time, layout, objects, ref_changes, revisions
from githooks.reading.git_binary import Git
from githooks.reading.graph import Graph
from githooks.reading.lane import Contents, Lane
from githooks.reading.new_commits import oldest_first
from githooks.reading.objects import Links
from payload import text
from payload.push import Commit, Event, RefChange, RefKind, Repository

PROGRESS_EVERY_S = 0.25
_ONE_MORE = 4  # bytes, at least a character: whoever cuts the text to its limit sees that there was more


class Reading:
    """A push that is being read; a context manager. Made, it knows everything but the contents of commits. Raises ReadingError."""

    repository: Repository
    user: str
    """Who pushed."""
    refs: tuple[RefChange, ...]
    total_commits: int
    """How many were new, of which `commits` are the newest."""

    def __init__(
        self,
        lane: Lane,
        event: Event,
        settings: Settings,
        needs: frozenset[str] = frozenset(),
        later: Iterable[Event] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._lane = lane
        self._progress = progress
        self._max_files = settings.max_files
        self._max_message_bytes = settings.max_message_bytes
        self._open = ExitStack()
        self.repository = forge.repository(event, settings)
        self.user = forge.pusher(event)
        cut = _cut(lane)
        graph = Graph(lane, cut)
        prefixes = [at_the_time.ref_name(prefix) for prefix in settings.refs]
        current = lane.refs(prefixes)
        moves = [
            ref_changes.move(graph, update)
            for update in event.refs
            if at_the_time.ref_name(update.ref).startswith(tuple(prefixes))
        ]
        tips = list(dict.fromkeys(one.new for one in moves if one.new is not None))
        olds = [one.old for one in moves if one.old is not None]
        found = {}
        if tips:
            found = at_the_time.new_in_push(graph, tips, olds, at_the_time.others(graph, current, event, later, prefixes))
        order = oldest_first(found)
        self.total_commits = len(order)
        owners = ref_changes.attributed(moves, lane.head_branch(), found)
        kept = order[-settings.max_commits :] if settings.max_commits else []
        self._kept = [(oid, found[oid]) for oid in kept]
        self._branches = {oid: _branch(owners[oid]) for oid in kept}
        self.refs = tuple(_ref_changes(lane, graph, moves, owners, found, kept, settings.max_message_bytes))
        self._numbers: Mapping[bytes, int | None] = {}
        if settings.git_revision == "count":
            commits = [(oid, links.parents) for oid, links in self._kept]
            with Git(event.path, lane.git_dir, event.environment) as git:
                self._numbers = revisions.counted(commits, git, remember=not cut)
        self._patches = None
        if "diff" in needs:
            from githooks.reading.patches import Patches

            patches = Patches(lane.git_dir, event.environment, settings.max_diff_bytes)
            self._patches = self._open.enter_context(patches)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def commits(self) -> Iterator[Commit]:
        """The newest commits, oldest first, each read when it is asked for."""
        told_at = time.monotonic()
        self._tell(0)
        read = zip(self._lane.contents(self._kept, self._max_files), self._kept, strict=True)
        for number, (contents, (_, links)) in enumerate(read, start=1):
            yield self._commit(contents, links)
            if time.monotonic() - told_at >= PROGRESS_EVERY_S:
                told_at = time.monotonic()
                self._tell(number)
        self._tell(len(self._kept))

    def _tell(self, number: int) -> None:
        if self._progress is not None:
            self._progress(number, len(self._kept))

    def _commit(self, contents: Contents, links: Links) -> Commit:
        parsed = objects.commit(contents.raw)
        oid = contents.oid
        diff = None if self._patches is None else self._patches.of(oid)
        return Commit(
            node=oid.decode("ascii"),
            parents=tuple(parent.decode("ascii") for parent in links.parents),
            author=parsed.author,
            committer=parsed.committer,
            message=text.cut(parsed.message, self._max_message_bytes + _ONE_MORE)[0],
            branch=self._branches[oid],
            revision=self._numbers.get(oid),
            files=contents.files,
            more_files=contents.more_files,
            more_growth=contents.more_growth,
            tree=None if parsed.tree is None else parsed.tree.decode("ascii"),
            diff=diff if diff is not None or self._patches is None else "",
            diff_known=diff is not None or self._patches is None,
        )


def _cut(lane: Lane) -> dict[bytes, tuple[bytes, ...]]:
    try:
        return layout.cut_history(lane.common_dir)
    except OSError as error:
        raise RepositoryUnreadable(lane.repository, f"cannot be opened: {error}") from error


def _ref_changes(
    lane: Lane,
    graph: Graph,
    moves: Sequence[ref_changes.Move],
    owners: Mapping[bytes, ref_changes.Move],
    found: Mapping[bytes, Links],
    kept: Sequence[bytes],
    max_message_bytes: int,
) -> Iterator[RefChange]:
    own: dict[bytes, list[str]] = {one.name: [] for one in moves}
    for oid in kept:
        own[owners[oid].name].append(oid.decode("ascii"))
    for one in moves:
        change = ref_changes.ref_change(lane, graph, one, found, own[one.name])
        if change.message is not None:
            change = replace(change, message=text.cut(change.message, max_message_bytes + _ONE_MORE)[0])
        yield change


def _branch(owner: ref_changes.Move) -> str | None:
    return text.decode_path(owner.short) if owner.kind is RefKind.BRANCH else None
