"""The outbox: every event and delivery, with leases; a worker's or an inline hook's.

The rules: an event is entered by its id, so entering it twice is once; an attempt is counted when it is claimed, so that a
payload which kills the worker ends as dead; a lease carries a token, so that a worker that lost it cannot finish what another
has taken over. What SQLite is told so that they hold is in `database.py`; the statements stand in `queries.sql`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from brokers.delivery import alerts, consequences, due, endings, ref_state
from brokers.delivery.claims import Claim, DeliveryClaim, EventClaim, NewDelivery, path_text
from brokers.delivery.database import FILE, Database, OutboxError
from brokers.delivery.endings import Ended
from brokers.delivery.outcome import Outcome, State
from payload.push import RECONCILE, Event

__all__ = ["FILE", "MAX_LATER", "Outbox", "OutboxError"]

MAX_LATER = 10_000  # pushes of a day and more; those beyond tell nothing that matters to the reading
SUSPECT_WAIT_S = 5.0  # for each time but the first that a worker was killed with it under way

_WORKERS = "worker-"  # leases that a worker took begin so: those that its successor may end


class Outbox(Database):
    """Open with `Outbox.open`; close it, or use it in a `with`. Every method raises OutboxError when SQLite does not obey."""

    # ------------------------------------------------------------------------------------------------------------- events

    def add_event(self, event: Event, *, only: Sequence[str] | None = None, lease_s: float | None = None) -> EventClaim | None:
        """Enter an event, once; `only` names the services it is for (None: all).

        For none, it only counts as known: it has no number, and is not read. With `lease_s` it is claimed at once. None is
        returned if it was there already, or no lease was asked for.
        """
        now = self._clock()
        lease = None if lease_s is None else _token()
        with self.write() as run:
            if run("has_event", id=event.id).fetchone():
                return None
            ref_state.keep(run, path_text(event.path), event)
            if only is not None and not only:
                run("know_repository", path=path_text(event.path))
                run("note_event", id=event.id, repository=path_text(event.path), record=json.dumps(event.to_record()), now=now)
                return None
            sequence: int = run("count_up", path=path_text(event.path)).fetchone()["sequence"]
            run(
                "add_event",
                id=event.id,
                repository=path_text(event.path),
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
        lease = _WORKERS + _token()
        with self.write() as run:
            row = run("claim_event", now=now, lease=lease, until=now + lease_s).fetchone()
        if row is None:
            return None
        only = None if row["only"] is None else tuple(json.loads(row["only"]))
        event = Event.from_record(json.loads(row["record"]))
        return EventClaim(event, row["sequence"], only, row["attempts"], row["created_at"], lease, row["interrupted"])

    def events_after(self, claim: EventClaim) -> list[Event]:
        """The events of the same repository that came after this one, oldest first; at most MAX_LATER of them.

        After one that was found late, also those entered since about when it came.
        """
        place = {"repository": path_text(claim.event.path), "most": MAX_LATER}
        if claim.event.source == RECONCILE:
            rows = self.ask("events_since", **place, time=claim.event.time)
        else:
            rows = self.ask("events_after", **place, sequence=claim.sequence)
        return [Event.from_record(json.loads(row["record"])) for row in rows]

    def expand(
        self,
        claim: EventClaim,
        composed: Mapping[str, Any],
        deliveries: Sequence[NewDelivery],
        *,
        lease_s: float | None = None,
        alerts_wanted: bool = False,
    ) -> list[DeliveryClaim] | None:
        """The event was read: keep its payload and enter its deliveries. None if the lease was lost meanwhile.

        `alerts_wanted`: the repository's configuration names a service for alerts.

        With `lease_s` those that are neither skipped nor, being `ordered`, behind an unfinished one are claimed at once and
        returned; else the list is empty.
        """
        now = self._clock()
        claimed = []
        repository = path_text(claim.event.path)
        payload = json.dumps(composed)
        with self.write() as run:
            if run("read_event", id=claim.event.id, lease=claim.lease, payload=payload).rowcount == 0:
                return None
            run("want_alerts" if alerts_wanted else "want_no_alerts", repository=repository)
            for new in deliveries:
                names = {"repository": repository, "service": new.service}
                waits = run("held_back", **names, endpoint=new.endpoint).fetchone() or (
                    new.ordered and run("has_earlier", **names, sequence=claim.sequence).fetchone()
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
                    expires_at=None if new.max_age_s is None else now + new.max_age_s,
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
                            payload=payload,
                            lease=lease,
                            is_alert=bool(claim.event.alert),
                        )
                    )
        return claimed

    def fail_event(self, claim: EventClaim, reason: str, next_at: float | None) -> bool:
        """The event could not be read: try again at `next_at`, or never (None). False if the lease was lost."""
        state = State.DEAD if next_at is None else State.WAITING
        event = claim.event
        with self.write() as run:
            failed = run("fail_event", id=event.id, lease=claim.lease, state=state, reason=reason, next_at=next_at).rowcount == 1
            if failed and state is State.DEAD:
                alerts.enter(run, event.scm, event.path, alerts.UNREAD, "", reason, self._clock(), about_alert=bool(event.alert))
            return failed

    def note_reading(self, claim: EventClaim, commits_read: int, commits_total: int | None, elapsed_s: float) -> bool:
        """How far the reading of an event is, for other processes to see; it is forgotten when the lease ends.

        `commits_total` is None before it is known. False if the lease was lost.
        """
        with self.write() as run:
            noted = run(
                "note_reading",
                event=claim.event.id,
                lease=claim.lease,
                started_at=self._clock() - elapsed_s,
                commits_read=commits_read,
                commits_total=commits_total,
            )
            return noted.rowcount == 1

    # --------------------------------------------------------------------------------------------------------- deliveries

    def claim_delivery(self, lease_s: float, per_endpoint: int) -> DeliveryClaim | None:
        """The delivery that has been due longest, under a lease; None if none is due.

        Passed over: those of services that are switched off, those whose endpoint has `per_endpoint` under lease already ('' is
        no endpoint) or an open breaker, and `ordered` ones that have an earlier one of the same repository and service before them.
        """
        return next(iter(self.claim_deliveries(lease_s, per_endpoint, 1)), None)

    def claim_deliveries(
        self, lease_s: float, per_endpoint: int, most: int, *, quick: Collection[str] = (), ahead: int = 0
    ) -> list[DeliveryClaim]:
        """The same for `most` at a time, in one transaction; one that a worker was killed with comes last, or alone.

        Beyond `most` come `ahead` more, of endpoints that are `quick`: of those, that many more may be under lease.
        """
        lease = _WORKERS + _token()
        shares = {"per_endpoint": per_endpoint, "most": most, "ahead": ahead}
        with self.write() as run:
            return due.claim(run, self._clock(), lease, lease_s=lease_s, quick=quick, **shares)

    def finish(self, claim: DeliveryClaim, outcome: Outcome, next_at: float | None) -> bool:
        """An attempt ended. `next_at` is when a RETRY is due; None ends it as dead.

        False if the lease was lost: another worker has the delivery, and only the attempt is recorded.
        """
        return claim.id in self.finish_all([Ended(claim, outcome, next_at)])

    def finish_all(self, ended: Sequence[Ended]) -> set[int]:
        """The same for many, in one transaction; the ids of those whose lease held."""
        with self.write() as run:
            return endings.write_down(run, self._clock(), ended)

    def expire(self) -> int:
        """End the deliveries that have waited for longer than their `maxAge`, as dead; how many."""
        with self.write() as run:
            return consequences.expire(run, self._clock())

    def release(self, claim: Claim) -> bool:
        """Give a claim back unused: due at once, or when its endpoint is tried next, the attempt not counted. False if the lease
        was lost.
        """
        with self.write() as run:
            if isinstance(claim, EventClaim):
                return run("release_event", lease=claim.lease).rowcount == 1
            released = run("release_delivery", lease=claim.lease).rowcount == 1
            if released:
                run("probe_now" if claim.is_probe else "park_again", id=claim.id, now=self._clock())
            return released

    def renew(self, claims: Sequence[Claim], lease_s: float) -> None:
        """Lengthen the leases of what is still being worked on to `lease_s` seconds from now."""
        until = self._clock() + lease_s
        with self.write() as run:
            for claim in claims:
                run("renew_event" if isinstance(claim, EventClaim) else "renew_delivery", lease=claim.lease, until=until)

    def end_leases_of_workers(self) -> int:
        """End the leases of events and deliveries that a worker claimed; how many. Only for the holder of the worker's lock.

        Whoever claimed them was killed: the next worker need not wait until they run out, nor count them as under way. What was
        under way is due at once the first time, and later each further time: it may be what kills the workers.
        """
        of_workers = {"leases": f"{_WORKERS}*", "now": self._clock(), "wait_s": SUSPECT_WAIT_S}
        with self.write() as run:
            ended = run("end_event_leases", **of_workers).rowcount + run("end_delivery_leases", **of_workers).rowcount
            run("park_all_again", now=of_workers["now"])
            return ended

    def redeliver(self, delivery: int) -> bool:
        """Make a delivery due now, whatever its state; a retry that waits is replaced. False if there is none or it is under lease.

        If the breaker of its endpoint is open, the next probe is due now.
        """
        now = self._clock()
        with self.write() as run:
            again = run("redeliver", id=delivery, now=now).rowcount == 1
            if again:
                run("probe_now", id=delivery, now=now)
            return again

    def reread(self, event: str) -> bool:
        """Make an event that could not be read due now. False if there is none such."""
        with self.write() as run:
            return run("reread", id=event, now=self._clock()).rowcount == 1

    # ------------------------------------------------------------------------------------------------------------ questions

    def next_due_at(self) -> float | None:
        """When the next event or delivery is due or its lease ends; None if nothing is waiting."""
        due_at: float | None = self.ask("next_due")[0]["due"]
        return due_at


def _token() -> str:
    return os.urandom(8).hex()
