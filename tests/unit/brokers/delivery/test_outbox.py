import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from brokers.delivery import retention, statedir
from brokers.delivery.claims import NewDelivery
from brokers.delivery.outbox import FILE, SUSPECT_WAIT_S, Outbox, OutboxError
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


def event(number=1, path="/srv/git/app.git"):
    return Event(f"{number:032x}", "git", path, 1.0, "git", "ssh", (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),))


COMPOSED = {"commits": [], "oberon": {"refs": []}}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(state_dir, clock):
    statedir.prepare(str(state_dir))
    with Outbox.open(str(state_dir), clock) as opened:
        yield opened


def read(outbox, *services, number=1, path="/srv/git/app.git", **options):
    """An event entered and read, with a delivery for each service."""
    outbox.add_event(event(number, path))
    claim = outbox.claim_event(60)
    outbox.expand(claim, COMPOSED, [NewDelivery(name, "post", **options) for name in services])


def test_an_event_is_entered_once_and_numbered_per_repository(outbox):
    for number in (1, 1, 2):
        outbox.add_event(event(number))
    outbox.add_event(event(3, "/srv/git/other.git"))
    claims = [outbox.claim_event(60) for _ in range(3)]
    assert sorted((claim.event.path, claim.sequence) for claim in claims) == [
        ("/srv/git/app.git", 1),
        ("/srv/git/app.git", 2),
        ("/srv/git/other.git", 1),
    ]
    assert outbox.claim_event(60) is None
    assert claims[0].event == event(1)


def test_a_delivery_goes_from_claim_to_done(outbox, clock):
    read(outbox, "ci")
    claim = outbox.claim_delivery(60, 4)
    assert (claim.service, claim.attempts, claim.composed(), claim.repository) == ("ci", 1, COMPOSED, "/srv/git/app.git")
    assert outbox.claim_delivery(60, 4) is None
    clock.now += 2
    assert outbox.finish(claim, Outcome(Verdict.DELIVERED, note="200 OK", duration_s=1.5, details={"exchanges": []}), None)
    (row,) = outbox.ask("show_delivery", id=claim.id)
    assert (row["state"], row["note"], row["finished_at"]) == ("delivered", "200 OK", clock.now)
    (attempt,) = outbox.ask("attempts_of", id=claim.id)
    assert (attempt["number"], attempt["outcome"], attempt["started_at"]) == (1, "delivered", clock.now - 1.5)
    assert outbox.next_due_at() is None


def test_a_failed_delivery_is_due_again_at_its_time(outbox, clock):
    read(outbox, "ci")
    claim = outbox.claim_delivery(60, 4)
    outbox.finish(claim, Outcome(Verdict.RETRY, "refused"), clock.now + 30)
    assert outbox.claim_delivery(60, 4) is None
    assert outbox.next_due_at() == clock.now + 30
    clock.now += 31
    assert outbox.claim_delivery(60, 4).attempts == 2


def test_a_failure_without_a_next_time_is_dead(outbox):
    read(outbox, "ci")
    claim = outbox.claim_delivery(60, 4)
    outbox.finish(claim, Outcome(Verdict.RETRY, "refused"), None)
    (row,) = outbox.ask("show_delivery", id=claim.id)
    assert (row["state"], row["reason"]) == ("dead", "refused")


def test_a_worker_that_lost_its_lease_cannot_finish(outbox, clock):
    read(outbox, "ci")
    slow = outbox.claim_delivery(10, 4)
    clock.now += 11
    quick = outbox.claim_delivery(10, 4)
    assert quick.id == slow.id
    assert quick.attempts == 2, "the attempt was counted at the claim, so a worker that dies each time ends as dead"
    assert not outbox.finish(slow, Outcome(Verdict.DELIVERED), None)
    assert outbox.finish(quick, Outcome(Verdict.DELIVERED), None)
    assert [row["number"] for row in outbox.ask("attempts_of", id=slow.id)] == [1, 2], "it did happen twice"


def test_a_renewed_lease_is_not_taken_over(outbox, clock):
    read(outbox, "ci")
    claim = outbox.claim_delivery(10, 4)
    clock.now += 9
    outbox.renew([claim], 10)
    clock.now += 9
    assert outbox.claim_delivery(10, 4) is None
    assert outbox.finish(claim, Outcome(Verdict.DELIVERED), None)


