"""status: what fails, what is off, and what a monitor makes of it."""

import time

import pytest

from brokers.delivery.claims import NewDelivery
from brokers.delivery.outcome import Outcome, Verdict

OPEN = "ci.example.org:443"


def first_line(ran):
    return ran.out.splitlines()[0]


def test_an_endpoint_that_fails_is_a_warning(kept, oberon):
    kept.push("ci", "chat")
    kept.push("ci")
    kept.break_open(OPEN)
    kept.run_sql("INSERT INTO breaker VALUES ('chat.example.org:443', 2, 1000, NULL, 0)")
    ran = oberon("status", "--state-dir", kept.state_dir)
    assert ran.code == 0
    assert first_line(ran).startswith("warning: ci.example.org:443 fails since 1970-01-01 ")
    assert first_line(ran).endswith("; 2 deliveries wait for it")
    assert "5 times in a row" in first_line(ran)
    assert "1 waiting, 2 parked; the oldest that waits is 0s old" in ran.out
    told = oberon("status", "--json", "--state-dir", kept.state_dir).json()
    assert (told["deliveries"]["parked"], told["deliveries"]["waiting"]) == (2, 1)
    assert told["breakers"] == [
        {
            "endpoint": "ci.example.org:443",
            "failures": 5,
            "since": "1970-01-01T00:16:40Z",
            "next_try_at": "2096-10-02T07:06:40Z",
            "failed_tries": 2,
            "waiting": 2,
        }
    ]
    assert told["problems"] == []
    assert len(told["warnings"]) == 1


@pytest.mark.parametrize(("by", "code", "level", "who"), [("admin", 0, "warning", "an admin"), ("oberon", 1, "error", "Oberon")])
@pytest.mark.parametrize(
    ("place", "where", "option"),
    [("", "all repositories", ""), ("/srv/git/app.git", "/srv/git/app.git", " --repo /srv/git/app.git")],
)
def test_a_service_that_is_off(kept, oberon, by, code, level, who, place, where, option):
    kept.push("ci")
    kept.switch_off("ci", place or None, by=by)
    kept.run_sql("UPDATE delivery SET next_at = next_at - 7200")
    ran = oberon("status", "--state-dir", kept.state_dir)
    assert ran.code == code
    assert first_line(ran).startswith(f"{level}: ci is switched off for {where} by {who} since 1970-01-01 ")
    assert first_line(ran).endswith(f": gone (410); `oberon enable ci{option}`")
    assert "1 disabled" in ran.out
    told = oberon("status", "--json", "--state-dir", kept.state_dir).json()
    assert told["disabled"] == [
        {"service": "ci", "repository": place or None, "by": by, "since": "1970-01-01T00:16:40Z", "why": "gone (410)"}
    ]
    assert (len(told["problems"]), len(told["warnings"])) == (code, 1 - code)


def test_the_worst_stands_first(kept, oberon):
    kept.push("chat", "ci")
    kept.break_open(OPEN)
    kept.tried(Outcome(Verdict.DEAD, "no such channel"))
    ran = oberon("status", "--state-dir", kept.state_dir)
    assert ran.code == 1
    assert [line.split(":")[0] for line in ran.out.splitlines()[:2]] == ["error", "warning"]


def test_all_is_well(kept, oberon):
    kept.push("ci")
    ran = oberon("status", "--state-dir", kept.state_dir)
    assert (ran.code, first_line(ran)) == (0, "ok: what was recorded is delivered, or on its way")


def test_deliveries_and_show_tell_what_keeps_them_back(kept, oberon):
    kept.push("ci", "chat", NewDelivery("mail", "email", skipped="skipped: refs filter"))
    kept.run_sql("UPDATE delivery SET expires_at = ?", time.time() + 3600)
    kept.break_open(OPEN)
    kept.switch_off("chat", by="oberon")
    told = oberon("deliveries", "--state-dir", kept.state_dir).out
    rows = {line.split()[3]: " ".join(line.split()[4:]) for line in told.splitlines()[1:]}
    assert rows["ci"].startswith("parked 0 ")
    assert rows["ci"].endswith(" until ci.example.org:443 answers")
    assert rows["chat"].startswith("disabled 0 ")
    assert rows["chat"].endswith(" until `oberon enable chat`")
    assert rows["mail"].endswith(" skipped: refs filter")

    def ids(*options):
        return [
            each["id"] for each in oberon("deliveries", *options, "--json", "--state-dir", kept.state_dir).json()["deliveries"]
        ]

    assert (ids("--state", "parked"), ids("--state", "disabled"), ids("--state", "waiting")) == ([1], [2], [])
    parked = oberon("show", "1", "--state-dir", kept.state_dir).out
    assert "  parked    ci.example.org:443 fails since 1970-01-01 " in parked
    assert ", if it is not delivered by then (maxAge)\n" in parked
    disabled = oberon("show", "2", "--state-dir", kept.state_dir).out
    assert "  disabled  chat is switched off for all repositories by Oberon since 1970-01-01 " in disabled
    assert ": gone (410); `oberon enable chat` lets it go" in disabled
    assert oberon("show", "1", "--json", "--state-dir", kept.state_dir).json()["parked"]["failures"] == 5
    assert oberon("show", "2", "--json", "--state-dir", kept.state_dir).json()["disabled"]["why"] == "gone (410)"
    assert oberon("show", "3", "--json", "--state-dir", kept.state_dir).json()["expires_at"] is None
