"""How long the changelog of a Mercurial repository is now, and which of its changesets no recorded push has brought."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from brokers.delivery.standing import Changelog, KnownChangelog
from brokers.errors import ReadingError, RepositoryUnreadable
from hghooks import repository


def standing(path: str, known: KnownChangelog) -> Changelog:
    """The changelog of the repository at `path`, against what is `known` of it. Raises ReadingError.

    Lost are public changesets only: what was pushed is public (unless `phases.publish` is off), what was committed in the
    repository itself is a draft. Where changesets that were known are no longer there (stripped, or replaced), the present is
    taken for known.
    """
    repo = repository.open_at(path).unfiltered()
    try:
        log = repo.changelog
        lost = _unknown(log, known)
        hidden = repo.filtered(b"served").changelog.filteredrevs if lost else frozenset()
        told = [revision for revision in lost if revision not in hidden and repo[revision].phase() == 0]
        return Changelog(
            len(log), _tip(log, len(log)), tuple((_node(log, first), _node(log, last)) for first, last in _runs(told))
        )
    except ReadingError:
        raise
    except Exception as reason:  # of damage Mercurial may raise anything
        raise RepositoryUnreadable(path, f"cannot be read: {repository.told(reason)}") from reason


def _unknown(log: Any, known: KnownChangelog) -> list[int]:
    """Revisions that came since, and are in no changegroup that is known."""
    from mercurial import error

    try:
        ranges = [range(log.rev(bytes.fromhex(first)), log.rev(bytes.fromhex(last)) + 1) for first, last in known.changegroups]
    except error.LookupError:
        return []
    begin = known.length
    if begin is None:
        begin = min((each.start for each in ranges), default=len(log))
    elif begin > len(log) or _tip(log, begin) != known.tip:
        return []
    covered = {revision for each in ranges for revision in each}
    return [revision for revision in range(begin, len(log)) if revision not in covered]


def _runs(revisions: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of those that follow one another."""
    ends = [-2, *revisions]
    starts = [at for at, (before, revision) in enumerate(pairwise(ends), 1) if revision != before + 1]
    for start, end in pairwise([*starts, len(ends)]):
        yield ends[start], ends[end - 1]


def _tip(log: Any, length: int) -> str:
    return _node(log, length - 1) if length else ""


def _node(log: Any, revision: int) -> str:
    node: str = log.node(revision).hex()
    return node
