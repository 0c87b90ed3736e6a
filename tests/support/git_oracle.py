"""The `Push` that a reader has to give, made of what git says, by the plainest of rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from brokers.config import Settings
from payload.push import MOST_DROPPED, DroppedCommit, Event, Push, RefAction, RefChange, RefKind, RefUpdate, Repository
from tests.support.git_facts import Facts, person

KINDS = (
    ("refs/heads/", RefKind.BRANCH),
    ("refs/tags/", RefKind.TAG),
    ("refs/notes/", RefKind.NOTE),
    ("refs/", RefKind.OTHER),
)
TURNS = {RefKind.BRANCH: 0, RefKind.NOTE: 1, RefKind.OTHER: 1, RefKind.TAG: 2}
"""Whose a commit is that several refs brought: the first one's; of two with one number, as git told them."""


class Oracle:
    """Judges pushes to the repository at `git_dir`, in which `commits`, full names, are all that there are."""

    def __init__(self, git_dir: Path, commits: Sequence[str]) -> None:
        self.facts = Facts(git_dir, commits)
        head = (git_dir / "HEAD").read_text("utf-8", "surrogateescape")
        self._head = head.removeprefix("ref: ").rstrip("\n")

    def push(self, event: Event, settings: Settings) -> Push:
        """What a reader has to make of `event`, which has just happened."""
        updates = [update for update in event.refs if update.ref.startswith(settings.refs)]
        moved = {update.ref for update in event.refs}
        refs = dict(line.split(" ")[::-1] for line in self.facts.lines("for-each-ref", "--format=%(objectname) %(refname)"))
        others = [self.facts.peel(name) for ref, name in refs.items() if ref.startswith(settings.refs) and ref not in moved]
        new = [node for update in updates if (node := self.facts.peel(update.new))]
        excluded = {node for node in (*others, *(self.facts.peel(update.old) for update in updates)) if node}
        bits = self.facts.all_below(new) & ~self.facts.all_below(excluded)
        order = self._ordered({node for node in self.facts.commits if self.facts.bits[node] & bits}, new, excluded)
        kept = order[-settings.max_commits :] if settings.max_commits else []
        owners = self._owners(updates, order)
        counted = settings.git_revision == "count"
        if counted:
            for node in {*kept[:1], *kept[len(kept) // 2 :][:1], *(node for node in new if node in kept)}:
                assert self.facts.below(node).bit_count() == self.facts.count(node), node
        return Push(
            event=event,
            repository=Repository.named("git", event.path),
            user=event.login,
            refs=tuple(self._ref(update, [node for node in kept if owners[node] == update]) for update in updates),
            commits=tuple(self.facts.commit(node, branch=_branch(owners[node]), counted=counted) for node in kept),
            total_commits=len(order),
        )

    def _owners(self, updates: Sequence[RefUpdate], order: Sequence[str]) -> dict[str, RefUpdate]:
        owners: dict[str, RefUpdate] = {}
        for update in sorted(updates, key=lambda one: (TURNS[_kind(one.ref)], one.ref != self._head)):
            reached = self.facts.below(self.facts.peel(update.new))
            owners |= {node: update for node in order if node not in owners and reached & self.facts.bits[node]}
        return owners

    def _ref(self, update: RefUpdate, own: Sequence[str]) -> RefChange:
        kind = _kind(update.ref)
        old, new = (name if name.strip("0") else None for name in (update.old, update.new))
        action, dropped = RefAction.UPDATE, 0
        lost: set[str] = set()
        if new is None or old is None:
            action = RefAction.DELETE if new is None else RefAction.CREATE
        elif kind is not RefKind.TAG and self.facts.peel(new):
            gone = self.facts.below(self.facts.peel(old)) & ~self.facts.below(self.facts.peel(new))
            lost = {node for node, bit in self.facts.bits.items() if gone & bit}
            dropped = gone.bit_count()
            action = RefAction.REWIND if dropped else RefAction.UPDATE
        tagger = message = None
        if kind is RefKind.TAG and new is not None:
            [(is_a, raw)] = self.facts.objects([new])
            if is_a == "tag":
                head, _, body = raw.partition(b"\n\n")
                lines = [line[7:] for line in head.split(b"\n") if line.startswith(b"tagger ")]
                tagger = person(lines[0], "utf-8") if lines else None
                message = body.decode("utf-8", "replace")
        return RefChange(
            ref=_text(update.ref),
            name=_text(update.ref.removeprefix(next(prefix for prefix, _ in KINDS if update.ref.startswith(prefix)))),
            kind=kind,
            action=action,
            old=old,
            new=new,
            commits=tuple(own),
            dropped=dropped,
            dropped_commits=tuple(map(self._dropped, self._by_the_rule(lost)[-MOST_DROPPED:])),
            tagger=tagger,
            message=message,
        )

    def _dropped(self, node: str) -> DroppedCommit:
        told = self.facts.commit(node, branch=None, counted=False)
        return DroppedCommit(node, told.author, told.message.encode()[:4096].decode("utf-8", "ignore"))

    def _ordered(self, fresh: set[str], new: Sequence[str], excluded: Iterable[str]) -> list[str]:
        """The commits `fresh`, which `new` reach and `excluded` do not, as git sorts them and, of one second, by name."""
        if not new:
            return []
        listing = ("rev-list", "--date-order", "--reverse", "--stdin")
        listed = self.facts.lines(*listing, asked=[*new, *(f"^{node}" for node in excluded)])
        if set(listed) != fresh:
            assert not self.facts.clocks_are_right, f"git lists {listed}, of these commits it says that they are new: {fresh}"
            edge = {parent for node in fresh for parent in self.facts.commits[node].parents} - fresh
            listed = self.facts.lines(*listing, asked=[*(node for node in new if node in fresh), *(f"^{node}" for node in edge)])
            assert set(listed) == fresh, listed
        order = self._by_the_rule(fresh)
        times = [self.facts.commits[node].time for node in order]
        if len(set(times)) == len(times):
            assert order == listed, f"by the rule {order}, by git {listed}"
        elif self.facts.clocks_are_right:
            assert times == [self.facts.commits[node].time for node in listed], f"by the rule {order}, by git {listed}"
        return order

    def _by_the_rule(self, fresh: set[str]) -> list[str]:
        """Newest first: of those that have no child left, always the latest; then turned round."""
        left = set(fresh)
        picked: list[str] = []
        while left:
            parents = {parent for node in left for parent in self.facts.commits[node].parents}
            picked.append(min(left - parents, key=lambda node: (-self.facts.commits[node].time, node)))
            left.remove(picked[-1])
        return picked[::-1]


def differences(told: Any, expected: Any, at: str = "push") -> list[str]:
    """Where two values differ, each place with both; [] if they are equal."""
    if told == expected:
        return []
    if type(told) is type(expected) and is_dataclass(told):
        pairs = [(f"{at}.{one.name}", getattr(told, one.name), getattr(expected, one.name)) for one in fields(told)]
    elif type(told) is type(expected) is tuple and len(told) == len(expected):
        pairs = [(f"{at}[{number}]", *both) for number, both in enumerate(zip(told, expected, strict=True))]
    elif type(told) is type(expected) is tuple:
        extra, missing = ([one for one in here if one not in there] for here, there in ((told, expected), (expected, told)))
        return [*(f"{at}: git does not say: {one!r}" for one in extra), *(f"{at}: git says, too: {one!r}" for one in missing)]
    else:
        return [f"{at}: {told!r}; git says: {expected!r}"]
    return [line for where, one, other in pairs for line in differences(one, other, where)]


def _kind(ref: str) -> RefKind:
    return next(kind for prefix, kind in KINDS if ref.startswith(prefix))


def _text(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _branch(owner: RefUpdate) -> str | None:
    return _text(owner.ref.removeprefix("refs/heads/")) if _kind(owner.ref) is RefKind.BRANCH else None
