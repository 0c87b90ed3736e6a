"""event -> Push, in this process and without a git binary (but for the numbers of commits, `revisions`).

Of dulwich only raw objects are used (`store`): which commits (`new_commits`), which files (`trees`) and how long they are
(`sizes`) is found by own code, for dulwich's is 40 to 70 times slower than git and wrong in known cases.
"""

from __future__ import annotations

from collections.abc import Iterable

from brokers.config import Settings
from brokers.errors import RepositoryUnreadable
from githooks import forge
from githooks.reading import at_the_time, objects, ref_changes, refs, revisions
from githooks.reading.graph import Graph
from githooks.reading.new_commits import oldest_first
from githooks.reading.objects import Links
from githooks.reading.sizes import Lengths
from githooks.reading.store import Objects, cut_history, open_objects
from githooks.reading.trees import Entry, Sides, Trees
from payload import text
from payload.push import Commit, Event, FileChange, FileType, Push, RefChange, RefKind


def read(event: Event, settings: Settings, later: Iterable[Event] = ()) -> Push:
    """The push that `event` tells of; arguments and errors as of `githooks.reading.read`."""
    with open_objects(event.path, event.environment) as store, Lengths(store) as lengths:
        try:
            graph = Graph(store, cut_history(store.common_dir), lengths)
            prefixes = [at_the_time.ref_name(prefix) for prefix in settings.refs]
            current = refs.current(store.common_dir, prefixes)
        except OSError as error:
            raise RepositoryUnreadable(event.path, f"its refs cannot be read: {error}") from error
        moves = [
            ref_changes.move(graph, update)
            for update in event.refs
            if at_the_time.ref_name(update.ref).startswith(tuple(prefixes))
        ]
        tips = list(dict.fromkeys(one.new for one in moves if one.new is not None))
        olds = [one.old for one in moves if one.old is not None]
        found = at_the_time.new_in_push(graph, tips, olds, at_the_time.others(graph, current, event, later)) if tips else {}
        order = oldest_first(found)
        owners = ref_changes.attributed(moves, refs.head_branch(store.git_dir), found)
        kept = order[-settings.max_commits :] if settings.max_commits else []
        numbers: dict[bytes, int | None] = {}
        if settings.git_revision == "count":
            numbers = revisions.counted([(oid, found[oid].parents) for oid in kept], store.git_dir)
        reader = _CommitReader(store, graph, lengths)
        return Push(
            event=event,
            repository=forge.repository(event, settings),
            user=forge.pusher(event),
            refs=tuple(_ref_changes(store, graph, moves, owners, found, order)),
            commits=tuple(reader.commit(oid, _branch(owners[oid]), numbers.get(oid)) for oid in kept),
            total_commits=len(order),
        )


def _ref_changes(
    store: Objects,
    graph: Graph,
    moves: list[ref_changes.Move],
    owners: dict[bytes, ref_changes.Move],
    found: dict[bytes, Links],
    order: list[bytes],
) -> Iterable[RefChange]:
    own: dict[bytes, list[str]] = {one.name: [] for one in moves}
    for oid in order:
        own[owners[oid].name].append(oid.decode("ascii"))
    for one in moves:
        yield ref_changes.ref_change(store, graph, one, found, own[one.name])


def _branch(owner: ref_changes.Move) -> str | None:
    return text.decode_path(owner.short) if owner.kind is RefKind.BRANCH else None


class _CommitReader:
    """Reads commits in full: message, people, files and their lengths."""

    def __init__(self, store: Objects, graph: Graph, lengths: Lengths) -> None:
        self._store = store
        self._graph = graph
        self._lengths = lengths
        self._trees = Trees(store)

    def commit(self, oid: bytes, branch: str | None, revision: int | None) -> Commit:
        """One commit. Raises ReadingError if it, a parent or one of their trees is missing."""
        parsed = objects.commit(self._store.raw(oid)[1])
        parents = self._graph.links(oid).parents
        return Commit(
            node=oid.decode("ascii"),
            parents=tuple(parent.decode("ascii") for parent in parents),
            author=parsed.author,
            committer=parsed.committer,
            message=parsed.message,
            branch=branch,
            revision=revision,
            files=self._files(parsed.tree, parents),
            tree=None if parsed.tree is None else parsed.tree.decode("ascii"),
        )

    def _files(self, tree: bytes | None, parents: tuple[bytes, ...]) -> tuple[FileChange, ...]:
        changes, added = self._trees.changes(tree, [objects.tree(self._store.raw(parent)[1]) for parent in parents])
        return tuple(self._file(path, changes[path], path in added) for path in sorted(changes))

    def _file(self, path: bytes, sides: Sides, is_added: bool) -> FileChange:  # noqa: FBT001 - called in one place, with a word
        old, new = sides
        old_size, new_size = self._length(old), self._length(new)
        known = (old is None) == (old_size is None) and (new is None) == (new_size is None)
        kind = FileType.REMOVED if new is None else FileType.ADDED if is_added else FileType.MODIFIED
        return FileChange(text.decode_path(path), kind, old_size, new_size, known)

    def _length(self, side: Entry | None) -> int | None:
        if side is None:
            return None
        return 0 if side.is_submodule else self._lengths.of(side.oid)
