"""push -> payload: the plain dictionary that a broker's `handle` receives.

`compose` makes what is the same for every service, once; `copied` and `address` make one service's own of it.
`build` is both. Everything in a payload is JSON-able, and each limit that cut something is marked where it cut.

The keys are those Bitbucket's brokers received from 2008 to 2015, in its words and forms; what it never had stands
under `oberon`. Evidence for each: DESIGN section 4 and the project's notes on the surviving receivers.
"""

from __future__ import annotations

import copy
import marshal
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from payload import links, text
from payload.push import NODE_DIGITS, Commit, DroppedCommit, FileChange, Person, Push, RefChange, RefKind, Repository

SCHEMA_VERSION = 1

# The range in which every calendar and every zone can write a date: 0001-01-02 to 9999-12-30.
_EARLIEST_S = -62_135_510_400
_LATEST_S = 253_402_128_000
_FIRST_LINE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Service:
    """One configured destination, as far as the payload tells it."""

    broker: str
    """The broker's name, lower case."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Field name in lower case -> value; secrets resolved."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a push goes into its payload; all counts and bytes, none of them 0 for "no limit"."""

    max_commits: int = 1000
    """The newest ones are kept."""
    max_files: int = 1000
    """Per commit, the first by path."""
    max_message_bytes: int = 64 * 1024
    max_diff_bytes: int = 256 * 1024


