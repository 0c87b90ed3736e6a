"""What the refs that a push left alone were when it came, though it is read later.

The worker reads a repository after the hook has left, seconds or, after an outage, days later. Other pushes may have moved
other refs by then, maybe onto the very commits that are to be told: a tag on them, a merge of them. Taken at their present
values these refs would hide the commits from this push, and the refs of this push hide them from the later one: nobody
would ever hear of them. In turn, a ref that held them and has since been deleted would let them be told twice.

1. Who knows the events that came after this one in the same repository hands them in (`later`): their old values, undone
   from the newest to the oldest, are what the refs were. That is exact as long as every push left an event, and settles
   pushes at the same moment too: events have an order, so one of the two tells what both brought.
2. For any other ref there is the time of its file. One written after the event is doubted, if it now holds what this push
   brought. A tag is then taken to be new. A branch counts with what its line of first parents had before it took that in
   (the usual `git merge` on a main branch). Where nothing can be found so (it was fast-forwarded), it does not count,
   unless the push would then reach down to the first commit of the history.

What remains without `later`: a packed ref has no time of its own and counts as it is now; a ref that held the commits
before *and* moved since lets them be told again; a ref deleted or rewound since is not known of; and what merged only a
part of this push still hides that part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from githooks.reading.graph import Graph
from githooks.reading.new_commits import new_commits, oldest_first
from githooks.reading.objects import Links
from githooks.reading.refs import Refs, Value
from payload.push import Event

_TAGS = b"refs/tags/"


@dataclass(slots=True)
class Others:
    """The commits that the other refs named, peeled."""

    certain: list[bytes] = field(default_factory=list)
    doubtful: list[bytes] = field(default_factory=list)
    """Of branches that moved since the event."""


def others(graph: Graph, refs: Refs, event: Event, later: Iterable[Event], prefixes: Sequence[bytes]) -> Others:
    """The refs that `event` did not move, as they were; `later` as told above, in any order.

    `refs` are those that count, whose names begin with one of `prefixes`; of later events only these are undone.
    """
    counting = tuple(prefixes)
    values = dict(refs.values)
    for past in sorted(later, key=lambda past: (past.time, past.id), reverse=True):
        if past.path == event.path and (past.time, past.id) > (event.time, event.id):
            for update in past.refs:
                name = ref_name(update.ref)
                values.pop(name, None)
                if name.startswith(counting) and not is_zero(update.old):
                    values[name] = Value(update.old.encode("ascii", "replace"))
    moved = {ref_name(update.ref) for update in event.refs}
    # A push to a symbolic ref moves the ref it stands for, and git tells the hook the name that was pushed to.
    moved |= {refs.symbolic[name] for name in moved & refs.symbolic.keys()}
    graph.read_ahead(value.peeled or value.oid for name, value in values.items() if name not in moved)
    found = Others()
    for name, value in values.items():
        if name in moved:
            continue
        doubted = value.moved is not None and value.moved > event.time
        if doubted and name.startswith(_TAGS):
            continue
        commit = graph.peel_if_there(value.peeled or value.oid)
        if commit is not None:
            (found.doubtful if doubted else found.certain).append(commit)
    return found


def new_in_push(graph: Graph, tips: Collection[bytes], olds: Sequence[bytes], other: Others) -> dict[bytes, Links]:
    """The new commits of the push, as `new_commits` gives them; `tips` and `olds` are the values of its own refs, peeled."""
    excluded = [*olds, *other.certain]
    unknown = []
    for commit in other.doubtful:
        before = _before(graph, commit, tips)
        if before is None:
            unknown.append(commit)
        else:
            excluded.append(before)
    found = new_commits(graph, tips, excluded)
    if unknown and any(not links.parents for links in found.values()):
        found = new_commits(graph, tips, [*excluded, *unknown])
    return found


def ref_name(name: str) -> bytes:
    """A ref's name as git has it, from the event's text."""
    return name.encode("utf-8", "surrogateescape")


def is_zero(oid: str) -> bool:
    """Whether that is git's name for no object."""
    return not oid.strip("0")


def _before(graph: Graph, commit: bytes, tips: Collection[bytes]) -> bytes | None:
    """`commit`, or if it holds one of `tips`, the newest on its line of first parents that does not; None if there is none."""
    beyond = new_commits(graph, [commit], tips)
    holds = set(tips)
    for oid in oldest_first(beyond):
        if not holds.isdisjoint(beyond[oid].parents):
            holds.add(oid)
    at = commit
    while at in holds:
        if at in tips:
            return None
        at = graph.links(at).parents[0]
    return at