def test_what_a_killed_worker_had_under_way_is_not_waited_for(outbox, clock):
    read(outbox, "ci", endpoint="ci.example.org:443")
    outbox.add_event(event(2))
    outbox.claim_event(60)
    killed = outbox.claim_delivery(60, 1)
    assert outbox.end_leases_of_workers() == 2
    assert outbox.claim_event(60).interrupted == 1
    again = outbox.claim_delivery(60, 1)
    assert (again.id, again.attempts, again.interrupted) == (killed.id, 2, 1)
    assert not outbox.finish(killed, Outcome(Verdict.DELIVERED), None), "its token is no longer good"
    assert outbox.finish(again, Outcome(Verdict.DELIVERED), None)


def test_what_may_be_killing_the_workers_comes_later_each_time(outbox, clock):
    read(outbox, "ci")
    waited = []
    for _ in range(4):
        began = clock.now
        while (claim := outbox.claim_delivery(60, 4)) is None:
            clock.now += 0.5
        waited.append(clock.now - began)
        outbox.end_leases_of_workers()
    assert waited == [0, 0, SUSPECT_WAIT_S, 2 * SUSPECT_WAIT_S]
    assert claim.interrupted == 3


def test_the_lease_of_an_inline_hook_is_not_a_worker_s_to_end(outbox):
    claim = outbox.add_event(event(), lease_s=60)
    assert outbox.end_leases_of_workers() == 0
    (delivery,) = outbox.expand(claim, COMPOSED, [NewDelivery("ci", "post")], lease_s=60)
    assert outbox.end_leases_of_workers() == 0
    assert outbox.finish(delivery, Outcome(Verdict.DELIVERED), None)


def test_a_released_claim_is_due_at_once_and_not_counted(outbox):
    read(outbox, "ci")
    assert outbox.release(outbox.claim_delivery(60, 4))
    assert outbox.claim_delivery(60, 4).attempts == 1


def test_an_endpoint_gets_its_share_and_no_more(outbox):
    read(outbox, "a", "b", "c", endpoint="ci.example.org:443")
    read(outbox, "d", number=2, endpoint="chat.example.org:443")
    claims = [outbox.claim_delivery(60, 2) for _ in range(4)]
    assert [claim and claim.service for claim in claims] == ["a", "b", "d", None]
    outbox.finish(claims[0], Outcome(Verdict.DELIVERED), None)
    assert outbox.claim_delivery(60, 2).service == "c"


def test_an_ordered_delivery_waits_for_the_one_before_it(outbox, clock):
    read(outbox, "ci", number=1, ordered=True)
    read(outbox, "ci", number=2, ordered=True)
    first = outbox.claim_delivery(60, 4)
    assert outbox.claim_delivery(60, 4) is None
    outbox.finish(first, Outcome(Verdict.RETRY, "refused"), clock.now + 5)
    assert outbox.claim_delivery(60, 4) is None
    clock.now += 6
    again = outbox.claim_delivery(60, 4)
    assert again.id == first.id
    outbox.finish(again, Outcome(Verdict.DEAD, "never"), None)
    assert outbox.claim_delivery(60, 4).event == event(2).id


def test_an_event_that_cannot_be_read_is_tried_again_then_dead(outbox, clock):
    outbox.add_event(event())
    assert outbox.fail_event(outbox.claim_event(60), "no such repository", clock.now + 5)
    assert outbox.claim_event(60) is None
    clock.now += 6
    claim = outbox.claim_event(60)
    assert claim.attempts == 2
    assert outbox.fail_event(claim, "no such repository", None)
    (row,) = outbox.ask("show_event", id=event().id)
    assert (row["state"], row["reason"]) == ("dead", "no such repository")
    assert outbox.reread(event().id)
    assert outbox.claim_event(60) is not None


def test_a_skipped_delivery_is_recorded_and_never_due(outbox):
    outbox.add_event(event())
    outbox.expand(outbox.claim_event(60), COMPOSED, [NewDelivery("ci", "post", skipped="skipped: refs filter")])
    assert outbox.claim_delivery(60, 4) is None
    (row,) = outbox.ask("deliveries_of", id=event().id)
    assert (row["state"], row["reason"]) == ("skipped", "skipped: refs filter")


