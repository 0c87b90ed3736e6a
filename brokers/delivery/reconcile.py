"""Pushes that no hook could write down, having been killed: found by how the repository stands now, and recorded.

git: each ref against what the recorded pushes make of it (`ref_state`). Mercurial: the changelog against the changegroups
recorded. A push moves refs first and is written down after that, so a difference counts if it is there twice, and some time
passes in between in which what the hooks wrote is taken in (`look`, wait, `look` again, `record`).

What is found is recorded as events of the source `reconcile`, through the spool. Lost pushes of one ref, one right after
another, join into one. A hook that was only slow, and writes after all, has its push delivered once more, and nothing else:
the move back that this seems to be is none.

What is there for another reason is taken for known in silence: refs and changesets that were there when the repository was
first looked at; refs that count since then (`oberon.refs`); what a command in the repository itself did, as far as git's
reflog or the phase of a changeset tells it; all of it, while the repository has no service.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from brokers.delivery import ref_state, spool
from brokers.delivery.claims import path_text
from brokers.delivery.ref_state import NONE, SETTLED_S, Move, RefState
from brokers.delivery.standing import Changelog, KnownChangelog, Refs
from payload.push import RECONCILE, Event, RefUpdate

if TYPE_CHECKING:
    from brokers.config import Configuration
    from brokers.delivery.expansion import Source
    from brokers.delivery.outbox import Outbox

TOGETHER_S = 2.0
"""Refs that moved within so much of one another are taken to be of one push."""
_JUST = 0.001  # seconds
_MOST_EVENTS = 10_000


class Lost(NamedTuple):
    """What no hook has recorded."""

    ref: str
    """Full name; '' for changesets of Mercurial."""
    old: str
    """Node before, or the first changeset."""
    new: str
    """Node after, or the last changeset."""
    time: float
    """About when, in Unix seconds; two looks need not agree in it."""

    @property
    def move(self) -> Move:
        """The same without its time."""
        return self.ref, self.old, self.new


@dataclass(frozen=True, slots=True)
class Look:
    """How a repository compares with what is recorded of it."""

    like: Event
    """The newest push known of it, which tells kind, path and environment."""
    compared: int = 0
    """So many refs, or changesets."""
    lost: tuple[Lost, ...] = ()
    unwanted: str = ""
    """Why nothing was compared: the present is taken for known."""

    def again(self, later: Look) -> tuple[Lost, ...]:
        """Of what `later` has found, what this one has too."""
        seen = {each.move for each in self.lost}
        return tuple(each for each in later.lost if each.move in seen)


def newest(outbox: Outbox, repository: str) -> Event | None:
    """The newest push known of a repository, by its name in the outbox; None if nothing is. Raises OutboxError."""
    rows = outbox.ask("newest_event", repository=repository) or outbox.ask("baseline_of", repository=repository)
    return Event.from_record(json.loads(rows[0]["record"])) if rows and rows[0]["record"] else None


def look(outbox: Outbox, repository: str, like: Event, source: Source, *, accept: bool = False, keep: bool = True) -> Look:
    """Compare a repository with what is recorded. Raises BrokerError if it, or its configuration, cannot be read.

    With `keep` it is written down what needs no event: first sights, and what did not come by a push. With `accept`
    everything is taken for known.
    """
    configuration = source.configuration(like.path)
    unwanted = _unwanted(configuration)
    found: _Unknown | _Changesets | _Refs
    if unwanted or accept:
        found = _Unknown()
        look_at = Look(like, unwanted=unwanted or "the present is taken for known")
    else:
        # First what is recorded: a push in between is then one that seems lost, and is not any more the next time.
        recorded = _Recorded(outbox, repository)
        standing = source.standing(like.path, configuration.settings, recorded.changelog)
        if isinstance(standing, Changelog):
            found = _Changesets(standing, recorded.changelog, outbox.now)
            look_at = Look(like, standing.length, found.lost)
        else:
            found = _Refs(recorded, standing, configuration.settings.refs)
            look_at = Look(like, len(standing.nodes), tuple(found.lost))
    if keep:
        found.write(outbox, repository, like)
    return look_at


def record(outbox: Outbox, state_dir: str, repository: str, look_at: Look, lost: Sequence[Lost]) -> list[Event]:
    """Put `lost`, of a look at a repository, into the spool; the events. Raises OSError.

    The same found twice, by a worker and a command, makes events of the same id, and so is delivered once.
    """
    rows = outbox.ask("sequence_of", repository=repository)
    count = rows[0]["sequence"] if rows else 0
    events = []
    for together in _pushes(lost):
        moves = [each.move for each in together]
        event = replace(
            look_at.like,
            id=hashlib.sha256(json.dumps([repository, count, moves]).encode()).hexdigest()[:32],
            time=together[0].time,
            login="",
            source=RECONCILE,
            refs=tuple(_update(*move) for move in moves if move[0]),
            first=None if moves[0][0] else moves[0][1],
            last=None if moves[0][0] else moves[0][2],
            options=(),
            alert={},
        )
        spool.write(state_dir, event.to_record())
        events.append(event)
    return events


def _unwanted(configuration: Configuration) -> str:
    if not configuration.settings.reconcile:
        return "oberon.reconcile is off"
    if not any(service.enabled for service in configuration.services):
        return "no service is configured"
    return ""


def _pushes(lost: Iterable[Lost]) -> Iterable[list[Lost]]:
    """What is one push each, oldest first."""
    together: list[Lost] = []
    for each in sorted(lost, key=lambda each: (each.time, each.ref)):
        if together and (not each.ref or each.time - together[-1].time > TOGETHER_S):
            yield together
            together = []
        together.append(each)
    if together:
        yield together


def _update(ref: str, old: str, new: str) -> RefUpdate:
    digits = max(len(node) for node in (old, new) if node != NONE)
    return RefUpdate(ref, *("0" * digits if node == NONE else node for node in (old, new)))


class _Recorded:
    """What the outbox has of a repository."""

    def __init__(self, outbox: Outbox, repository: str) -> None:
        self.outbox = outbox
        self.repository = repository
        self.refs = ref_state.states(outbox.ask("ref_rows", repository=repository))
        base = next(iter(outbox.ask("baseline_of", repository=repository)), None)
        log = next(iter(outbox.ask("changelog_of", repository=repository)), None)
        groups = outbox.ask("changegroups_of", repository=repository)
        self.base: tuple[str, ...] | None = None if base is None else tuple(base["refs"].split())
        """How the refs begin that were compared before; None if none were, () if what is recorded is not all."""
        self.changelog = KnownChangelog(None, "", ())
        if base is None or self.base:
            length, tip = (log["length"], log["tip"]) if log else (None, "")
            self.changelog = KnownChangelog(length, tip, tuple((row["first"], row["last"]) for row in groups))

    @cached_property
    def history(self) -> _History:
        """Asked for when something is missing."""
        return _History(self.outbox, self.repository)


class _Unknown:
    """From now on what is recorded is taken not to be all."""

    def write(self, outbox: Outbox, repository: str, like: Event) -> None:
        with outbox.write() as run:
            run("set_baseline", repository=repository, refs="", record=json.dumps(like.to_record()))


class _Changesets:
    """A changelog against what is recorded; what is `lost`."""

    def __init__(self, standing: Changelog, known: KnownChangelog, now: float) -> None:
        self._standing = standing
        self._known = known
        self.lost = tuple(Lost("", first, last, now) for first, last in standing.lost)

    def write(self, outbox: Outbox, repository: str, like: Event) -> None:
        if self.lost:
            return  # it must be found again: until it is recorded, the changelog stays known as far as it was
        with outbox.write() as run:
            run("set_baseline", repository=repository, refs="changelog", record=json.dumps(like.to_record()))
            run("set_changelog", repository=repository, length=self._standing.length, tip=self._standing.tip)
            for first, last in self._known.changegroups:
                run("drop_changegroup", repository=repository, first=first, last=last)


@dataclass(slots=True)
class _History:
    """The pushes that the outbox still has."""

    outbox: Outbox
    repository: str
    led_to: dict[tuple[str, str], float] = field(default_factory=dict)
    """Ref and node -> when a push last led there."""
    led_from: dict[tuple[str, str], float] = field(default_factory=dict)
    """Ref and node -> when a push first led from there."""
    found: set[Move] = field(default_factory=set)
    """What was recorded because it was lost."""

    def __post_init__(self) -> None:
        for row in self.outbox.ask("newest_events", repository=self.repository, most=_MOST_EVENTS):
            event = Event.from_record(json.loads(row["record"]))
            for update in event.refs:
                ref, old, new = path_text(update.ref), ref_state.plain(update.old), ref_state.plain(update.new)
                self.led_to[ref, new] = max(event.time, self.led_to.get((ref, new), event.time))
                self.led_from[ref, old] = min(event.time, self.led_from.get((ref, old), event.time))
                if event.source == RECONCILE:
                    self.found.add((ref, old, new))


class _Refs:
    """Refs against what is recorded; what is `lost`, and what to write down of the rest."""

    def __init__(self, recorded: _Recorded, standing: Refs, counting: Sequence[str]) -> None:
        self._recorded = recorded
        self._standing = standing
        self._counting = tuple(counting)
        self._names = {path_text(ref): ref for ref in standing.nodes}
        self.lost: list[Lost] = []
        self._moves: list[Move] = []
        self._sights: list[tuple[str, str]] = []
        self._dropped: list[str] = []
        self._folded: list[tuple[str, str, int]] = []
        self._fold(recorded.refs)
        counted = {ref for ref in recorded.refs if ref.startswith(self._counting)}
        for ref in sorted(counted | self._names.keys()):
            self._compare(ref, recorded.refs.get(ref))

    def _fold(self, rows: dict[str, RefState]) -> None:
        """What was pushed to symbolic refs moved others."""
        for name, target in self._standing.symbolic.items():
            state = rows.pop(path_text(name), None)
            if state is None:
                continue
            self._dropped.append(path_text(name))
            place = path_text(target)
            balances = dict(state.balances)
            if place in rows:
                start = state.start or NONE
                balances[start] = balances.get(start, 0) - 1
            joined = rows.setdefault(place, RefState())
            for node, count in balances.items():
                joined.balances[node] = joined.balances.get(node, 0) + count
                self._folded.append((place, node, count))

    def _compare(self, ref: str, state: RefState | None) -> None:
        node = self._standing.nodes[self._names[ref]] if ref in self._names else NONE
        if self._recorded.base is not None and not ref.startswith(self._recorded.base or ("\0",)):
            if state is None or any(state.residue(node)):
                self._dropped.append(ref)
                self._sights.append((ref, node))
            return
        if state is None:
            if self._recorded.base is None:
                self._sights.append((ref, node))
                return
            state = RefState({NONE: 1})
        surplus, deficit = state.residue(node)
        if not surplus:
            return
        for old, new in state.misguessed(surplus, deficit):
            surplus.remove(old)
            deficit.remove(new)
            self._moves.append((ref, old, new))
        if len(surplus) > 1:
            # Which belong together: a push came to where it is too much, was lost, and the next left from where it is too little.
            history = self._recorded.history
            surplus.sort(key=lambda each: history.led_to.get((ref, each), 0.0))
            deficit.sort(key=lambda each: (each == node, history.led_from.get((ref, each), 0.0)))
        for old, new in zip(surplus, deficit, strict=True):
            self._sort_out(ref, old, new, is_there=new == node, was_told=state.balances.get(new, 0) < 0)

    def _sort_out(self, ref: str, old: str, new: str, *, is_there: bool, was_told: bool) -> None:
        """What is missing from `old` to `new`, whether the ref `is_there` now, or a push that left from there `was_told`."""
        name = self._names.get(ref, ref)
        told_late = was_told and (ref, new, old) in self._recorded.history.found
        if told_late or self._standing.moved_here(name, new):
            self._moves.append((ref, old, new))
            return
        time = self._time(ref, old, new, self._standing.moved.get(name) if is_there else None)
        self.lost.append(Lost(name, old, new, min(time, self._recorded.outbox.now)))

    def _time(self, ref: str, old: str, new: str, moved: float | None) -> float:
        """About when a push came: rather too early, for what moved after it hides none of its commits (`at_the_time` of git's reader).

        `moved` is when the ref came to where it is now, if that was by this push and is known.
        """
        history = self._recorded.history
        after, before = history.led_to.get((ref, old)), history.led_from.get((ref, new))
        if moved is not None:
            return max(moved - TOGETHER_S, after + _JUST) if after is not None and after + _JUST < moved else moved - TOGETHER_S
        if before is not None:
            return before - _JUST
        return self._recorded.outbox.now if after is None else after + _JUST

    def write(self, outbox: Outbox, repository: str, like: Event) -> None:
        """What needs no event. What was recorded meanwhile is not touched."""
        now = outbox.now
        with outbox.write() as run:
            if self._dropped:
                run("drop_refs", repository=repository, refs=json.dumps(self._dropped))
            ref_state.add(run, repository, self._folded)
            ref_state.shift(run, repository, self._moves)
            ref_state.begin(run, repository, self._sights, now)
            run("set_baseline", repository=repository, refs=" ".join(self._counting), record=json.dumps(like.to_record()))
            run("settle_starts", repository=repository, before=now - SETTLED_S)
            run("tidy_repository", repository=repository, known=json.dumps(self._counting), none=NONE)
