"""The payload's types, for authors of brokers, and the published contract that says the same to other languages.

    from typing import cast
    from payload.schema import Payload

    class Chat(BaseBroker):
        def handle(self, payload):
            push = cast(Payload, payload)
            push["repository"]["name"]          # an editor and mypy now know every key

`payload.schema.json` is JSON Schema 2020-12, `urn:oberon:payload:1`: `document()` reads it. A key is added without a new
version only where the schema leaves room (in `service`, and inside the refs, links, persons and commit details of `oberon`); any
other change is a new version.
"""

# No `from __future__ import annotations`: it would hide NotRequired from `__required_keys__`.

import json
from importlib import resources
from typing import Any, Literal, NotRequired, TypedDict

URN = "urn:oberon:payload:1"

_DOCUMENT = "payload.schema.json"


class File(TypedDict):
    """A file that a commit changed. A rename is a file removed and a file added."""

    file: str
    """Path from the repository's root, `/` between its parts."""
    type: Literal["added", "modified", "removed"]


class Commit(TypedDict):
    """One new commit, in the words of 2008 to 2015."""

    node: str
    """The first 12 hex digits."""
    raw_node: str
    """All 40, or 64 in a SHA-256 repository; the key into `oberon.commits`."""
    parents: list[str]
    """12 hex digits each, the first parent first; [] for a root."""
    author: str
    """The login that `oberon.authorMap` has for the address, else the name in `raw_author`, else all of it."""
    raw_author: str
    """`Name <mail>`, as stored."""
    branch: str | None
    """hg: the named branch. git: the branch this push put it on; None when only a tag reaches it."""
    message: str
    """As stored, so git's ends with a newline; at most `oberon.maxMessage` bytes."""
    revision: int | None
    """hg: the local revision number. git: how many commits there are up to this one; None when not counted."""
    size: int | None
    """Bytes by which the changed files grew, negative when they shrank; None if unknown."""
    timestamp: str | None
    """When it was written, `YYYY-MM-DD HH:MM:SS` in the server's zone; None if the commit does not tell."""
    utctimestamp: str | None
    """The same moment, `YYYY-MM-DD HH:MM:SS+00:00`."""
    files: list[File]
    """By path; of a merge those that differ from all parents; at most `oberon.maxFiles`."""


class Repository(TypedDict):
    """The repository that was pushed to."""

    absolute_url: str
    """Path below `canon_url`; begins and ends with `/`."""
    name: str
    """For people."""
    owner: str
    """A login or the folder it is in; never an object; '' where there is none."""
    slug: str
    """For addresses."""
    website: str
    """The project's website, else `canon_url` with a `/`; '' if neither is configured."""
    scm: Literal["git", "hg"]
    fork: bool
    is_private: bool


class Person(TypedDict):
    """An author, committer or tagger."""

    name: str
    """'' if there is none."""
    email: str
    """'' if there is none."""
    date: str | None
    """RFC 3339 with the person's own offset; None if it is not told."""


class FileSizes(TypedDict):
    """A changed file with its lengths in bytes; 0 for a submodule, the target's length for a symlink."""

    file: str
    type: Literal["added", "modified", "removed"]
    old_size: int | None
    """In the first parent; None if it was not there, or is not known."""
    new_size: int | None
    """In the commit; None if it is no longer there, or is not known."""


class CommitDetails(TypedDict):
    """What the keys of `Commit` cannot say."""

    author: Person
    committer: Person | None
    """None in Mercurial, which has one person per changeset."""
    tree: str | None
    """git: the tree. hg: the manifest. All hex digits."""
    url: str | None
    """Its page in the web interface (`oberon.links`), http or https; None if there is none."""
    total_files: int
    """How many there were before `oberon.maxFiles`."""
    files: list[FileSizes]
    diff: NotRequired[str]
    """There only for brokers that declare `needs = {'diff'}`; at most `oberon.maxDiff` bytes.

    '' if it cannot be made; then `truncated` names it.
    """
    truncated: list[Literal["files", "message", "diff"]]
    """What a limit cut, here and in the commit; [] if nothing was."""


class DroppedCommit(TypedDict):
    """A commit that a rewind took off a ref; other refs may hold it still."""

    node: str
    """The first 12 hex digits."""
    raw_node: str
    """All hex digits."""
    raw_author: str
    """As stored: `Name <mail>`."""
    message: str
    """The first line of its message, at most 1 KiB."""


