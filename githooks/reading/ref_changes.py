"""What became of each ref of a push, and which new commit counts as whose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from githooks.reading import objects
from githooks.reading.at_the_time import is_zero, ref_name
from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.graph import Graph
from githooks.reading.lane import Lane
from githooks.reading.new_commits import new_commits, oldest_first
from githooks.reading.objects import TAG, Links
from payload import text
from payload.push import DROPPED_MESSAGE_BYTES, MOST_DROPPED, DroppedCommit, RefAction, RefChange, RefKind, RefUpdate

_KINDS = (
    (b"refs/heads/", RefKind.BRANCH),
    (b"refs/tags/", RefKind.TAG),
    (b"refs/notes/", RefKind.NOTE),
    (b"refs/", RefKind.OTHER),
)
_TURN = {RefKind.BRANCH: 0, RefKind.NOTE: 1, RefKind.OTHER: 1, RefKind.TAG: 2}
"""Commits that several refs brought count as the first one's, in this order."""


@dataclass(frozen=True, slots=True)
class Move:
    """One ref of the push, with the commits that its values name."""

    update: RefUpdate
    name: bytes
    """Full name."""
    short: bytes
    kind: RefKind
    old: bytes | None
    """The commit before; None if there was none: the ref was not there, or named none, or the object is gone."""
    old_is_gone: bool
    """Whether what it named before is not there any more."""
    new: bytes | None
    """The commit after; None if the ref was deleted, or names no commit."""


def move(graph: Graph, update: RefUpdate) -> Move:
    """`update` with its values peeled. Raises ReadingError if the new one is missing."""
    name = ref_name(update.ref)
    old, old_is_gone = None, False
    if not is_zero(update.old):
        try:
            old = graph.peel(update.old.encode("ascii", "replace"))
        except (ObjectMissing, ObjectBroken):
            old_is_gone = True
    prefix, kind = next((row for row in _KINDS if name.startswith(row[0])), (b"", RefKind.OTHER))
    return Move(
        update=update,
        name=name,
        short=name[len(prefix) :],
        kind=kind,
        old=old,
        old_is_gone=old_is_gone,
        new=None if is_zero(update.new) else graph.peel(update.new.encode("ascii", "replace")),
    )


def attributed(moves: Sequence[Move], head_branch: bytes | None, commits: Mapping[bytes, Links]) -> dict[bytes, Move]:
    """Commit -> the ref it counts as: HEAD's branch first, then the other branches as git told them, then the rest, tags last."""
    owners: dict[bytes, Move] = {}
    for one in sorted(moves, key=lambda one: (_TURN[one.kind], one.name != head_branch)):
        below = [one.new] if one.new is not None else []
        while below:
            oid = below.pop()
            if oid in commits and oid not in owners:
                owners[oid] = one
                below += commits[oid].parents
    return owners


def ref_change(lane: Lane, graph: Graph, one: Move, commits: Mapping[bytes, Links], own: Sequence[str]) -> RefChange:
    """What the payload says of the ref; `commits` are all new ones of the push, `own` those counted as this ref's."""
    update = one.update
    action, dropped, lost = _action(graph, one, commits)
    tag = None
    if one.kind is RefKind.TAG and action is not RefAction.DELETE:
        tag = _annotation(lane, update.new.encode("ascii", "replace"), one.new)
    return RefChange(
        ref=text.decode_path(one.name),
        name=text.decode_path(one.short),
        kind=one.kind,
        action=action,
        old=None if is_zero(update.old) else update.old,
        new=None if is_zero(update.new) else update.new,
        commits=tuple(own),
        dropped=dropped,
        dropped_commits=tuple(_dropped(lane, lost)),
        tagger=tag.tagger if tag else None,
        message=tag.message if tag else None,
    )


def _action(graph: Graph, one: Move, commits: Mapping[bytes, Links]) -> tuple[RefAction, int | None, Sequence[bytes]]:
    """What happened, how many commits the ref lost by it, and the newest of these, oldest first."""
    if is_zero(one.update.new):
        return RefAction.DELETE, 0, ()
    if is_zero(one.update.old):
        return RefAction.CREATE, 0, ()
    if one.kind is RefKind.TAG:
        return RefAction.UPDATE, 0, ()
    if one.old_is_gone:
        # Had the ref moved forward, its new value would hold the old one, and git would have kept that.
        return RefAction.REWIND, None, ()
    if one.old is None or one.new is None:
        return RefAction.UPDATE, 0, ()  # refs/foo/* may name trees and blobs, which have no history
    if _reaches(one.new, one.old, commits):
        return RefAction.UPDATE, 0, ()
    try:
        lost = new_commits(graph, [one.old], [one.new], eager=0)
    except (ObjectMissing, ObjectBroken):
        return RefAction.REWIND, None, ()
    return (RefAction.REWIND, len(lost), oldest_first(lost)[-MOST_DROPPED:]) if lost else (RefAction.UPDATE, 0, ())


def _dropped(lane: Lane, lost: Sequence[bytes]) -> Iterator[DroppedCommit]:
    for oid in lost:
        try:
            parsed = objects.commit(lane.raw(oid)[1])
        except (ObjectMissing, ObjectBroken):  # a commit-graph may outlive what it tells of
            continue
        yield DroppedCommit(oid.decode("ascii"), parsed.author, text.cut(parsed.message, DROPPED_MESSAGE_BYTES)[0])


def _reaches(new: bytes, old: bytes, commits: Mapping[bytes, Links]) -> bool:
    """Whether `old` is `new` or right below what is new on it; if not, it may still be further down."""
    seen = {new}
    below = [new]
    while below:
        oid = below.pop()
        if oid == old:
            return True
        links = commits.get(oid)
        if links is not None:
            fresh = set(links.parents) - seen
            seen |= fresh
            below += fresh
    return False


def _annotation(lane: Lane, oid: bytes, peeled: bytes | None) -> objects.RawTag | None:
    """The tag object that a ref names; None if it names what is tagged itself."""
    if oid == peeled:
        return None
    kind, raw = lane.raw(oid)
    return objects.tag(raw) if kind == TAG else None
