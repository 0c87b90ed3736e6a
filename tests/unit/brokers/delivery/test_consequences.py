"""What becomes of services and deliveries when attempts end, and who is told."""

import json

from brokers.delivery import alerts, control
from brokers.delivery.claims import NewDelivery
from brokers.delivery.outcome import Outcome, Verdict
from payload.push import Event, RefUpdate

APP = "/srv/git/app.git"
DEAD = Outcome(Verdict.DEAD, "no such channel", called=True)
FAILED = Outcome(Verdict.RETRY, "HTTP 404", reached=True, called=True)
GONE = Outcome(Verdict.DEAD, "HTTP 410 Gone", reached=True, called=True, gone=True)
DELIVERED = Outcome(Verdict.DELIVERED, reached=True)
HOUR_S = 3600.0


def enter(outbox, number, *services, path=APP, alerts_wanted=True, **options):
    refs = (RefUpdate("refs/heads/main", "0" * 40, "1" * 40),)
    outbox.add_event(Event(f"{number:032x}", "git", path, 1.0, "git", "ssh", refs))
    while (claim := outbox.claim_event(60)).event.alert:
        pass  # it stays unread
    new = [NewDelivery(service, "post", f"{service}:443", **options) for service in services]
    outbox.expand(claim, {"commits": [], "oberon": {"refs": []}}, new, alerts_wanted=alerts_wanted)


def end(outbox, outcome, next_at=None):
    claim = outbox.claim_delivery(60, 4)
    assert outbox.finish(claim, outcome, next_at)
    return claim


def entered_alerts(outbox):
    """What the alerts that are not read yet are about, oldest first."""
    ids = sorted(row["id"] for row in outbox.ask("list_unread", repository=None, most=-1))
    records = [json.loads(outbox.ask("show_event", id=number)[0]["record"]) for number in ids]
    return [record["alert"] for record in records if "alert" in record]


def shown(outbox):
    asked = {"repository": None, "service": None, "state": None, "failed": False, "since": None, "most": -1}
    return {row["id"]: (row["state"], row["reason"]) for row in outbox.ask("list_deliveries", **asked)}


# ------------------------------------------------------------------------------------------------------------- switched off


def test_a_service_that_is_gone_is_switched_off_and_what_waits_for_it_ends(outbox):
    for number in range(3):
        enter(outbox, number, "ci", "mail")
    end(outbox, GONE)
    assert [(row.name, row.repository, row.by, row.why) for row in control.disabled(outbox)] == [
        ("ci", APP, "oberon", "HTTP 410 Gone")
    ]
    assert [shown(outbox)[number] for number in (1, 3, 5)] == [
        ("dead", "HTTP 410 Gone"),
        ("dead", "given up: HTTP 410 Gone"),
        ("dead", "given up: HTTP 410 Gone"),
    ]
    assert [shown(outbox)[number][0] for number in (2, 4, 6)] == ["waiting"] * 3


def test_what_comes_while_it_is_off_is_kept_until_it_is_on(outbox):
    enter(outbox, 1, "ci")
    end(outbox, GONE)
    enter(outbox, 2, "ci")
    assert shown(outbox)[2][0] == "disabled"
    assert outbox.claim_delivery(60, 4) is None
    assert control.enable(outbox, "ci", APP) == 1
    assert outbox.claim_delivery(60, 4).id == 2


def test_what_had_failed_before_it_was_switched_off_is_due_when_it_is_on(outbox, clock):
    enter(outbox, 1, "ci")
    end(outbox, FAILED, clock.now + 10 * HOUR_S)
    control.disable(outbox, "ci", None, "")
    clock.now += HOUR_S
    assert control.enable(outbox, "ci", None) == 1
    assert outbox.claim_delivery(60, 4).id == 1