def build(
    push: Push,
    service: Service,
    *,
    sequence: int | None = None,
    zone: tzinfo | None = None,
    limits: Limits | None = None,
    authors: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The payload of `push` for `service`: a new dictionary that is the caller's to change.

    `sequence` counts pushes up per repository (None: not counted). `zone` is the server's zone for `timestamp`
    (None: the one this machine is set to). `authors` maps a mail address in lower case to a login.
    """
    return address(compose(push, sequence=sequence, zone=zone, limits=limits, authors=authors), service)


def address(composed: dict[str, Any], service: Service) -> dict[str, Any]:
    """What `compose` made, with `broker` and `service` of one service, whose own it becomes: others need `copied` ones."""
    return {"broker": service.broker, "service": copy.deepcopy(dict(service.settings)), **composed}


def copied(composed: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of what `compose` made."""
    # A tenth of the time that `copy.deepcopy` takes; `compose` puts in nothing that is not plain.
    own: dict[str, Any] = marshal.loads(marshal.dumps(dict(composed)))  # noqa: S302 - our own bytes
    return own


def compose(
    push: Push,
    *,
    sequence: int | None = None,
    zone: tzinfo | None = None,
    limits: Limits | None = None,
    authors: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The payload of `push` less `broker` and `service`; arguments as for `build`."""
    limits = limits or Limits()
    authors = authors or {}
    commits = push.commits[-limits.max_commits :] if limits.max_commits else ()
    kept = {commit.node for commit in commits}
    repository = push.repository
    known = _known(repository)
    return {
        "repository": {
            "absolute_url": repository.absolute_url,
            "name": repository.name,
            "owner": repository.owner,
            "slug": repository.slug,
            "website": repository.website,
            "scm": repository.scm,
            "fork": repository.fork,
            "is_private": repository.is_private,
        },
        "commits": [_commit(commit, zone, limits, authors) for commit in commits],
        "canon_url": repository.canon_url,
        "user": push.user,
        "truncated": len(commits) < push.total_commits,
        "oberon": {
            "version": SCHEMA_VERSION,
            "event": push.event.id,
            "sequence": sequence,
            "time": _iso(push.event.time),
            "refs": [_ref(change, kept, limits) for change in push.refs],
            "options": [text.repair(option) for option in push.event.options],
            "total_commits": push.total_commits,
            "source": push.event.source,
            "links": {
                "repository": links.fill(repository.links.repository, known),
                "compare": _compare_url(push, known),
            },
            "commits": {commit.node: _details(commit, limits, _commit_url(commit, repository, known)) for commit in commits},
            **({"alert": dict(push.event.alert)} if push.event.alert else {}),
        },
    }


def _commit(commit: Commit, zone: tzinfo | None, limits: Limits, authors: Mapping[str, str]) -> dict[str, Any]:
    author = commit.author
    return {
        "node": commit.node[:NODE_DIGITS],
        "raw_node": commit.node,
        "parents": [parent[:NODE_DIGITS] for parent in commit.parents],
        "author": authors.get(author.email.lower()) or author.name or author.raw,
        "raw_author": author.raw,
        "branch": commit.branch,
        "message": text.cut(commit.message, limits.max_message_bytes)[0],
        "revision": commit.revision,
        "size": commit.size,
        "timestamp": _local_time(author.time, zone),
        "utctimestamp": _utc_time(author.time),
        "files": [{"file": change.path, "type": str(change.type)} for change in commit.files[: limits.max_files]],
    }


def _details(commit: Commit, limits: Limits, url: str | None) -> dict[str, Any]:
    details: dict[str, Any] = {
        "author": _person(commit.author),
        "committer": _person(commit.committer) if commit.committer else None,
        "tree": commit.tree,
        "url": url,
        "total_files": commit.total_files,
        "files": [_file(change) for change in commit.files[: limits.max_files]],
    }
    cut = []
    if commit.total_files > min(len(commit.files), limits.max_files):
        cut.append("files")
    if text.cut(commit.message, limits.max_message_bytes)[1]:
        cut.append("message")
    if commit.diff is not None:
        details["diff"], diff_was_cut = text.cut(commit.diff, limits.max_diff_bytes)
        if diff_was_cut or not commit.diff_known:
            cut.append("diff")
    details["truncated"] = cut
    return details


def _known(repository: Repository) -> dict[str, str]:
    """What is the same in each of the repository's links."""
    return links.values(
        repository.canon_url, repository.absolute_url, owner=repository.owner, name=repository.name, slug=repository.slug
    )


def _commit_url(commit: Commit, repository: Repository, known: Mapping[str, str]) -> str | None:
    if repository.links.commit is None:
        return None
    own = links.encoded(node=commit.node, short=commit.node[:NODE_DIGITS], branch=commit.branch)
    return links.fill(repository.links.commit, {**known, **own})


def _compare_url(push: Push, known: Mapping[str, str]) -> str | None:
    """What a branch has now and had not before: the first that brought commits, else that moved. None if all are new or gone."""
    all_moved = [change for change in push.refs if change.kind is RefKind.BRANCH and change.old and change.new]
    if not all_moved:
        return None
    moved = next((change for change in all_moved if change.commits), all_moved[0])
    own = links.encoded(old=moved.old, new=moved.new, branch=moved.name, ref=moved.ref)
    return links.fill(push.repository.links.compare, {**known, **own})


def _file(change: FileChange) -> dict[str, Any]:
    return {
        "file": change.path,
        "type": str(change.type),
        "old_size": change.old_size,
        "new_size": change.new_size,
    }


def _person(person: Person) -> dict[str, Any]:
    return {"name": person.name, "email": person.email, "date": _zoned_time(person.time, person.offset_s)}


def _ref(change: RefChange, kept: Container[str], limits: Limits) -> dict[str, Any]:
    ref: dict[str, Any] = {
        "ref": change.ref,
        "name": change.name,
        "kind": str(change.kind),
        "action": str(change.action),
        "old": change.old,
        "new": change.new,
        "commits": [node[:NODE_DIGITS] for node in change.commits if node in kept],
        "dropped": change.dropped,
    }
    if change.dropped_commits:
        ref["dropped_commits"] = [_dropped(commit) for commit in change.dropped_commits]
    if change.tagger is not None:
        ref["tagger"] = _person(change.tagger)
    if change.message is not None:
        ref["message"], was_cut = text.cut(change.message, limits.max_message_bytes)
        if was_cut:
            ref["truncated"] = ["message"]
    return ref


def _dropped(commit: DroppedCommit) -> dict[str, Any]:
    first_line = next((line.strip() for line in commit.message.splitlines() if line.strip()), "")
    return {
        "node": commit.node[:NODE_DIGITS],
        "raw_node": commit.node,
        "raw_author": commit.author.raw,
        "message": text.cut(first_line, _FIRST_LINE_BYTES)[0],
    }


def _clamped(time_s: float) -> float:
    return min(max(time_s, _EARLIEST_S), _LATEST_S)


def _local_time(time_s: int | None, zone: tzinfo | None) -> str | None:
    """`YYYY-MM-DD HH:MM:SS` in `zone`, as Bitbucket wrote `timestamp`."""
    if time_s is None:
        return None
    return _in_utc(time_s).astimezone(zone).replace(tzinfo=None).isoformat(" ")


def _utc_time(time_s: int | None) -> str | None:
    """`YYYY-MM-DD HH:MM:SS+00:00`."""
    if time_s is None:
        return None
    return _in_utc(time_s).isoformat(" ")


def _zoned_time(time_s: int | None, offset_s: int | None) -> str | None:
    """RFC 3339 with the person's own offset; UTC where that offset is none a clock could show (RFC 3339 allows 23:59)."""
    if time_s is None:
        return None
    moment = _in_utc(time_s)
    if offset_s is None or offset_s % 60 or abs(offset_s) >= 86_400:  # noqa: PLR2004 - seconds of a day
        return moment.isoformat()
    return moment.astimezone(timezone(timedelta(seconds=offset_s))).isoformat()


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(_clamped(time_s), UTC).isoformat(timespec="milliseconds")


def _in_utc(time_s: int) -> datetime:
    return datetime.fromtimestamp(_clamped(time_s), UTC)
