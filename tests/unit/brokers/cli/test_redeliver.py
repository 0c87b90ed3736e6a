"""redeliver: what is repeated, how often, and what is not."""

import time

import pytest

from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import Outcome, Verdict

DIARY = """
from pathlib import Path

class Diary(BaseBroker):
    def handle(self, payload):
        with open(payload["service"]["file"], "a") as file:
            file.write(payload["oberon"]["event"] + "\\n")
        if Path(payload["service"]["file"] + ".broken").exists():
            raise RetryLater("not now")
"""


@pytest.fixture
def diary(git_repo, broker_file, tmp_path):
    """A service that writes down each event it gets, and fails as long as `diary.broken` is there."""
    broker_file("diary", DIARY)
    git_repo.server.config("service.good.broker", "diary")
    git_repo.server.config("service.good.file", str(tmp_path / "diary"))
    return tmp_path / "diary"


def one(oberon, state_dir):
    [delivery] = oberon("deliveries", "--json", "--state-dir", state_dir).json()["deliveries"]
    return delivery


def test_a_retry_that_waits_is_replaced_and_exactly_one_attempt_follows(git_repo, oberon, diary, woken):
    broken = diary.with_name("diary.broken")
    broken.touch()
    event = git_repo.record()
    git_repo.drain()
    before = one(oberon, git_repo.state_dir)
    assert (before["state"], before["attempts"], before["repeats"]) == ("waiting", 1, 0)
    broken.unlink()
    assert oberon("redeliver", "1", "--state-dir", git_repo.state_dir).code == 0
    git_repo.drain()
    after = one(oberon, git_repo.state_dir)
    assert (after["state"], after["attempts"], after["repeats"], after["event"]) == ("delivered", 2, 1, event.id)
    assert diary.read_text().split() == [event.id] * 2
    # Nothing is left of the retry, though its time has come.
    with Outbox.open(str(git_repo.state_dir), lambda: time.time() + 3600.0) as outbox:
        assert outbox.next_due_at() is None
        assert outbox.claim_delivery(60.0, 4) is None


def test_what_fails_again_is_tried_on_a_schedule_begun_anew(git_repo, oberon, diary, woken):
    diary.with_name("diary.broken").touch()
    git_repo.server.config("service.good.retry", "1h")
    git_repo.record()
    for again in ("", "1", "1"):
        if again:
            assert oberon("redeliver", again, "--state-dir", git_repo.state_dir).code == 0
        git_repo.drain()
        assert one(oberon, git_repo.state_dir)["state"] == "waiting"
    assert one(oberon, git_repo.state_dir)["attempts"] == 3


def test_show_tells_of_the_repeats(kept, oberon, woken):
    kept.push("ci")
    kept.tried(Outcome(Verdict.DEAD, "gone"))
    assert "repeated" not in oberon("show", "1", "--state-dir", kept.state_dir).out
    oberon("redeliver", "1", "--state-dir", kept.state_dir)
    kept.tried(Verdict.DELIVERED)
    ran = oberon("show", "1", "--state-dir", kept.state_dir)
    assert "repeated  1 time by hand, the last after 1 attempt\n" in ran.out
    assert [line.split(" at ")[0] for line in ran.out.splitlines() if line.startswith("attempt")] == ["attempt 1", "attempt 2"]
    shown = oberon("show", "1", "--json", "--state-dir", kept.state_dir).json()
    assert (shown["repeats"], shown["attempts"], shown["parked"], shown["disabled"]) == (1, 2, None, None)


@pytest.mark.parametrize("options", [["1", "3"], ["--dead"], ["--service", "ci"], ["--since", "1h", "--service", "ci"]])
def test_a_service_that_is_switched_off_is_refused_with_the_way_out(kept, oberon, woken, options):
    kept.push("ci")
    kept.push("chat")
    kept.push("ci")
    kept.tried(*[Outcome(Verdict.DEAD, "gone")] * 3)
    kept.switch_off("ci", by="oberon", why="gone")
    ran = oberon("redeliver", *options, "--state-dir", kept.state_dir)
    assert ran.code == 1
    assert "1, 3: ci is switched off for all repositories by Oberon since 1970-01-01 " in ran.out
    assert ran.out.endswith(": gone; `oberon enable ci`\n")
    told = {
        each["id"]: each["state"] for each in oberon("deliveries", "--json", "--state-dir", kept.state_dir).json()["deliveries"]
    }
    assert (told[1], told[3]) == ("dead", "dead")
    assert told[2] == ("waiting" if options == ["--dead"] else "dead")


def test_a_service_that_is_off_elsewhere_only(kept, oberon, woken):
    kept.push("ci", path="/srv/git/other.git")
    kept.switch_off("ci", "/srv/git/app.git")
    assert oberon("redeliver", "1", "--state-dir", kept.state_dir).code == 0


def test_what_is_parked_is_told(kept, oberon, woken):
    kept.push("ci")
    kept.push("ci", "chat")
    kept.break_open("ci.example.org:443")
    kept.run_sql("INSERT INTO breaker VALUES ('chat.example.org:443', 2, 1000, NULL, 0)")
    ran = oberon("redeliver", "--repo", "/srv/git/app.git", "--state-dir", kept.state_dir)
    assert ran.code == 0
    assert "due now: 3 deliveries; the worker was told\n2 of them for an endpoint that fails: one is sent now" in ran.out
    assert "when it answers; ci.example.org:443 fails since 1970-01-01 " in ran.out
    told = oberon("redeliver", "1", "--json", "--state-dir", kept.state_dir).json()
    assert told["parked"] == {"ci.example.org:443": 1}


def test_what_is_parked_is_tried_at_once_and_alone(kept, oberon, woken):
    for _ in range(3):
        kept.push("ci")
    kept.break_open("ci.example.org:443", time.time() + 30.0)
    with Outbox.open(str(kept.state_dir), time.time) as outbox:
        assert outbox.claim_delivery(60.0, 4) is None
        oberon("redeliver", "2", "--state-dir", kept.state_dir)
        claim = outbox.claim_delivery(60.0, 4)
        assert claim.id == 2
        assert outbox.claim_delivery(60.0, 4) is None
        assert outbox.finish(claim, Outcome(Verdict.DELIVERED, reached=True), None)
        assert [outbox.claim_delivery(60.0, 4).id for _ in range(2)] == [1, 3]


def test_nothing_is_sent_again_if_one_of_those_named_cannot_be_a_delivery(kept, oberon, woken):
    kept.push("ci")
    kept.tried(Outcome(Verdict.DEAD, "gone"))
    assert oberon("redeliver", "1", "one", "--state-dir", kept.state_dir).code == 2
    assert oberon("show", "1", "--json", "--state-dir", kept.state_dir).json()["state"] == "dead"


def test_chosen_by_service_or_repository_are_those_not_delivered(kept, oberon, woken):
    kept.push("ci")
    kept.push("ci", "chat")
    kept.push("ci", path="/srv/git/other.git")
    kept.tried(Verdict.DELIVERED, Verdict.RETRY, Verdict.DEAD)

    def chosen(*options):
        return oberon("redeliver", *options, "--json", "--state-dir", kept.state_dir).json()["deliveries"]

    assert chosen("--service", "ci") == [2, 4]
    assert chosen("--repo", "/srv/git/app.git") == [2, 3]
