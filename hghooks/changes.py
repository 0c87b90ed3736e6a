"""event -> Push, over Mercurial's own API: what the changesets of one changegroup are, in the fields of `payload.push`.

The changesets are the revisions from the event's `first` to its `last`: a changegroup is appended in one piece, so all
between were new with this push, and nothing else was (`hg help internals.changegroups`). Revisions that the repository
hides from its clients (obsolete ones, secret ones) are left out, as hg leaves them out for everybody.

Files are those that Mercurial recorded with the changeset, `ctx.files()`: of a merge only those that differ from both
parents, of a rename the old and the new name, of a closed branch none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from brokers.config import Settings
from brokers.errors import ReadingError, RepositoryUnreadable
from hghooks import bookmark_moves, branches, files, forge, repository
from hghooks.branches import utf8
from hghooks.errors import ChangesetMissing
from hghooks.people import person
from payload import text
from payload.push import Commit, Event, Push, RefChange, Repository

PROGRESS_EVERY = 100  # changesets


@dataclass(frozen=True, slots=True)
class Reading:
    """A push whose commits are read as they are asked for."""

    repository: Repository
    user: str
    refs: tuple[RefChange, ...]
    total_commits: int
    commits: Iterator[Commit]
    """The newest `settings.max_commits`, oldest first, once. Raises RepositoryUnreadable."""


def read(
    event: Event,
    settings: Settings,
    needs: frozenset[str] = frozenset(),
    repo: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Push:
    """The push that `event` is about, with the newest `settings.max_commits` of its changesets, oldest first.

    `needs` may hold `diff`: then each commit has its patch. `repo` is the repository to read, the hook's own; None opens
    the one at `event.path`, in any thread. `progress` is called in this thread as (commits read, commits to read), first as
    (0, n), then now and then. Raises ReadingError: RepositoryGone, RepositoryUnreadable or ChangesetMissing.
    """
    with opened(event, settings, needs, repo, progress) as reading:
        return Push(event, reading.repository, reading.user, reading.refs, tuple(reading.commits), reading.total_commits)


@contextmanager
def opened(
    event: Event,
    settings: Settings,
    needs: frozenset[str] = frozenset(),
    repo: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Reading]:
    """As `read`, but with commits that are read one by one, within the context: memory does not grow with their number."""
    if repo is None:
        repo = repository.open_at(event.path)
    repo = repo.unfiltered()
    with ExitStack() as stack:
        with _told(event):
            hidden = repo.filtered(b"served").changelog.filteredrevs
            revisions = [revision for revision in _range(repo, event) if revision not in hidden]
            kept = revisions[-settings.max_commits :] if settings.max_commits else []
            refs = branches.moved(repo, revisions, frozenset(kept), hidden) + bookmark_moves.moved(repo, event.refs, hidden)
            for log in (repo.changelog, repo.manifestlog.getstorage(b"")):
                stack.enter_context(files.kept_open(log))
        yield Reading(
            repository=forge.repository(event, settings),
            user=text.repair(forge.pusher(event)),
            refs=refs,
            total_commits=len(revisions),
            commits=_commits(repo, event, kept, settings, needs, progress),
        )


@contextmanager
def _told(event: Event) -> Iterator[None]:
    """What Mercurial raises becomes RepositoryUnreadable; of damage it may raise anything."""
    try:
        yield
    except ReadingError:
        raise
    except Exception as reason:
        raise RepositoryUnreadable(event.path, f"cannot be read: {repository.told(reason)}") from reason


def _range(repo: Any, event: Event) -> range:
    if event.first is None and event.refs:
        return range(0)  # a push of bookmarks alone
    if event.first is None:
        raise ReadingError(event.path, "the event names no changeset")
    return range(_revision(repo, event, event.first), _revision(repo, event, event.last or event.first) + 1)


def _revision(repo: Any, event: Event, node: str) -> int:
    from mercurial import error

    try:
        revision: int = repo.changelog.rev(bytes.fromhex(node))
    except (error.LookupError, ValueError) as reason:
        raise ChangesetMissing(event.path, node) from reason
    return revision


def _commits(
    repo: Any,
    event: Event,
    revisions: Sequence[int],
    settings: Settings,
    needs: frozenset[str],
    progress: Callable[[int, int], None] | None,
) -> Iterator[Commit]:
    with _told(event):
        changed = files.Files(repo)
    for number, revision in enumerate(revisions):
        if progress is not None and number % PROGRESS_EVERY == 0:
            progress(number, len(revisions))
        with _told(event):
            commit = _commit(repo, revision, changed, settings, needs)
        yield commit
    if progress is not None:
        progress(len(revisions), len(revisions))


def _commit(repo: Any, revision: int, changed: files.Files, settings: Settings, needs: frozenset[str]) -> Commit:
    changeset = repo[revision]
    changes = changed.of(changeset)
    growths = [change.growth for change in changes[settings.max_files :]]
    return Commit(
        node=changeset.hex().decode("ascii"),
        parents=tuple(parent.hex().decode("ascii") for parent in changeset.parents() if parent.rev() >= 0),
        author=person(changeset),
        committer=None,
        # A character more: whoever cuts it sees that there was more.
        message=text.cut(text.decode(utf8(changeset.description())), settings.max_message_bytes + 4)[0],
        branch=text.decode(utf8(changeset.branch())),
        revision=revision,
        files=changes[: settings.max_files],
        more_files=len(growths),
        more_growth=None if None in growths else sum(filter(None, growths)),
        tree=changeset.manifestnode().hex(),
        diff=_diff(repo, changeset, settings.max_diff_bytes) if "diff" in needs else None,
    )


def _diff(repo: Any, changeset: Any, max_bytes: int) -> str:
    """The patch in git's form against the first parent, of the files recorded; read until it is longer than `max_bytes`.

    Whoever cuts it sees that there was more. Settings of `[diff]` do not count: a payload looks the same on each server.
    """
    from mercurial import mdiff, scmutil

    if not changeset.files():
        return ""
    parts: list[bytes] = []
    length = 0
    matched = scmutil.matchfiles(repo, changeset.files())
    for part in changeset.diff(match=matched, opts=mdiff.diffopts(git=True, nobinary=True)):
        parts.append(part)
        length += len(part)
        if length > max_bytes:
            break
    return text.decode(b"".join(parts)[: max_bytes + 4])  # four bytes more than the limit are at least one character more