def test_of_one_repository_only(outbox):
    enter(outbox, 1, "ci")
    enter(outbox, 2, "ci", path="/srv/git/other.git")
    assert control.disable(outbox, "ci", "/srv/git/other.git", "moving") == 1
    assert outbox.claim_delivery(60, 4).repository == APP
    assert outbox.claim_delivery(60, 4) is None


def test_for_all_repositories_outlasts_being_enabled_for_one(outbox):
    enter(outbox, 1, "ci")
    assert control.disable(outbox, "ci", None, "moving") == 1
    assert control.enable(outbox, "ci", APP) == 0
    assert shown(outbox)[1][0] == "disabled"
    assert control.enable(outbox, "ci", None) == 1
    assert shown(outbox)[1][0] == "waiting"


def test_one_that_is_being_attempted_meanwhile_is_held_back_afterwards(outbox, clock):
    enter(outbox, 1, "ci")
    claim = outbox.claim_delivery(60, 4)
    control.disable(outbox, "ci", None, "moving")
    outbox.finish(claim, FAILED, clock.now)
    assert shown(outbox)[1][0] == "disabled"
    assert outbox.claim_delivery(60, 4) is None


def test_after_120_hours_of_failures_only_it_is_switched_off(outbox, clock):
    enter(outbox, 1, "ci")
    for _ in range(6):
        end(outbox, FAILED, clock.now)
        clock.now += 20 * HOUR_S
    assert control.disabled(outbox) == []
    end(outbox, FAILED, clock.now)
    [off] = control.disabled(outbox)
    assert (off.by, off.why) == ("oberon", "nothing was delivered for 120 h; last: HTTP 404")
    assert shown(outbox)[1][0] == "disabled"


def test_one_delivery_in_between_begins_the_120_hours_anew(outbox, clock):
    enter(outbox, 1, "ci")
    for _ in range(6):
        end(outbox, FAILED, clock.now)
        clock.now += 19 * HOUR_S
    enter(outbox, 2, "ci")
    first = outbox.claim_delivery(60, 4)
    second = outbox.claim_delivery(60, 4)
    outbox.finish(second, DELIVERED, None)
    clock.now += 10 * HOUR_S
    outbox.finish(first, FAILED, clock.now)
    assert control.disabled(outbox) == []


def test_failures_with_days_in_between_are_no_reason(outbox, clock):
    enter(outbox, 1, "ci")
    for _ in range(10):
        end(outbox, FAILED, clock.now)
        clock.now += 25 * HOUR_S
    assert control.disabled(outbox) == []


def test_a_service_that_was_never_called_has_not_failed(outbox, clock):
    enter(outbox, 1, "ci")
    for _ in range(10):
        end(outbox, Outcome(Verdict.RETRY, "service.ci.url: is missing"), clock.now)
        clock.now += 20 * HOUR_S
    assert control.disabled(outbox) == []


# ------------------------------------------------------------------------------------------------------------------ too old


def test_what_waits_for_longer_than_its_maxage_ends_as_dead(outbox, clock):
    enter(outbox, 1, "chat", max_age_s=HOUR_S)
    enter(outbox, 2, "ci", max_age_s=None)
    control.disable(outbox, "chat", None, "noisy")
    clock.now += HOUR_S
    assert outbox.expire() == 0
    clock.now += 1
    assert outbox.expire() == 1
    assert shown(outbox) == {1: ("dead", "given up: older than maxAge"), 2: ("waiting", "")}


def test_sent_again_by_hand_it_has_its_whole_time_again(outbox, clock):
    enter(outbox, 1, "chat", max_age_s=HOUR_S)
    clock.now += HOUR_S + 1
    outbox.expire()
    assert outbox.redeliver(1)
    clock.now += HOUR_S - 1
    assert outbox.expire() == 0
    assert outbox.claim_delivery(60, 4).id == 1


# ------------------------------------------------------------------------------------------------------------------- alerts


