"""The outbox: every event and delivery, with leases; a worker's or an inline hook's.

The rules: an event is entered by its id, so entering it twice is once; an attempt is counted when it is claimed, so that a
payload which kills the worker ends as dead; a lease carries a token, so that a worker that lost it cannot finish what another
has taken over. What SQLite is told so that they hold is in `database.py`; the statements stand in `queries.sql`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from brokers.delivery.claims import Claim, DeliveryClaim, EventClaim, NewDelivery
from brokers.delivery.database import FILE, Database, OutboxError
from brokers.delivery.outcome import Outcome, State, Verdict
from payload.push import Event

__all__ = ["FILE", "MAX_LATER", "Outbox", "OutboxError"]

MAX_LATER = 10_000  # pushes of a day and more; those beyond tell nothing that matters to the reading

_STATE_AFTER = {
    Verdict.DELIVERED: State.DELIVERED,
    Verdict.DEAD: State.DEAD,
    Verdict.SKIPPED: State.SKIPPED,
}


class Outbox(Database):
    """Open with `Outbox.open`; close it, or use it in a `with`. Every method raises OutboxError when SQLite does not obey."""

    # ------------------------------------------------------------------------------------------------------------- events

    def add_event(self, event: Event, *, only: Sequence[str] | None = None, lease_s: float | None = None) -> EventClaim | None:
        """Enter an event, once; `only` names the services it is for (None: all).

        With `lease_s` it is claimed at once. None is returned if it was there already, or no lease was asked for.
        """
        now = self._clock()
        lease = None if lease_s is None else _token()
        with self._write() as run:
            if run("has_event", id=event.id).fetchone():
                return None
            sequence: int = run("count_up", path=_path_text(event.path)).fetchone()["sequence"]
            run(
                "add_event",
                id=event.id,
                repository=_path_text(event.path),
                sequence=sequence,
                record=json.dumps(event.to_record()),
                only=None if only is None else json.dumps(list(only)),
                state=State.WAITING if lease is None else State.LEASED,
                attempts=0 if lease is None else 1,
                now=now,
                lease=lease,
                until=None if lease_s is None else now + lease_s,
            )
        return None if lease is None else EventClaim(event, sequence, None if only is None else tuple(only), 1, now, lease)

    def claim_event(self, lease_s: float) -> EventClaim | None:
        """The event that has been due longest, under a lease of `lease_s` seconds; None if none is due."""
        now = self._clock()
        lease = _token()
        with self._write() as run:
            row = run("claim_event", now=now, lease=lease, until=now + lease_s).fetchone()
        if row is None:
            return None
        only = None if row["only"] is None else tuple(json.loads(row["only"]))
        event = Event.from_record(json.loads(row["record"]))
        return EventClaim(event, row["sequence"], only, row["attempts"], row["created_at"], lease, row["interrupted"])

    def events_after(self, claim: EventClaim) -> list[Event]:
        """The events of the same repository that came after this one, oldest first; at most MAX_LATER of them."""
        rows = self.ask("events_after", repository=_path_text(claim.event.path), sequence=claim.sequence, most=MAX_LATER)
        return [Event.from_record(json.loads(row["record"])) for row in rows]

    def expand(
        self,
        claim: EventClaim,
        composed: Mapping[str, Any],
        deliveries: Sequence[NewDelivery],
        *,
        lease_s: float | None = None,
    ) -> list[DeliveryClaim] | None:
        """The event was read: keep its payload and enter its deliveries. None if the lease was lost meanwhile.

        With `lease_s` those that are neither skipped nor, being `ordered`, behind an unfinished one are claimed at once and
        returned; else the list is empty.
        """
        now = self._clock()
        claimed = []
        repository = _path_text(claim.event.path)
        with self._write() as run:
            if run("read_event", id=claim.event.id, lease=claim.lease, payload=json.dumps(composed)).rowcount == 0:
                return None
            for new in deliveries:
                waits = (
                    new.ordered
                    and run("has_earlier", repository=repository, service=new.service, sequence=claim.sequence).fetchone()
                )
                lease = None if lease_s is None or new.skipped or waits else _token()
                added = run(
                    "add_delivery",
                    event=claim.event.id,
                    repository=repository,
                    sequence=claim.sequence,
                    service=new.service,
                    broker=new.broker,
                    endpoint=new.endpoint,
                    ordered=new.ordered,
                    state=State.SKIPPED if new.skipped else State.WAITING if lease is None else State.LEASED,
                    attempts=0 if lease is None else 1,
                    now=now,
                    lease=lease,
                    until=None if lease_s is None else now + lease_s,
                    reason=new.skipped,
                    finished_at=now if new.skipped else None,
                )
                if lease is not None and added.lastrowid is not None:
                    claimed.append(
                        DeliveryClaim(
                            id=added.lastrowid,
                            event=claim.event.id,
                            scm=claim.event.scm,
                            repository=claim.event.path,
                            service=new.service,
                            endpoint=new.endpoint,
                            attempts=1,
                            scheduled_attempts=1,
                            repeats=0,
                            created_at=now,
                            composed=composed,
                            lease=lease,
                        )
                    )
        return claimed

    def fail_event(self, claim: EventClaim, reason: str, next_at: float | None) -> bool:
        """The event could not be read: try again at `next_at`, or never (None). False if the lease was lost."""
        state = State.DEAD if next_at is None else State.WAITING
        with self._write() as run:
            return (
                run("fail_event", id=claim.event.id, lease=claim.lease, state=state, reason=reason, next_at=next_at).rowcount == 1
            )

    def note_reading(self, claim: EventClaim, commits_read: int, commits_total: int | None, elapsed_s: float) -> bool:
        """How far the reading of an event is, for other processes to see; it is forgotten when the lease ends.

        `commits_total` is None before it is known. False if the lease was lost.
        """
        with self._write() as run:
            noted = run(
                "note_reading",
                event=claim.event.id,
                lease=claim.lease,
                started_at=self._clock() - elapsed_s,
                commits_read=commits_read,
                commits_total=commits_total,
            )
            return noted.rowcount == 1

    def forget_readings(self) -> None:
        """What a worker that was killed had noted: the next one begins with it, and only one runs."""
        with self._write() as run:
            run("forget_readings")

    # --------------------------------------------------------------------------------------------------------- deliveries

    def claim_delivery(self, lease_s: float, per_endpoint: int) -> DeliveryClaim | None:
        """The delivery that has been due longest, under a lease; None if none is due.

        Passed over: those whose endpoint has `per_endpoint` under lease already ('' is no endpoint), and `ordered` ones that
        have an earlier one of the same repository and service before them.
        """
        now = self._clock()
        lease = _token()
        with self._write() as run:
            row = run("claim_delivery", now=now, lease=lease, until=now + lease_s, per_endpoint=per_endpoint).fetchone()
            if row is None:
                return None
            event = run("event_of", id=row["event"]).fetchone()
        record = json.loads(event["record"])
        return DeliveryClaim(
            id=row["id"],
            event=row["event"],
            scm=record["scm"],
            repository=record["path"],
            service=row["service"],
            endpoint=row["endpoint"],
            attempts=row["attempts"],
            scheduled_attempts=row["attempts"] - row["schedule_from"],
            repeats=row["repeats"],
            created_at=row["created_at"],
            composed=json.loads(event["payload"]),
            lease=lease,
            interrupted=row["interrupted"],
        )

    def finish(self, claim: DeliveryClaim, outcome: Outcome, next_at: float | None) -> bool:
        """An attempt ended. `next_at` is when a RETRY is due; None ends it as dead.

        False if the lease was lost: another worker has the delivery, and only the attempt is recorded.
        """
        now = self._clock()
        state = _STATE_AFTER.get(outcome.verdict) or (State.DEAD if next_at is None else State.WAITING)
        with self._write() as run:
            run(
                "add_attempt",
                delivery=claim.id,
                number=claim.attempts,
                started_at=now - outcome.duration_s,
                duration_s=outcome.duration_s,
                outcome=outcome.verdict,
                reason=outcome.reason,
                details=json.dumps(outcome.details),
            )
            finished = run(
                "finish_delivery",
                id=claim.id,
                lease=claim.lease,
                state=state,
                reason=outcome.reason,
                note=outcome.note,
                next_at=next_at,
                finished_at=None if state is State.WAITING else now,
            )
            return finished.rowcount == 1

    def release(self, claim: Claim) -> bool:
        """Give a claim back unused: due at once, the attempt not counted. False if the lease was lost."""
        with self._write() as run:
            return run("release_event" if isinstance(claim, EventClaim) else "release_delivery", lease=claim.lease).rowcount == 1

    def renew(self, claims: Sequence[Claim], lease_s: float) -> None:
        """Lengthen the leases of what is still being worked on to `lease_s` seconds from now."""
        until = self._clock() + lease_s
        with self._write() as run:
            for claim in claims:
                run("renew_event" if isinstance(claim, EventClaim) else "renew_delivery", lease=claim.lease, until=until)

    def redeliver(self, delivery: int) -> bool:
        """Make a delivery due now, whatever its state; a retry that waits is replaced. False if there is none or it is under lease."""
        with self._write() as run:
            return run("redeliver", id=delivery, now=self._clock()).rowcount == 1

    def reread(self, event: str) -> bool:
        """Make an event that could not be read due now. False if there is none such."""
        with self._write() as run:
            return run("reread", id=event, now=self._clock()).rowcount == 1

    def prune(self, keep_s: float) -> int:
        """Forget events older than `keep_s` seconds whose deliveries are all delivered or skipped; how many. The dead stay."""
        with self._write() as run:
            return run("prune", before=self._clock() - keep_s).rowcount

    # ------------------------------------------------------------------------------------------------------------ questions

    def next_due_at(self) -> float | None:
        """When the next event or delivery is due or its lease ends; None if nothing is waiting."""
        due: float | None = self.ask("next_due")[0]["due"]
        return due


def _token() -> str:
    return os.urandom(8).hex()


def _path_text(path: str) -> str:
    """A path as SQLite takes it: UTF-8, other bytes as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
