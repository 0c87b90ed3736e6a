"""Which named branches a changegroup touched, and where each stood before and after.

A named branch is no pointer: its tip is the newest of its heads that is not closed, or the newest closed one if all are
(`hg help branches`; mercurial/branchmap.py, `branchtip`). A head is a changeset that no other of the same branch descends
from, by whatever way. The tip as it was before the push is found by the same rule among the revisions below the first new
one; a push adds changesets and never takes one away, so there is no rewind and no delete.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from payload import text
from payload.push import RefAction, RefChange, RefKind


def moved(repo: Any, revisions: Sequence[int], kept: Collection[int], hidden: Collection[int]) -> tuple[RefChange, ...]:
    """A change for each branch that `revisions` (new ones, ascending) are on, in the order of their first new changeset.

    `repo` is unfiltered; `hidden` are its revisions that nobody is served. `commits` lists those that are in `kept`.
    """
    from mercurial.node import hex as to_hex

    branch_of = repo.revbranchcache().branchinfo
    revisions_of: dict[bytes, list[int]] = {}
    for revision in revisions:
        listed = revisions_of.setdefault(branch_of(revision)[0], [])
        if revision in kept:
            listed.append(revision)
    if not revisions_of:
        return ()
    before = tips(repo, revisions_of, revisions[0], hidden)
    after = tips(repo, revisions_of, revisions[-1] + 1, hidden)
    node = repo.changelog.node
    changes = []
    for branch, listed in revisions_of.items():
        name = text.decode(utf8(branch))
        old = before.get(branch)
        changes.append(
            RefChange(
                ref=name,
                name=name,
                kind=RefKind.BRANCH,
                action=RefAction.CREATE if old is None else RefAction.UPDATE,
                old=None if old is None else to_hex(node(old)).decode("ascii"),
                new=to_hex(node(after[branch])).decode("ascii"),
                commits=tuple(to_hex(node(revision)).decode("ascii") for revision in listed),
            )
        )
    return tuple(changes)


def tips(repo: Any, branches: Collection[bytes], limit: int, hidden: Collection[int]) -> dict[bytes, int]:
    """Branch -> revision of its tip among the revisions below `limit`; a branch that had none is not in it.

    Walks down from `limit`. The first changeset met of a branch is one of its heads; only where that head is closed the
    ancestors must be followed, to tell the next head from a changeset that has descendants on the branch.
    """
    branch_of = repo.revbranchcache().branchinfo
    parents_of = repo.changelog.parentrevs
    found: dict[bytes, int] = {}
    closed: dict[bytes, int] = {}
    open_yet = set(branches)
    covered: dict[bytes, set[int]] = {}  # revisions that something newer on the branch descends from
    for revision in range(limit - 1, -1, -1):
        if not open_yet:
            break
        if revision in hidden:
            continue
        here, is_closed = branch_of(revision)
        is_head = here in open_yet
        for branch, ancestors in covered.items():
            if revision in ancestors:
                ancestors.remove(revision)
                ancestors.update(parents_of(revision))
                is_head = is_head and branch != here
        if is_head and is_closed:
            closed.setdefault(here, revision)
            covered.setdefault(here, set()).update(parents_of(revision))
        elif is_head:
            found[here] = revision
            open_yet.discard(here)
            covered.pop(here, None)
    return {**closed, **found}


def utf8(raw: bytes) -> bytes:
    """Bytes in hg's local encoding -> UTF-8 as stored, where hg kept it (`localstr`), whatever the locale."""
    from mercurial import encoding

    stored: bytes = encoding.fromlocal(raw)
    return stored
