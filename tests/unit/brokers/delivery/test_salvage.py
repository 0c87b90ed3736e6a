"""What of a corrupt outbox goes on, and that nothing is in the way of a new one."""

import json
import logging
import os
import random
import sqlite3
from dataclasses import replace

import pytest

from brokers.delivery import control, salvage, spool, statedir
from brokers.delivery.claims import NewDelivery
from brokers.delivery.database import FILE, CorruptOutboxError, OutboxError
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate

NOW = 1_700_000_000.0
PAGE = 4096
COMPOSED = {"commits": ["x" * 700]}


def event(number, path="/srv/git/app.git"):
    return Event(f"{number:032x}", "git", path, NOW, "git", "ssh", (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),))


@pytest.fixture
def place(state_dir):
    statedir.prepare(str(state_dir))
    return state_dir


def opened(place, now=NOW):
    return Outbox.open(str(place), lambda: now)


def fill(outbox, count):
    """Pushes 1 to count, each for `a` (delivered), `b` (waiting) and, of odd ones, `c` (dead)."""
    outbox._connection.execute("PRAGMA synchronous = OFF")  # quicker
    for number in range(1, count + 1):
        outbox.add_event(event(number))
        services = [NewDelivery(name, "post") for name in ("a", "b", "c")[: 2 + number % 2]]
        claims = outbox.expand(outbox.claim_event(60), COMPOSED, services, lease_s=60)
        for claim, verdict in zip(claims, (Verdict.DELIVERED, Verdict.RETRY, Verdict.DEAD), strict=False):
            outbox.finish(claim, Outcome(verdict, "why"), NOW + 5 if verdict is Verdict.RETRY else None)


def respooled(place):
    """Event's number -> the services it is for, as they lie in the spool, oldest first."""
    records = [spool.load(path) for path in spool.waiting(str(place))]
    return {int(record["id"], 16): record.get("only") for record in records}


def damage(place, first, pages=1, data=None):
    with (place / FILE).open("r+b") as file:
        file.seek(first * PAGE)
        file.write(os.urandom(pages * PAGE) if data is None else data)


def test_what_is_not_done_goes_back_into_the_spool(place):
    with opened(place) as outbox:
        fill(outbox, 2)
        for number in (3, 4):
            outbox.add_event(event(number), only=["b"] if number == 4 else None)
        outbox.add_event(event(5))
        outbox.fail_event(outbox.claim_event(60), "gone", None)  # the third
    found = salvage.set_aside(str(place), "for the test", NOW)
    assert (found.pushes, found.lost, found.whole) == (4, 0, True)
    assert respooled(place) == {1: ["b"], 2: ["b"], 4: ["b"], 5: None}
    assert found.path.name == f"{FILE}.corrupt-20231114T221320Z"
    assert salvage.lying_aside(str(place)) == [found.path]
    assert not (place / FILE).exists()


def test_what_is_no_push_does_not(place):
    """An alert that was on its way, and a push that is only known."""
    alert = replace(event(1), alert={"kind": "dead", "service": "a", "reason": "why", "deliveries": 1, "text": "why"})
    with opened(place) as outbox:
        with outbox.write() as run:
            asked = {"id": alert.id, "repository": alert.path, "record": json.dumps(alert.to_record()), "only": None, "now": NOW}
            run("add_event", **asked, sequence=0, state="waiting", attempts=0, lease=None, until=None)
        outbox.add_event(event(2), only=[])
    found = salvage.set_aside(str(place), "for the test", NOW)
    assert (found.pushes, found.lost, respooled(place)) == (0, 0, {})


def test_what_it_was_for_goes_on(place):
    """Numbering and switched off services; what is tried again is older than what came meanwhile."""
    with opened(place, NOW - 500) as outbox:
        fill(outbox, 2)
        outbox.add_event(event(9, "/srv/git/other.git"))
        control.disable(outbox, "b", None, "broken")
    spool.write(str(place), event(10).to_record())
    found = salvage.set_aside(str(place), "for the test", NOW)
    assert list(respooled(place)) == [1, 2, 9, 10]
    with opened(place) as outbox:
        salvage.take_over(outbox, found)
        for path in spool.waiting(str(place)):
            outbox.add_event(Event.from_record(spool.load(path)))
        rows = outbox.ask("list_unread", repository=None, most=-1)
        assert {(int(row["id"], 16), row["sequence"]) for row in rows} == {(1, 3), (2, 4), (9, 2), (10, 5)}
        assert [(each.name, each.by, each.why) for each in control.disabled(outbox)] == [("b", "admin", "broken")]
        assert reconcile_takes_the_present_for_known(outbox)


def reconcile_takes_the_present_for_known(outbox):
    rows = [tuple(row) for row in outbox._connection.execute("SELECT repository, refs FROM baseline ORDER BY 1")]
    return rows == [("/srv/git/app.git", ""), ("/srv/git/other.git", "")]


