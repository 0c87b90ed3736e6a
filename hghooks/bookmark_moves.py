"""Which bookmarks a push moved, and what that meant: the `refs` of an hg event -> RefChange.

The hook has written down where each stood and stands (`hghooks.facts.bookmark_moves`); all `refs` of an hg event are
bookmarks, for a named branch is no pointer. A bookmark brings no changesets of its own: those are on their named branches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from hghooks.branches import utf8
from hghooks.people import person
from payload import text
from payload.push import DROPPED_MESSAGE_BYTES, MOST_DROPPED, DroppedCommit, RefAction, RefChange, RefKind, RefUpdate


def moved(repo: Any, updates: Iterable[RefUpdate], hidden: Collection[int]) -> tuple[RefChange, ...]:
    """A change for each of `updates`, in their order. `repo` is unfiltered; `hidden` are its revisions nobody is served.

    A move to anything but a descendant is a rewind; `dropped` counts the changesets it left behind, without hidden ones,
    as those that were amended. It is None where either end has been stripped since.
    """
    return tuple(_change(repo, update, hidden) for update in updates)


def _change(repo: Any, update: RefUpdate, hidden: Collection[int]) -> RefChange:
    old, new = (None if not node.strip("0") else node for node in (update.old, update.new))
    action, dropped, lost = _action(repo, old, new, hidden)
    name = text.repair(update.ref)
    told = tuple(_dropped(repo[rev]) for rev in lost[-MOST_DROPPED:])
    return RefChange(name, name, RefKind.BOOKMARK, action, old, new, dropped=dropped, dropped_commits=told)


def _dropped(changeset: Any) -> DroppedCommit:
    message = text.cut(text.decode(utf8(changeset.description())), DROPPED_MESSAGE_BYTES)[0]
    return DroppedCommit(changeset.hex().decode("ascii"), person(changeset), message)


def _action(repo: Any, old: str | None, new: str | None, hidden: Collection[int]) -> tuple[RefAction, int | None, Sequence[int]]:
    """What happened, how many changesets it left behind, and these, oldest first."""
    from mercurial import error

    if old is None:
        return RefAction.CREATE, 0, ()
    if new is None:
        return RefAction.DELETE, 0, ()
    changelog = repo.changelog
    try:
        left, right = changelog.rev(bytes.fromhex(old)), changelog.rev(bytes.fromhex(new))
    except (error.LookupError, ValueError):
        return RefAction.REWIND, None, ()
    if changelog.isancestorrev(left, right):
        return RefAction.UPDATE, 0, ()
    lost = [rev for rev in changelog.findmissingrevs([right], [left]) if rev not in hidden]
    return RefAction.REWIND, len(lost), lost