def test_inline_enters_and_claims_in_one_step(outbox):
    claim = outbox.add_event(event(), lease_s=60)
    assert outbox.claim_event(60) is None, "no worker may take what the hook is at"
    first, second = outbox.expand(claim, COMPOSED, [NewDelivery("a", "post"), NewDelivery("b", "post")], lease_s=60)
    assert outbox.claim_delivery(60, 4) is None
    assert outbox.finish(first, Outcome(Verdict.DELIVERED), None)
    assert outbox.release(second)
    assert outbox.claim_delivery(60, 4).id == second.id


def test_redelivery_keeps_the_event_and_begins_the_schedule_anew(outbox, clock):
    read(outbox, "ci")
    claim = outbox.claim_delivery(60, 4)
    assert not outbox.redeliver(claim.id), "it is on its way"
    outbox.finish(claim, Outcome(Verdict.RETRY, "refused"), clock.now + 3600)
    assert outbox.redeliver(claim.id)
    again = outbox.claim_delivery(60, 4)
    assert (again.id, again.event, again.attempts, again.scheduled_attempts, again.repeats) == (claim.id, claim.event, 2, 1, 1)
    assert not outbox.redeliver(4711)


def test_two_processes_never_claim_the_same_delivery(state_dir, outbox, clock):
    read(outbox, *(f"s{number}" for number in range(40)))

    def drain(_):
        claimed = []
        with Outbox.open(str(state_dir), clock) as mine:
            while claim := mine.claim_delivery(60, 4):
                claimed.append(claim.id)
        return claimed

    with ThreadPoolExecutor(4) as threads:
        claimed = [number for part in threads.map(drain, range(4)) for number in part]
    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == 40


def test_its_files_are_the_user_s_own(state_dir, outbox):
    read(outbox, "ci")
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(state_dir) if entry.name.startswith(FILE)}
    assert set(modes.values()) == {0o600}
    assert FILE + "-wal" in modes


def test_a_newer_schema_is_refused(state_dir, outbox, clock):
    outbox.close()
    with sqlite3.connect(state_dir / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(OutboxError, match="newer Oberon \\(schema 99; this one reads 4\\): upgrade"):
        Outbox.open(str(state_dir), clock)


def test_a_file_that_is_no_database_is_an_error_that_names_it(state_dir, clock):
    statedir.prepare(str(state_dir))
    (state_dir / FILE).write_bytes(b"no database at all " * 100)
    with pytest.raises(OutboxError, match=FILE):
        Outbox.open(str(state_dir), clock)


def test_a_path_that_is_not_utf8_is_kept(outbox):
    path = os.fsdecode(b"/srv/git/caf\xe9.git")
    outbox.add_event(event(path=path))
    assert outbox.claim_event(60).event.path == path


def test_every_write_begins_immediate(state_dir, outbox, clock):
    statements = []
    outbox._connection.set_trace_callback(statements.append)
    read(outbox, "ci")
    claim = outbox.claim_delivery(60, 4)
    outbox.renew([claim], 60)
    outbox.finish(claim, Outcome(Verdict.RETRY, "x"), clock.now)
    outbox.redeliver(claim.id)
    retention.prune(outbox, 1)
    begun = [statement for statement in statements if statement.startswith("BEGIN")]
    assert set(begun) == {"BEGIN IMMEDIATE"}
    in_transaction = False
    for statement in statements:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            assert in_transaction, statement
        in_transaction = (in_transaction or statement.startswith("BEGIN")) and not statement.startswith("COMMIT")


def test_an_ordered_delivery_waits_for_an_earlier_push_that_is_not_read_yet(outbox):
    outbox.add_event(event(1))
    first = outbox.claim_event(60)
    read(outbox, "ci", number=2, ordered=True)
    assert outbox.claim_delivery(60, 4) is None
    outbox.expand(first, COMPOSED, [NewDelivery("ci", "post", ordered=True)])
    assert outbox.claim_delivery(60, 4).event == event(1).id