class Ref(TypedDict):
    """A branch, tag, bookmark or other ref that the push moved."""

    ref: str
    """git: the full name, as `refs/heads/main`. hg: the branch, tag or bookmark."""
    name: str
    """The short name, as `main`."""
    kind: Literal["branch", "tag", "bookmark", "note", "other"]
    action: Literal["create", "update", "rewind", "delete"]
    """`rewind`: it moved, and commits it had are no longer on it."""
    old: str | None
    """All hex digits; None when it was created."""
    new: str | None
    """All hex digits; None when it was deleted."""
    commits: list[str]
    """Which of the payload's `commits` it brought, oldest first, 12 hex digits each."""
    dropped: int | None
    """How many commits a rewind took off it; None if that can no longer be known."""
    dropped_commits: NotRequired[list[DroppedCommit]]
    """There only of a rewind: the newest 50 of these, oldest first."""
    tagger: NotRequired[Person]
    """Of an annotated tag."""
    message: NotRequired[str]
    """Of an annotated tag; at most `oberon.maxMessage` bytes."""
    truncated: NotRequired[list[Literal["message"]]]
    """There only if a limit cut the message."""


class Links(TypedDict):
    """Pages for people, http or https; None where the web interface (`oberon.links`) has none."""

    repository: str | None
    """The repository's page: `canon_url` + `absolute_url` as an address, if the web interface has no other rule."""
    compare: str | None
    """What changed on the first branch that was there before the push and is still there."""


class Alert(TypedDict):
    """What Oberon has to say of itself: this is no push."""

    kind: Literal["dead", "disabled", "unread"]
    """A delivery was given up, a service was switched off, a push cannot be read."""
    service: str
    """The service it is about; '' for `unread`."""
    reason: str
    """One line."""
    deliveries: int
    """How many of that service were given up since the last alert about it."""
    text: str
    """For people: what happened and why, and on a second line the way out."""


class Filtered(TypedDict):
    """What the filters of a service left out of its payload."""

    commits: int
    """How many of the commits."""
    refs: int
    """How many of the refs."""
    by: list[str]
    """Which filters, as `paths filter` or `the mark [skip ci]`."""


class Oberon(TypedDict):
    """What Bitbucket never had."""

    version: Literal[1]
    """Of this contract."""
    event: str
    """32 hex digits: the push. The same for all services and all attempts, so a receiver can tell a repeat."""
    sequence: int | None
    """Counts the repository's pushes up; None when not counted."""
    time: str
    """When the hook ran: RFC 3339, UTC, milliseconds."""
    refs: list[Ref]
    """In the order in which the SCM told them."""
    options: list[str]
    """git push options, or hg pushvars as `NAME=VALUE`."""
    total_commits: int
    """How many commits there were before `oberon.maxCommits`, less those that the service's filters left out."""
    source: Literal["ssh", "http", "local", "reconcile"]
    """How the push came; `reconcile`: no hook could record it, and it was found later."""
    links: Links
    commits: dict[str, CommitDetails]
    """`raw_node` of each commit -> more about it."""
    alert: NotRequired[Alert]
    """Only where `oberon.alert` names this service, and this is no push: `commits` and `refs` are empty then."""
    filtered: NotRequired[Filtered]
    """Only where the filters of the service left something out."""


class Payload(TypedDict):
    """What `handle(payload)` receives: the broker's own copy, to change as it likes."""

    broker: str
    """The broker's name."""
    service: dict[str, Any]
    """The service's settings: field name in lower case -> value, secrets resolved. Never to be sent on or logged."""
    repository: Repository
    commits: list[Commit]
    """Oldest first, the newest `oberon.maxCommits`; [] when a push only moved, made or removed refs."""
    canon_url: str
    """Address of the server, no `/` at its end; '' if it is not configured."""
    user: str
    """Who pushed."""
    truncated: bool
    """Whether there were more commits than are listed."""
    oberon: Oberon


def document() -> dict[str, Any]:
    """A fresh copy of the published contract, to validate with: `Draft202012Validator(document()).validate(payload)`."""
    read: dict[str, Any] = json.loads(resources.files("payload").joinpath(_DOCUMENT).read_text("utf-8"))
    return read
