"""Whom a push is for: everybody of `to` gets all of it, and a file says who gets which part.

    # lines of that file: what = addresses
    docs/             = writers@example.org               commits that touch a file below docs/
    *.sql, db/        = dba@example.org, ann@example.org   ... that touch one of these
    ref:release/*     = releases@example.org               what happens to a branch, tag or bookmark, with its commits
    repository:web/*  = web@example.org                    all of the pushes to a repository, by OWNER/SLUG

Globs are those of a service's filters: `*` matches `/` too, one that ends with `/` stands for all below it, case matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from brokers.errors import ConfigError
from brokers.render.subject import alert_of, refs
from brokers.values import convert
from payload import narrowing, text

_KINDS = ("path", "ref", "repository")


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of the file."""

    kind: str
    """What `globs` are compared with: `path`, `ref` or `repository`."""
    globs: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Those who get the same."""

    recipients: tuple[str, ...]
    payload: dict[str, Any]
    """The push as far as it is for them."""


def rules(path: str | None) -> list[Rule]:
    """The lines of the file; [] if None. Raises ConfigError that names the line."""
    if path is None:
        return []
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read it: {reason}", origin=path, remedy="write lines `docs/ = a@example.org`") from error
    return [rule for number, line in enumerate(lines, start=1) for rule in _parsed(line, f"{path}:{number}")]


def _parsed(line: str, origin: str) -> Iterator[Rule]:
    said = line.strip()
    if not said or said.startswith("#"):
        return
    left, _, right = said.partition(" #")[0].rpartition("=")
    kind, colon, rest = left.partition(":")
    kind, rest = (kind.strip(), rest) if colon and kind.strip() in _KINDS else ("path", left)
    globs = tuple(rest.replace(",", " ").split())
    if not globs:
        raise ConfigError(f"{text.visible(said)!r} is not right", origin=origin, remedy="write `docs/ = a@example.org`")
    try:
        addresses = convert(right, "mails")
    except ValueError as error:
        raise ConfigError(f"{text.visible(right.strip())!r} is not right", origin=origin, remedy=str(error)) from error
    yield Rule(kind, globs, addresses)


def groups(payload: Mapping[str, Any], to: Sequence[str], mapped: Sequence[Rule]) -> list[Group]:
    """Each address once (case does not matter), with those who get the same; without those for whom nothing is.

    An alert is for everybody of `to`, or, if that is empty, of the file. Of commits that the payload does not list
    (`oberon.maxCommits`) nothing is known, so a line of the file never finds them; of a commit whose files are not all listed (`oberon.maxFiles`), one
    may be below any path.
    """
    moved = narrowing.as_if_alone(payload) if refs(payload) else []
    whole = _Share(frozenset(range(len(moved))), frozenset(range(len(payload["commits"]))))
    if alert_of(payload) and not to:
        to = [address for rule in mapped for address in rule.addresses]
    shares: dict[str, tuple[str, _Share]] = {}
    for address in to:
        shares.setdefault(address.lower(), (address, whole))
    for rule in mapped:
        part = _part(payload, moved, rule, whole)
        for address in rule.addresses if part.refs or part.commits else ():
            written, share = shares.get(address.lower(), (address, _NOTHING))
            shares[address.lower()] = (written, _Share(share.refs | part.refs, share.commits | part.commits))
    together: dict[_Share, list[str]] = {}
    for address, share in shares.values():
        together.setdefault(share, []).append(address)
    return [
        Group(tuple(addresses), dict(payload) if share == whole else _narrowed(payload, moved, share))
        for share, addresses in together.items()
    ]


@dataclass(frozen=True, slots=True)
class _Share:
    """Which refs and commits of a payload, by their place in its lists."""

    refs: frozenset[int]
    commits: frozenset[int]


_NOTHING = _Share(frozenset(), frozenset())


def _part(payload: Mapping[str, Any], moved: Sequence[Mapping[str, Any]], rule: Rule, whole: _Share) -> _Share:
    """What of the push a line of the file is about; `moved` are its refs as if each had been pushed alone."""
    commits = payload["commits"]
    details = (payload.get("oberon") or {}).get("commits") or {}
    if rule.kind == "repository":
        repository = payload["repository"]
        slug = str(repository.get("slug") or repository.get("name") or "")
        return whole if _matches(rule.globs, [f"{repository.get('owner') or ''}/{slug}", slug]) else _NOTHING
    if rule.kind == "ref":
        chosen = [number for number, ref in enumerate(moved) if _matches(rule.globs, [str(ref["ref"]), str(ref["name"])])]
        brought = {node for number in chosen for node in moved[number]["commits"]}
        return _Share(
            frozenset(chosen), frozenset(number for number, commit in enumerate(commits) if commit.get("node") in brought)
        )
    touching = [
        number
        for number, commit in enumerate(commits)
        if "files" in (details.get(commit.get("raw_node")) or {}).get("truncated", ())
        or _matches(rule.globs, (str(change.get("file", "")) for change in commit.get("files") or ()))
    ]
    nodes = {commits[number].get("node") for number in touching}
    bringing = (number for number, ref in enumerate(moved) if nodes.intersection(ref["commits"]))
    return _Share(frozenset(bringing), frozenset(touching))


def _matches(globs: Sequence[str], values: Iterable[str]) -> bool:
    whole = [glob + "*" if glob.endswith("/") else glob for glob in globs]
    return any(fnmatchcase(value, glob) for value in values for glob in whole)


def _narrowed(payload: Mapping[str, Any], moved: Sequence[Mapping[str, Any]], share: _Share) -> dict[str, Any]:
    commits = [payload["commits"][number] for number in sorted(share.commits)]
    if not payload.get("oberon"):
        return {**payload, "commits": commits}
    narrowed = narrowing.narrowed(payload, [moved[number] for number in sorted(share.refs)], commits)
    narrowed["oberon"]["total_commits"] = len(commits)
    return narrowed
