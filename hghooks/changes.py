"""event -> Push, over Mercurial's own API: what the changesets of one changegroup are, in the fields of `payload.push`.

The changesets are the revisions from the event's `first` to its `last`: a changegroup is appended in one piece, so all
between were new with this push, and nothing else was (`hg help internals.changegroups`). Revisions that the repository
hides from its clients (obsolete ones, secret ones) are left out, as hg leaves them out for everybody.

Files are those that Mercurial recorded with the changeset, `ctx.files()`: of a merge only those that differ from both
parents, of a rename the old and the new name, of a closed branch none.
"""

from __future__ import annotations

from typing import Any

from brokers.config import Settings
from brokers.errors import ReadingError, RepositoryUnreadable
from hghooks import branches, forge, repository
from hghooks.branches import utf8
from hghooks.errors import ChangesetMissing
from payload import text
from payload.push import Commit, Event, FileChange, FileType, Person, Push, Repository


def read(event: Event, settings: Settings, needs: frozenset[str] = frozenset(), repo: Any = None) -> Push:
    """The push that `event` is about, with the newest `settings.max_commits` of its changesets, oldest first.

    `needs` may hold `diff`: then each commit has its patch. `repo` is the repository to read, the hook's own; None opens
    the one at `event.path`, in any thread. Raises ReadingError: RepositoryGone, RepositoryUnreadable or ChangesetMissing.
    """
    from mercurial import error

    if repo is None:
        repo = repository.open_at(event.path)
    repo = repo.unfiltered()
    try:
        hidden = repo.filtered(b"served").changelog.filteredrevs
        revisions = [revision for revision in _range(repo, event) if revision not in hidden]
        kept = revisions[-settings.max_commits :] if settings.max_commits else []
        return Push(
            event=event,
            repository=_named(event, settings),
            user=text.repair(forge.pusher(event.environment) or event.login),
            refs=branches.moved(repo, revisions, frozenset(kept), hidden),
            commits=tuple(_commit(repo, revision, settings, needs) for revision in kept),
            total_commits=len(revisions),
        )
    except ReadingError:
        raise
    except (error.Error, error.RepoError, OSError) as reason:
        raise RepositoryUnreadable(event.path, f"cannot be read: {repository.told(reason)}") from reason


def _range(repo: Any, event: Event) -> range:
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


def _named(event: Event, settings: Settings) -> Repository:
    """The repository as configured, else as a forge calls it, else by its path."""
    shown = forge.repository_path(event.environment)
    owner, _, slug = (shown or "").strip("/").rpartition("/")
    return Repository.named(
        "hg",
        text.repair(event.path),
        owner=settings.owner or (text.repair(owner) if shown else None),
        name=settings.name or None,
        slug=settings.slug or text.repair(slug) or None,
        absolute_url=settings.absolute_url or None,
        website=settings.website or None,
        canon_url=settings.canon_url or None,
        is_private=settings.private,
    )


def _commit(repo: Any, revision: int, settings: Settings, needs: frozenset[str]) -> Commit:
    changeset = repo[revision]
    time_s, west_s = changeset.date()
    return Commit(
        node=changeset.hex().decode("ascii"),
        parents=tuple(parent.hex().decode("ascii") for parent in changeset.parents() if parent.rev() >= 0),
        author=Person.parse(text.decode(utf8(changeset.user())), int(time_s), -west_s),
        committer=None,
        message=text.decode(utf8(changeset.description())),
        branch=text.decode(utf8(changeset.branch())),
        revision=revision,
        files=_files(repo, changeset),
        tree=changeset.manifestnode().hex(),
        diff=_diff(repo, changeset, settings.max_diff_bytes) if "diff" in needs else None,
    )


def _files(repo: Any, changeset: Any) -> tuple[FileChange, ...]:
    """Those recorded, in Mercurial's order, which is by the bytes of the path."""
    paths = changeset.files()
    if not paths:
        return ()
    here = changeset.manifest()
    first, *others = (parent.manifest() for parent in changeset.parents())
    found = []
    for path in paths:
        if path not in here:
            file_type = FileType.REMOVED
        elif path in first or any(path in other for other in others):
            file_type = FileType.MODIFIED
        else:
            file_type = FileType.ADDED
        old_size, new_size, size_known = _sizes(repo, path, first.get(path), here.get(path))
        found.append(FileChange(text.decode_path(path), file_type, old_size, new_size, size_known))
    return tuple(found)


def _sizes(repo: Any, path: bytes, old: bytes | None, new: bytes | None) -> tuple[int | None, int | None, bool]:
    """Lengths in bytes of two revisions of a file (None: not there), and whether they could be had.

    A revlog's index has them; only a revision that records a copy is read whole. A repository that holds only some files
    or their recent past (narrow, remotefilelog) may have neither.
    """
    from mercurial import error

    try:
        log = repo.file(path)
        old_size, new_size = (None if node is None else int(log.size(log.rev(node))) for node in (old, new))
    except (error.Error, LookupError, OSError):
        return None, None, False
    return old_size, new_size, True


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
    for part in changeset.diff(match=matched, opts=mdiff.diffopts(git=True)):
        parts.append(part)
        length += len(part)
        if length > max_bytes:
            break
    return text.decode(b"".join(parts)[: max_bytes + 4])  # four bytes more than the limit are at least one character more
