"""How things stand in a repository, as its reader tells it, to be compared with what is recorded (`reconcile`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Refs:
    """The refs of a git repository that count."""

    nodes: Mapping[str, str] = field(default_factory=dict)
    """Full name -> node; symbolic refs are not among them."""
    moved: Mapping[str, float] = field(default_factory=dict)
    """When each came to stand there, in Unix seconds; without those of which nothing tells it."""
    symbolic: Mapping[str, str] = field(default_factory=dict)
    """Symbolic refs -> the ref they stand for: a push to the one moves the other."""
    moved_here: Callable[[str, str], bool] = lambda _ref, _node: False
    """Whether it is known of a ref and a node, zeros for none, that no push brought the ref there, but a command here."""


class KnownChangelog(NamedTuple):
    """What is recorded of the changelog of a Mercurial repository."""

    length: int | None
    """So many changesets were compared before; None if that never was."""
    tip: str
    """The last of them, 40 hex digits; '' if there was none."""
    changegroups: tuple[tuple[str, str], ...]
    """First and last changeset of each that was recorded since then, in no order."""


@dataclass(frozen=True, slots=True)
class Changelog:
    """The changelog of a Mercurial repository."""

    length: int
    tip: str
    """As of KnownChangelog."""
    lost: tuple[tuple[str, str], ...] = ()
    """First and last of public changesets that came one after another and are not recorded."""


Standing = Refs | Changelog