def test_who_is_told_of_a_dead_delivery(outbox):
    enter(outbox, 1, "it's")
    end(outbox, DEAD)
    [alert] = entered_alerts(outbox)
    assert alert == {
        "kind": "dead",
        "service": "it's",
        "reason": "no such channel",
        "deliveries": 1,
        "text": f"1 delivery to it's of {APP} given up: no such channel\noberon deliveries --dead; oberon redeliver ID",
    }


def test_one_alert_an_hour_about_one_service_and_it_counts(outbox, clock):
    for number in range(6):
        enter(outbox, number, "ci")
        end(outbox, DEAD)
        clock.now += 15 * 60
    assert [alert["deliveries"] for alert in entered_alerts(outbox)] == [1, 4]


def test_each_service_has_its_own(outbox):
    enter(outbox, 1, "ci", "mail")
    end(outbox, DEAD)
    end(outbox, DEAD)
    assert [alert["service"] for alert in entered_alerts(outbox)] == ["ci", "mail"]


def test_being_switched_off_is_told_at_once(outbox):
    enter(outbox, 1, "my ci")
    enter(outbox, 2, "my ci")
    end(outbox, DEAD)
    end(outbox, GONE)
    assert [alert["kind"] for alert in entered_alerts(outbox)] == ["dead", "disabled"]
    assert entered_alerts(outbox)[1]["text"].endswith("\noberon enable 'my ci'")


def test_what_expires_is_told(outbox, clock):
    enter(outbox, 1, "chat", "chat2", max_age_s=HOUR_S)
    enter(outbox, 2, "chat", max_age_s=HOUR_S)
    clock.now += HOUR_S + 1
    outbox.expire()
    assert sorted((alert["service"], alert["deliveries"]) for alert in entered_alerts(outbox)) == [("chat", 2), ("chat2", 1)]


def test_a_push_that_cannot_be_read_is_told(outbox):
    enter(outbox, 1, "ci")
    outbox.add_event(Event(f"{2:032x}", "git", APP, 1.0, "git", "ssh"))
    outbox.fail_event(outbox.claim_event(60), "damaged", None)
    [alert] = entered_alerts(outbox)
    assert (alert["kind"], alert["service"], alert["reason"]) == ("unread", "", "damaged")


def test_nothing_is_entered_where_no_service_is_named_for_alerts(outbox):
    enter(outbox, 1, "ci", alerts_wanted=False)
    end(outbox, DEAD)
    assert entered_alerts(outbox) == []


def test_no_alert_is_about_an_alert(outbox, clock):
    enter(outbox, 1, "ci")
    end(outbox, DEAD)
    claim = outbox.claim_event(60)
    outbox.expand(claim, {"commits": [], "oberon": {"refs": [], "alert": {}}}, [NewDelivery("ops", "post")], alerts_wanted=True)
    clock.now += 2 * alerts.EVERY_S
    assert end(outbox, DEAD).is_alert
    assert entered_alerts(outbox) == []


def test_an_alert_that_is_not_read_holds_up_no_ordered_service(outbox):
    enter(outbox, 1, "ci")
    end(outbox, DEAD)
    enter(outbox, 2, "ops", ordered=True)
    assert len(entered_alerts(outbox)) == 1
    assert outbox.claim_delivery(60, 4).service == "ops"


def test_an_alert_takes_no_number_of_the_pushes(outbox):
    enter(outbox, 1, "ci")
    end(outbox, DEAD)
    outbox.add_event(Event("f" * 32, "git", APP, 1.0, "git", "ssh"))
    assert sorted(claim.sequence for claim in (outbox.claim_event(60), outbox.claim_event(60))) == [0, 2]


def test_a_clock_that_was_set_back_silences_no_alert(outbox, clock):
    enter(outbox, 1, "ci")
    end(outbox, DEAD)
    clock.now -= 10 * HOUR_S
    enter(outbox, 2, "ci")
    end(outbox, DEAD)
    assert len(entered_alerts(outbox)) == 2
