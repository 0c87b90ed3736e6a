"""Whatever workers, hooks, the clock and admins do to an outbox, in whatever order: it keeps what it promises.

`OBERON_SOAK=N` tries N / 10 histories. The rules follow the scheduler: a claim beyond the last attempt is given up, clocks that jump are
followed by what the worker does then.
"""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, precondition, rule

from brokers.delivery import control, retention, schedule, statedir
from brokers.delivery.claims import NewDelivery
from brokers.delivery.outbox import SUSPECT_WAIT_S, Outbox
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate

SOAK = int(os.environ.get("OBERON_SOAK", "0"))
HISTORIES = max(120, SOAK // 10)
STEPS = 40

MEMORY = "/dev/shm"  # a folder of its own is made there: what is tried here is no disk
LEASE_S = 60.0
PER_ENDPOINT = 2
RETRY_S = (5.0, 600.0, 36_000.0)
MOST_CALLS = len(RETRY_S) + 1
KEEP_S = 40_000.0
PATHS = ("/srv/git/a.git", "/srv/git/b.git")
SERVICES = {
    "mail": NewDelivery("mail", "email", endpoint="ci:443"),
    "chat": NewDelivery("chat", "post", endpoint="ci:443", max_age_s=100_000.0),
    "ci": NewDelivery("ci", "post", endpoint="ci:443", ordered=True),
    "away": NewDelivery("away", "post", endpoint="away:443"),
    "quiet": NewDelivery("quiet", "post", skipped="skipped: refs filter"),
}
ENDPOINTS = sorted({service.endpoint for service in SERVICES.values()} - {""})
ENDED = ("delivered", "dead", "skipped")
UNFINISHED = ("waiting", "leased")


class OutboxMachine(RuleBasedStateMachine):
    events = Bundle("events")
    readings = Bundle("readings")
    attempts = Bundle("attempts")

    def __init__(self):
        super().__init__()
        self.now = 1_700_000_000.0
        self.folder = tempfile.mkdtemp(prefix="outbox-", dir=MEMORY if Path(MEMORY).is_dir() else None)
        statedir.prepare(self.folder)
        self.outbox = Outbox.open(self.folder, lambda: self.now)
        self.outbox._connection.execute("PRAGMA synchronous = OFF")
        self.outbox._connection.set_trace_callback(self.watch)
        self.begun = False
        self.numbered = 0
        self.known: dict[str, set[str]] = {}
        """Acknowledged event -> its services, once it was read."""
        self.forgotten: set[str] = set()
        self.forgotten_deliveries: set[tuple[str, str]] = set()
        self.holder: dict[object, str] = {}
        """Event's id or delivery's number -> the token that holds it."""
        self.alive: dict[str, float] = {}
        """Token of a claim whose worker lives -> when its lease ends."""
        self.calls: Counter[int] = Counter()
        """Delivery -> how often its broker was called since it was last sent again."""

    def teardown(self):
        self.outbox.close()
        shutil.rmtree(self.folder)

    def watch(self, statement):
        """Each write in a transaction that began as one (SQLite tells of each statement)."""
        word = statement.split(None, 1)[0]
        if word == "BEGIN":
            assert statement == "BEGIN IMMEDIATE"
            self.begun = True
        elif word in ("COMMIT", "ROLLBACK"):
            self.begun = False
        elif word in ("INSERT", "UPDATE", "DELETE", "REPLACE"):
            assert self.begun, statement

    def rows(self, table="delivery", key="id"):
        return {row[key]: row for row in self.outbox._connection.execute(f"SELECT * FROM {table}")}

    def row(self, claim):
        found = self.rows().get(claim.id)
        return None if found is None else tuple(found)

    # ------------------------------------------------------------------------------------------------------------ events

    @initialize(target=events, unread=st.booleans(), names=st.sets(st.sampled_from(sorted(SERVICES)), min_size=1))
    def begin(self, unread, names):
        """Two pushes: one that cannot be read yet, or is for some services, and one for all."""
        events = [self.enqueue(PATHS[0]) for _ in range(2)]
        first, second = (self.outbox.claim_event(LEASE_S) for _ in range(2))
        for claim in (first, second):
            self.take(claim.event.id, claim.lease)
        self.expand(second, set(SERVICES))
        if unread:
            self.fail_event(first, 600.0)
        else:
            self.expand(first, names)
        return multiple(*events)

    @initialize(target=readings)
    def begin_to_read(self):
        self.enqueue(PATHS[1])
        return self.claim_event()

    @rule(target=events, path=st.sampled_from(PATHS))
    def enqueue(self, path):
        event = self.event(path)
        self.outbox.add_event(event)
        self.known[event.id] = set()
        return event

    @rule(target=readings, path=st.sampled_from(PATHS))
    def enqueue_inline(self, path):
        """By a hook that reads and delivers it itself."""
        claim = self.outbox.add_event(self.event(path), lease_s=LEASE_S)
        self.known[claim.event.id] = set()
        self.take(claim.event.id, claim.lease)
        return claim

    @rule(event=events)
    def enqueue_again(self, event):
        """The spool file was there still, the worker having been killed before it could remove it."""
        if event.id in self.forgotten:
            return
        before = self.rows("event")
        assert self.outbox.add_event(event, lease_s=LEASE_S) is None
        assert {key: tuple(row) for key, row in self.rows("event").items()} == {key: tuple(row) for key, row in before.items()}

    @rule(target=readings)
    def claim_event(self):
        due = self.outbox.next_due_at()
        claim = self.outbox.claim_event(LEASE_S)
        if claim is None:
            return multiple()
        assert due is not None
        assert due <= self.now
        self.take(claim.event.id, claim.lease)
        return multiple(claim)

    @rule(
        target=readings,
        claim=consumes(readings),
        wait_s=st.sampled_from([None, 5.0]),
        names=st.sets(st.sampled_from(sorted(SERVICES))),
    )
    def take_event_over(self, claim, wait_s, names):
        """Its lease has run out; the one that had it was at it all the same, and says so when others may have it."""
        self.now += LEASE_S + 1
        claimed = self.claim_event()
        if wait_s is None:
            self.expand(claim, names)
        else:
            self.fail_event(claim, wait_s)
        return claimed

    @rule(claim=consumes(readings), names=st.sets(st.sampled_from(sorted(SERVICES))))
    def expand(self, claim, names):
        held = self.end(claim.event.id, claim.lease)
        before = self.rows()
        entered = self.outbox.expand(claim, {"commits": []}, [SERVICES[name] for name in sorted(names)])
        assert (entered is not None) == held
        if held:
            self.known[claim.event.id] = names
            for number in self.rows().keys() - before.keys():
                self.calls[number] = 0  # a forgotten one may have had the number
        else:
            assert self.rows().keys() == before.keys()

    @rule(claim=consumes(readings), wait_s=st.sampled_from([None, 5.0, 600.0]))
    def fail_event(self, claim, wait_s):
        held = self.end(claim.event.id, claim.lease)
        before = self.rows("event").get(claim.event.id)
        assert self.outbox.fail_event(claim, "gone", None if wait_s is None else self.now + wait_s) == held
        if not held and before is not None:
            assert tuple(self.rows("event")[claim.event.id]) == tuple(before)

    @rule(event=events)
    def reread(self, event):
        if event.id not in self.forgotten and self.outbox.reread(event.id):
            assert self.holder.pop(event.id, None) is None

    # -------------------------------------------------------------------------------------------------------- deliveries

    @rule(target=attempts)
    def claim_delivery(self):
        due = self.outbox.next_due_at()
        before, unread, breakers = self.rows(), self.rows("event"), self.rows("breaker", "endpoint")
        claim = self.outbox.claim_delivery(LEASE_S, PER_ENDPOINT)
        if claim is None:
            return multiple()
        assert due is not None
        assert due <= self.now
        row = before[claim.id]
        assert claim.attempts == row["attempts"] + 1
        busy = [each for each in before.values() if each["endpoint"] == claim.endpoint and self.is_live(each)]
        assert len(busy) < PER_ENDPOINT
        breaker = breakers.get(claim.endpoint)
        if breaker is not None and breaker["open_until"] is not None:
            assert not busy, "more than one probe"
            assert breaker["open_until"] <= self.now
        off = {(each.repository, each.name) for each in control.disabled(self.outbox)}
        assert not off & {(row["repository"], row["service"]), ("", row["service"])}
        if row["ordered"]:
            same = [each for each in before.values() if each["service"] == row["service"]]
            assert not [each for each in (*same, *unread.values()) if each["state"] in UNFINISHED and _is_before(each, row)]
        return self.started(claim)

    @rule(target=attempts, most=st.integers(1, 4), ahead=st.sampled_from([0, 0, 2]))
    def claim_several(self, most, ahead):
        before, breakers = self.busy(), self.rows("breaker", "endpoint")
        claims = self.outbox.claim_deliveries(LEASE_S, PER_ENDPOINT, most, quick=ENDPOINTS, ahead=ahead)
        assert len(claims) <= most + ahead
        for endpoint, count in (self.busy() - before).items():
            breaker = breakers.get(endpoint)
            is_open, drains = (breaker["open_until"] is not None, not breaker["failures"]) if breaker else (False, False)
            assert before[endpoint] + count <= (1 if is_open else PER_ENDPOINT if drains else PER_ENDPOINT + ahead)
        return multiple(*(each for claim in claims for each in self.started(claim).values))

    @rule(
        verdict=st.sampled_from([Verdict.DELIVERED, Verdict.RETRY, Verdict.DEAD]), reached=st.booleans(), times=st.integers(1, 8)
    )
    def a_stretch_of_ordinary_life(self, verdict, reached, times):
        for _ in range(times):
            self.time_passes_until_something_is_due()
            for reading in self.claim_event().values:
                self.expand(reading, set(SERVICES))
            for claim in self.claim_delivery().values:
                self.finish(claim, verdict, None, reached)

    @rule(
        target=attempts,
        claim=consumes(attempts),
        after_s=st.sampled_from([LEASE_S / 2, LEASE_S + 1]),
        verdict=st.sampled_from(Verdict),
    )
    def take_delivery_over(self, claim, after_s, verdict):
        """Likewise; or not yet."""
        self.now += after_s
        claimed = self.claim_delivery()
        self.finish(claim, verdict, None, None)
        return claimed

    def started(self, claim):
        """As the scheduler begins an attempt, or gives up what is beyond the last."""
        self.take(claim.id, claim.lease)
        if claim.scheduled_attempts > MOST_CALLS:
            self.end(claim.id, claim.lease)
            assert self.outbox.finish(claim, Outcome(Verdict.DEAD, "given up"), None)
            return multiple()
        self.calls[claim.id] += 1
        assert self.calls[claim.id] <= MOST_CALLS
        return multiple(claim)

    @rule(
        claim=consumes(attempts),
        verdict=st.sampled_from([*Verdict, Verdict.RETRY]),
        after_s=st.sampled_from([None, 30.0, 1e9]),
        reached=st.sampled_from([True, False, False, None]),
    )
    def finish(self, claim, verdict, after_s, reached):
        """In time, or late: the lease may have run out, been taken over, or ended by hand."""
        held = self.end(claim.id, claim.lease)
        before = self.row(claim)
        outcome = Outcome(verdict, "why", after_s=after_s, reached=True if verdict is Verdict.DELIVERED else reached)
        next_at, outcome = schedule.next_attempt(claim, outcome, RETRY_S, None, self.now)
        assert self.outbox.finish(claim, outcome, next_at) == held
        if not held:
            assert self.row(claim) == before

    @rule(claim=consumes(attempts))
    def release(self, claim):
        held = self.end(claim.id, claim.lease)
        before = self.row(claim)
        assert self.outbox.release(claim) == held
        if held:
            self.calls[claim.id] -= 1
            assert self.rows()[claim.id]["attempts"] == claim.attempts - 1
        else:
            assert self.row(claim) == before

    @rule(claim=attempts)
    def renew(self, claim):
        if claim.lease not in self.alive:
            return
        before = self.row(claim)
        self.outbox.renew([claim], LEASE_S)
        if self.holder.get(claim.id) == claim.lease:
            self.alive[claim.lease] = self.now + LEASE_S
        else:
            assert self.row(claim) == before

    @rule(claim=consumes(attempts))
    def crash(self, claim):
        """Its worker is killed: the lease stays, and runs out. Nothing to assert but that it is taken over."""
        self.alive.pop(claim.lease, None)

    @rule(with_the_next=st.booleans())
    def the_worker_is_killed(self, with_the_next):
        """The next one ends the leases that it left, not those of hooks; what is ended is due unless its endpoint is left alone."""
        if with_the_next:
            self.time_passes_until_something_is_due()
            self.claim_delivery()
        before = self.rows("event") | self.rows()
        left = {key for key, row in before.items() if (row["lease"] or "").startswith("worker-")}
        assert self.outbox.end_leases_of_workers() == len(left)
        opened = {endpoint: row["open_until"] or 0.0 for endpoint, row in self.rows("breaker", "endpoint").items()}
        for key, row in (self.rows("event") | self.rows()).items():
            expected = dict(before[key])
            if key in left:
                expected |= {"state": "waiting", "lease": None, "lease_until": None, "interrupted": row["interrupted"]}
                expected["next_at"] = self.now + SUSPECT_WAIT_S * before[key]["interrupted"]
                assert row["interrupted"] == before[key]["interrupted"] + 1
                self.end(key, before[key]["lease"])
            if row["state"] == "waiting" and (until := opened.get(expected.get("endpoint"), 0.0)) > self.now:
                expected["next_at"] = max(expected["next_at"], until)
            assert dict(row) == expected

    @precondition(lambda self: self.rows())
    @rule(data=st.data())
    def redeliver(self, data):
        number = data.draw(st.sampled_from(sorted(self.rows())))
        live = self.is_live(self.rows()[number])
        assert self.outbox.redeliver(number) == (not live)
        if not live:
            self.alive.pop(self.holder.pop(number, ""), None)
            self.calls[number] = 0
            assert self.rows()[number]["schedule_from"] == self.rows()[number]["attempts"]

    @rule(name=st.sampled_from(sorted(SERVICES)), path=st.sampled_from([None, *PATHS]))
    def disable(self, name, path):
        control.disable(self.outbox, name, path, "")

    @rule(name=st.sampled_from(sorted(SERVICES)), path=st.sampled_from([None, *PATHS]))
    def enable(self, name, path):
        control.enable(self.outbox, name, path)

    @rule()
    def expire(self):
        before = self.rows()
        count = self.outbox.expire()
        ended = {number for number, row in self.rows().items() if row["state"] != before[number]["state"]}
        assert len(ended) == count
        assert all(before[number]["state"] == "waiting" and before[number]["expires_at"] <= self.now for number in ended)

    # --------------------------------------------------------------------------------------------------------- the clock

    @rule(by_s=st.sampled_from([1.0, 30.0, 61.0, 90_000.0]))
    def time_passes(self, by_s):
        self.now += by_s

    @rule()
    def time_passes_until_something_is_due(self):
        self.now = max(self.now, (self.outbox.next_due_at() or 0.0) + 0.001)

    @rule(by_s=st.sampled_from([-2 * 86_400.0, -3_600.0, -10.0, 3_600.0, 2 * 86_400.0]))
    def clock_jumps(self, by_s):
        """The worker lengthens the leases that it holds, then mends what another clock has put off."""
        self.now += by_s
        held = {token: key for key, token in self.holder.items() if token in self.alive}
        with self.outbox.write() as run:
            for token, key in held.items():
                run("renew_event" if isinstance(key, str) else "renew_delivery", lease=token, until=self.now + LEASE_S)
                self.alive[token] = self.now + LEASE_S
        retention.mend_times(self.outbox)
        latest = self.now + retention.LONGEST_WAIT_S
        for row in (*self.rows().values(), *self.rows("event").values()):
            assert row["state"] != "waiting" or row["next_at"] <= latest
            assert row["state"] != "leased" or row["lease_until"] <= self.now + retention.LONGEST_HOLD_S

    # -------------------------------------------------------------------------------------------------------- forgetting

    @rule(after_s=st.sampled_from([0.0, KEEP_S]))
    def prune(self, after_s):
        self.now += after_s
        before, deliveries = self.rows("event"), self.rows()
        count, more = retention.prune(self.outbox, KEEP_S)
        gone = before.keys() - self.rows("event").keys()
        assert (len(gone), more) == (count, False)
        for event in gone:
            assert before[event]["state"] == "read"
            assert before[event]["created_at"] < self.now - KEEP_S
            assert {row["state"] for row in deliveries.values() if row["event"] == event} <= {"delivered", "skipped"}
        self.forgotten |= gone

    @rule(data=st.data())
    def forget_the_dead(self, data):
        before, events = self.rows(), self.rows("event")
        chosen = data.draw(st.lists(st.sampled_from(sorted(before)), unique=True)) if before else []
        forgotten = retention.forget_deliveries(self.outbox, chosen)
        assert forgotten == [number for number in chosen if before[number]["state"] in ENDED]
        self.forgotten_deliveries |= {(before[number]["event"], before[number]["service"]) for number in forgotten}
        self.forgotten |= events.keys() - self.rows("event").keys()

    @rule(event=events)
    def forget_a_push(self, event):
        before = [row["state"] for row in self.rows().values() if row["event"] == event.id]
        if retention.forget_pushes(self.outbox, [event.id]):
            assert set(before) <= set(ENDED)
            self.forgotten.add(event.id)

    # ------------------------------------------------------------------------------------------------------------- always

    @invariant()
    def each_event_is_there_until_it_is_forgotten(self):
        assert self.rows("event").keys() == self.known.keys() - self.forgotten

    @invariant()
    def each_delivery_is_there_once(self):
        there = Counter((row["event"], row["service"]) for row in self.rows().values())
        expected = {(event, service) for event, names in self.known.items() if event not in self.forgotten for service in names}
        assert there == Counter(expected - self.forgotten_deliveries)

    @invariant()
    def what_is_under_lease_has_one_and_nothing_else_has(self):
        for row in (*self.rows().values(), *self.rows("event").values()):
            assert (row["state"] == "leased") == (row["lease"] is not None) == (row["lease_until"] is not None)
        for row in self.rows().values():
            assert (row["state"] in ENDED) == (row["finished_at"] is not None)
            assert row["attempts"] >= row["schedule_from"]

    # -------------------------------------------------------------------------------------------------------------- model

    def event(self, path):
        self.numbered += 1
        moved = RefUpdate("refs/heads/m", "0" * 40, "1" * 40)
        return Event(f"{self.numbered:032x}", "git", path, self.now, "ann", "ssh", (moved,))

    def busy(self):
        """Endpoint -> how many live leases it has."""
        return Counter(row["endpoint"] for row in self.rows().values() if self.is_live(row))

    def is_live(self, row):
        return row["state"] == "leased" and row["lease_until"] >= self.now

    def take(self, key, token):
        """A claim was given out: nobody who lives may hold it under a lease that has not run out."""
        former = self.holder.get(key)
        assert self.alive.get(former, 0.0) < self.now, "two live leases"
        self.holder[key] = token
        self.alive[token] = self.now + LEASE_S

    def end(self, key, token):
        """A claim comes to its end; whether it held."""
        self.alive.pop(token, None)
        if self.holder.get(key) != token:
            return False
        del self.holder[key]
        return True


def _is_before(row, other):
    return row["repository"] == other["repository"] and row["sequence"] < other["sequence"]


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=STEPS,
    deadline=None,
    phases=list(Phase) if SOAK else [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
