"""What a push is: the facts a hook records (`Event`) and what a reader makes of them (`Push`).

All classes are frozen; all times are Unix seconds in UTC; all texts are fit for strict JSON
(`payload.text`), but for `Event`, which keeps what the hook saw to the byte (`surrogateescape`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Self

from payload import text
from payload.links import Templates

RECONCILE = "reconcile"
"""The source of a push that no hook recorded."""
MOST_DROPPED = 50
"""How many of the commits that a rewind took off a ref are told, the newest."""
DROPPED_MESSAGE_BYTES = 4096
"""As much is read of the message of each; the payload tells its first line."""
NODE_DIGITS = 12  # of a short node: hg's own short form, and what Bitbucket sent for both


class MalformedEventError(ValueError):
    """A record that is not an event; carries the reason as its text."""


class RefKind(StrEnum):
    """What sort of ref moved."""

    BRANCH = "branch"  #: refs/heads/..., or a named branch of Mercurial
    TAG = "tag"  #: refs/tags/...
    BOOKMARK = "bookmark"  #: a bookmark of Mercurial
    NOTE = "note"  #: refs/notes/...
    OTHER = "other"  #: anything else, as refs/pull/1/head


class RefAction(StrEnum):
    """What happened to a ref."""

    CREATE = "create"  #: it was not there before
    UPDATE = "update"  #: it moved forward, or a tag moved at all
    REWIND = "rewind"  #: it moved, and commits it had are no longer on it
    DELETE = "delete"  #: it is gone


class FileType(StrEnum):
    """What a commit did to a file; Bitbucket knew no other words."""

    ADDED = "added"
    MODIFIED = "modified"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One line of a hook's input: full ref name, old and new node (all zeros: none)."""

    ref: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Event:
    """The facts of one push, as the hook wrote them down; no repository was read for it."""

    id: str
    """32 hex digits, made by the hook; the same over all deliveries and attempts."""
    scm: str
    """`git` or `hg`."""
    path: str
    """Absolute path of the repository: git's directory, or the folder that holds `.hg`."""
    time: float
    """When the hook ran; of what was found later, about when it came."""
    login: str
    """The unix user the hook ran as; '' where no hook recorded it."""
    source: str
    """How the push came: `ssh`, `http` or `local`; RECONCILE where no hook recorded it, and it was found later."""
    refs: tuple[RefUpdate, ...] = ()
    """git: what moved, in the order git told it. hg: the bookmarks that moved, and nothing else."""
    first: str | None = None
    """hg: the first changeset of the changegroup (`node`), 40 hex."""
    last: str | None = None
    """hg: the last changeset of the changegroup (`node_last`), 40 hex."""
    options: tuple[str, ...] = ()
    """git push options, or hg pushvars as `NAME=VALUE`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The few variables from which forges tell who pushed to what; never a secret."""
    alert: Mapping[str, Any] = field(default_factory=dict)
    """Of an alert of Oberon's own, which is no push: `oberon.alert` of the payload; {} of a push."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The event of a spool record (`to_record`'s shape). Raises MalformedEventError, naming what is wrong."""
        try:
            if record["version"] != 1:
                raise MalformedEventError(f"event of version {record['version']!r}; this Oberon reads version 1")
            event = cls(
                id=str(record["id"]),
                scm=str(record["scm"]),
                path=str(record["path"]),
                time=float(record["time"]),
                login=str(record["login"]),
                source=str(record["source"]),
                refs=tuple(RefUpdate(str(ref), str(old), str(new)) for old, new, ref in record.get("refs", ())),
                first=record.get("first"),
                last=record.get("last"),
                options=tuple(str(option) for option in record.get("options", ())),
                environment={str(key): str(value) for key, value in record.get("environment", {}).items()},
                alert=dict(record.get("alert", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, MalformedEventError):
                raise
            raise MalformedEventError(f"not an event: {type(error).__name__}: {error}") from error
        if not (len(event.id) == 32 and all(digit in "0123456789abcdef" for digit in event.id)):  # noqa: PLR2004 - stated in `id`'s docstring
            raise MalformedEventError(f"event id {event.id!r} is not 32 hex digits")
        if event.scm not in ("git", "hg"):
            raise MalformedEventError(f"scm {event.scm!r} is neither git nor hg")
        try:
            event.path.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise MalformedEventError(f"repository path {event.path!r} cannot be one") from error
        if not event.path.startswith("/"):
            raise MalformedEventError(f"repository path {event.path!r} is not absolute")
        if not math.isfinite(event.time):
            raise MalformedEventError(f"time {event.time!r} is no time")
        for which, node in (("first", event.first), ("last", event.last)):
            if not isinstance(node, str | None):
                raise MalformedEventError(f"{which} {node!r} is no node")
        return event

    def to_record(self) -> dict[str, Any]:
        """The event as the hooks write it to the spool (JSON-able, see `brokers.delivery.spool`)."""
        return {
            "version": 1,
            "id": self.id,
            "scm": self.scm,
            "path": self.path,
            "time": self.time,
            "login": self.login,
            "source": self.source,
            "refs": [[update.old, update.new, update.ref] for update in self.refs],
            "first": self.first,
            "last": self.last,
            "options": list(self.options),
            "environment": dict(self.environment),
            **({"alert": dict(self.alert)} if self.alert else {}),
        }


@dataclass(frozen=True, slots=True)
class Person:
    """An author, committer or tagger, as stored."""

    raw: str
    """All of it: `Name <mail>`."""
    name: str
    """The part before the address; '' if there is none."""
    email: str
    """The part between the angle brackets; '' if there is none."""
    time: int | None = None
    """Unix seconds; None if absent or unreadable."""
    offset_s: int | None = None
    """Seconds EAST of UTC (git's sign; hg's is turned round); None if absent."""

    @classmethod
    def parse(cls, raw: str, time: int | None = None, offset_s: int | None = None) -> Self:
        """A person from `Name <mail>`; without brackets, all of it is the name, or the mail if it looks like one."""
        name, bracket, rest = raw.partition("<")
        if bracket:
            return cls(raw, name.strip(), rest.rpartition(">")[0].strip() if ">" in rest else rest.strip(), time, offset_s)
        bare = raw.strip()
        if "@" in bare and " " not in bare:
            return cls(raw, "", bare, time, offset_s)
        return cls(raw, bare, "", time, offset_s)


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that a commit changed. Sizes are in bytes; None: not on that side, or not known."""

    path: str
    type: FileType
    old_size: int | None = None
    """Length in the first parent; 0 for a submodule, the target's length for a symlink."""
    new_size: int | None = None
    size_known: bool = True
    """False if a side that is there could not be measured (a missing object of a partial clone)."""

    @property
    def growth(self) -> int | None:
        """Bytes by which the file grew; None if unknown."""
        return (self.new_size or 0) - (self.old_size or 0) if self.size_known else None


@dataclass(frozen=True, slots=True)
class Commit:
    """One new commit (Mercurial: changeset)."""

    node: str
    """All hex digits: 40, or 64 in a SHA-256 repository."""
    parents: tuple[str, ...]
    """All hex digits each, first parent first; () for a root."""
    author: Person
    committer: Person | None
    """None in Mercurial, which has one person per changeset."""
    message: str
    branch: str | None
    """hg: the named branch. git: the branch this push put it on; None when only a tag reaches it."""
    revision: int | None
    """hg: the local revision number. git: the number of commits up to and with this one; None if not counted."""
    files: tuple[FileChange, ...]
    """Sorted by path, as many as are listed; of a merge only those that differ from all parents."""
    tree: str | None = None
    """git: the tree; hg: the manifest."""
    diff: str | None = None
    """The patch, for brokers that declare `needs = {'diff'}`."""
    diff_known: bool = True
    """False if a patch was asked for and cannot be made (a missing object, its time limit); `diff` is '' then."""

    more_files: int = 0
    """How many changed besides those listed, as far as they were looked at."""
    more_growth: int | None = 0
    """By how many bytes these grew; None if that is unknown, or not all were looked at."""

    @property
    def total_files(self) -> int:
        """How many files changed, as far as they were looked at."""
        return len(self.files) + self.more_files

    @property
    def size(self) -> int | None:
        """Net growth of its files in bytes, the number Bitbucket sent until 2011; None if any is unknown."""
        if self.more_growth is None:
            return None
        total = self.more_growth
        for change in self.files:
            growth = change.growth
            if growth is None:
                return None
            total += growth
        return total


@dataclass(frozen=True, slots=True)
class DroppedCommit:
    """A commit that a rewind took off a ref; other refs may hold it still."""

    node: str
    """All hex digits."""
    author: Person
    message: str


@dataclass(frozen=True, slots=True)
class RefChange:
    """A ref that the push moved, with what that meant."""

    ref: str
    """Full name (git), or branch or bookmark (hg)."""
    name: str
    """Short name: without refs/heads/ and its like."""
    kind: RefKind
    action: RefAction
    old: str | None
    """Full node before; None when it was created."""
    new: str | None
    """Full node after; None when it was deleted."""
    commits: tuple[str, ...] = ()
    """Full nodes of the new commits attributed to this ref, oldest first."""
    dropped: int | None = 0
    """How many commits a rewind took off it; None if that can no longer be known."""
    dropped_commits: tuple[DroppedCommit, ...] = ()
    """The newest MOST_DROPPED of these, oldest first."""
    tagger: Person | None = None
    message: str | None = None
    """Of an annotated tag."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository as the payload tells it."""

    scm: str
    name: str
    owner: str
    slug: str
    absolute_url: str
    """Begins and ends with `/`."""
    website: str = ""
    canon_url: str = ""
    """No trailing `/`; '' if not configured."""
    fork: bool = False
    is_private: bool = True
    links: Templates = Templates()  # noqa: RUF009 - frozen, so shared without harm
    """Where its web interface has its pages."""

    @classmethod
    def named(
        cls,
        scm: str,
        path: str,
        *,
        owner: str | None = None,
        name: str | None = None,
        slug: str | None = None,
        absolute_url: str | None = None,
        website: str | None = None,
        canon_url: str | None = None,
        is_private: bool = True,
        links: Templates | None = None,
    ) -> Self:
        """The repository at `path`; what is None follows from the path, and of `links` is those of no web interface.

        `/srv/git/team/app.git` gives owner `team`, name and slug `app`, absolute_url `/team/app/`;
        a `.git` or `.hg` folder counts as the folder that holds it. `website` falls back to `canon_url`
        with a `/`, so that the recipe of 2009 (website + absolute_url[1:]) gives a working address.
        `path` may have bytes that `surrogateescape` smuggled in; the names made of it have none.
        """
        place = PurePosixPath(text.repair(path))
        if place.name in (".git", ".hg"):
            place = place.parent
        slug = slug or place.name.removesuffix(".git") or scm
        owner = owner if owner is not None else place.parent.name
        canon_url = (canon_url or "").rstrip("/")
        absolute_url = absolute_url or (f"/{owner}/{slug}/" if owner else f"/{slug}/")
        return cls(
            scm=scm,
            name=name or slug,
            owner=owner,
            slug=slug,
            absolute_url="/" + absolute_url.strip("/") + "/" if absolute_url.strip("/") else "/",
            website=website if website is not None else (canon_url + "/" if canon_url else ""),
            canon_url=canon_url,
            is_private=is_private,
            links=links or Templates(),
        )


@dataclass(frozen=True, slots=True)
class Push:
    """An event with what its repository says about it."""

    event: Event
    repository: Repository
    user: str
    """Who pushed: as the forge or web server names them, else the unix user."""
    refs: tuple[RefChange, ...]
    commits: tuple[Commit, ...]
    """Oldest first; at most the newest `maxCommits`."""
    total_commits: int
    """How many there were before that limit."""