def test_a_kill_in_between_loses_nothing(place, monkeypatch):
    with opened(place) as outbox:
        fill(outbox, 3)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", _but(os.rename, place / FILE, killed))
    with pytest.raises(KeyboardInterrupt):
        salvage.set_aside(str(place), "for the test", NOW)
    monkeypatch.undo()
    assert salvage.set_aside(str(place), "for the test", NOW).pushes == 3
    assert respooled(place) == {1: ["b"], 2: ["b"], 3: ["b"]}


def _but(rename, path, instead):
    return lambda old, new: instead() if str(old).startswith(str(path)) else rename(old, new)


def test_a_full_disk_leaves_it_where_it_is(place, monkeypatch):
    with opened(place) as outbox:
        fill(outbox, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "write", full)
    with pytest.raises(OSError, match="No space left"):
        salvage.set_aside(str(place), "for the test", NOW)
    assert salvage.lying_aside(str(place)) == []
    assert (place / FILE).exists()


def test_a_second_one_so_soon_is_refused(place):
    opened(place).close()
    last = salvage.set_aside(str(place), "for the test", NOW).path
    opened(place).close()
    with pytest.raises(OutboxError, match="see to the disk, or remove that file"):
        salvage.set_aside(str(place), "for the test", last.stat().st_ctime + 60)
    assert salvage.set_aside(str(place), "for the test", last.stat().st_ctime + salvage.AGAIN_S + 1).path != last


def test_a_file_that_is_no_database_gives_nothing_and_is_not_in_the_way(place, caplog):
    spool.write(str(place), event(7).to_record())
    (place / FILE).write_bytes(b"no database at all " * 1000)
    with pytest.raises(CorruptOutboxError) as raised:
        opened(place)
    with caplog.at_level(logging.ERROR, "oberon.worker"):
        found = salvage.set_aside(str(place), raised.value.reason, NOW)
    assert (found.pushes, found.whole) == (0, False)
    assert f"set aside as {found.path}" in caplog.text
    assert "parts of it cannot be read" in caplog.text
    assert respooled(place) == {7: None}
    opened(place).close()


@pytest.mark.parametrize("seed", range(6))
def test_wherever_it_is_damaged_what_is_told_as_taken_over_is_in_the_spool(place, seed):
    """Random pages of an outbox of 150 pushes: no fault, no made-up push; and of what can be reached nothing is left out."""
    with opened(place) as outbox:
        fill(outbox, 150)
    pages = (place / FILE).stat().st_size // PAGE
    drawn = random.Random(seed)
    damage(place, drawn.randrange(1, pages), drawn.choice([1, 3, 20]), None if seed % 2 else bytes(PAGE))
    found = salvage.set_aside(str(place), "for the test", NOW)
    taken = respooled(place)
    assert found.pushes == len(taken)
    assert set(taken) <= set(range(1, 151))
    if found.whole:
        assert len(taken) + found.lost >= 150


def test_what_lies_on_both_sides_of_the_damage_is_found(place):
    with opened(place) as outbox:
        fill(outbox, 300)
        (root,) = outbox._connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()
    leaf = middle_leaf(place, root)
    damage(place, leaf - 1)
    found = salvage.set_aside(str(place), "for the test", NOW)
    taken = respooled(place)
    assert not found.whole
    assert {1, 300} <= set(taken)
    assert 280 <= len(taken) < 300
    assert found.lost == 300 - len(taken)


def middle_leaf(place, page):
    """The number of the page in the middle of a b-tree without row ids, from 1 (https://sqlite.org/fileformat2.html)."""
    data = (place / FILE).read_bytes()
    while True:
        start = (page - 1) * PAGE
        if data[start] == 10:
            return page
        assert data[start] == 2
        cells = int.from_bytes(data[start + 3 : start + 5])
        at = start + int.from_bytes(data[start + 12 + cells // 2 * 2 :][:2])
        page = int.from_bytes(data[at : at + 4])


def test_pushes_whose_deliveries_cannot_be_read_go_to_all_again(place):
    with opened(place) as outbox:
        fill(outbox, 3)
        (root,) = outbox._connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'delivery'").fetchone()
    damage(place, root - 1)
    found = salvage.set_aside(str(place), "for the test", NOW)
    assert respooled(place) == {1: None, 2: None, 3: None}
    assert not found.whole


def test_those_that_are_old_do_not(place):
    with opened(place) as outbox:
        fill(outbox, 3)
        (root,) = outbox._connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'delivery'").fetchone()
    damage(place, root - 1)
    found = salvage.set_aside(str(place), "for the test", NOW + salvage.DOUBTFUL_S + 1)
    assert (found.pushes, respooled(place)) == (0, {})


def test_an_outbox_that_was_set_aside_can_be_read(place):
    """Its journal goes with it."""
    with opened(place) as outbox:
        fill(outbox, 2)
        found = salvage.set_aside(str(place), "for the test", NOW)
        aside = sqlite3.connect(found.path)
        assert aside.execute("SELECT count(*) FROM delivery").fetchone() == (5,)
        aside.close()
    assert not list(place.glob(FILE + "-*"))
