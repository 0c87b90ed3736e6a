"""enable and disable."""

import time

import pytest

from brokers.delivery import retention
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import Verdict

APP, OTHER = "/srv/git/app.git", "/srv/git/other.git"


@pytest.fixture
def states(oberon):
    def look(state_dir):
        found = oberon("deliveries", "--json", "--state-dir", state_dir).json()["deliveries"]
        return {(each["repository"], each["service"]): each["state"] for each in found}

    return look


def test_what_is_held_back_is_delivered_after_enable(git_repo, oberon, woken):
    git_repo.record()
    git_repo.drain()
    ran = oberon("disable", "good", "--why", "it moves", "--state-dir", git_repo.state_dir)
    assert ran.code == 0
    assert "good is switched off for all repositories: 0 deliveries are held back" in ran.out
    git_repo.record()
    git_repo.drain()
    [second, first] = oberon("deliveries", "--json", "--state-dir", git_repo.state_dir).json()["deliveries"]
    assert (first["state"], second["state"], second["attempts"]) == ("delivered", "disabled", 0)
    assert "1 delivered" in oberon("status", "--state-dir", git_repo.state_dir).out
    assert woken == []
    ran = oberon("enable", "good", "--state-dir", git_repo.state_dir)
    assert ran.out == "good is on again for all repositories\n1 delivery is let go; the worker was told\n"
    assert (ran.code, woken) == (0, [str(git_repo.state_dir)])
    git_repo.drain()
    [second, first] = oberon("deliveries", "--json", "--state-dir", git_repo.state_dir).json()["deliveries"]
    assert [(each["state"], each["attempts"]) for each in (first, second)] == [("delivered", 1), ("delivered", 1)]


def test_of_one_repository(kept, oberon, states, woken):
    for path in (APP, OTHER):
        kept.push("ci", "chat", path=path)
    ran = oberon("disable", "ci", "--repo", APP, "--why", "later", "--json", "--state-dir", kept.state_dir)
    assert ran.json() == {"service": "ci", "repository": APP, "why": "later", "held": 1}
    assert [name for name, state in states(kept.state_dir).items() if state == "disabled"] == [(APP, "ci")]
    told = oberon("enable", "ci", "--repo", APP, "--json", "--state-dir", kept.state_dir).json()
    [was_off] = told["switched_on"]
    assert (was_off["repository"], was_off["by"], was_off["why"]) == (APP, "admin", "later")
    assert (told["repository"], told["released"], told["still_off"], told["worker"]) == (APP, 1, [], "woken")
    assert "disabled" not in states(kept.state_dir).values()


def test_enable_without_a_repository_switches_it_on_wherever_it_was_off(kept, oberon, states, woken):
    for path in (APP, OTHER):
        kept.push("ci", path=path)
        oberon("disable", "ci", "--repo", path, "--state-dir", kept.state_dir)
    kept.run_sql("UPDATE service SET disabled_by = 'oberon'")
    ran = oberon("enable", "ci", "--state-dir", kept.state_dir)
    assert f"ci is on again for {APP}\nci is on again for {OTHER}\n2 deliveries are let go" in ran.out
    assert set(states(kept.state_dir).values()) == {"waiting"}


def test_what_is_off_for_all_is_not_on_for_one(kept, oberon, woken):
    kept.push("ci")
    oberon("disable", "ci", "--state-dir", kept.state_dir)
    ran = oberon("enable", "ci", "--repo", APP, "--state-dir", kept.state_dir)
    assert ran.code == 1
    assert ran.out.startswith("error: ci is switched off for all repositories by an admin since ")
    assert ran.out.endswith("; `oberon enable ci`\n")
    assert woken == []


def test_what_is_on_already(kept, oberon, woken):
    kept.push("ci")
    ran = oberon("enable", "ci", "--state-dir", kept.state_dir)
    assert (ran.code, ran.out, woken) == (0, "ci is on already for all repositories\n", [])


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_a_service_nothing_was_ever_heard_of(kept, oberon, command):
    kept.push("ci", "chat")
    kept.push("mail", path=OTHER)
    ran = oberon(command, "cj", "--state-dir", kept.state_dir)
    assert ran.code == 2
    assert "there is no service 'cj'; those that had a push are chat, ci, mail" in ran.err
    ran = oberon(command, "mail", "--repo", APP, "--state-dir", kept.state_dir)
    assert ran.code == 2
    assert f"{APP} has no service 'mail'; those that had a push are chat, ci" in ran.err


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_where_there_is_nothing_yet(oberon, state_dir, command):
    assert oberon(command, "ci", "--state-dir", state_dir).code == 2
    assert not state_dir.exists()


def test_a_service_that_is_configured_but_had_no_push_yet(git_repo, oberon):
    git_repo.record()
    git_repo.drain()
    git_repo.server.config("service.new.broker", "keeper")
    assert oberon("disable", "new", "--state-dir", git_repo.state_dir).code == 2
    assert oberon("disable", "new", "--repo", git_repo.path).code == 0


def test_a_service_whose_deliveries_were_all_pruned(kept, oberon):
    kept.push("ci")
    kept.tried(Verdict.DELIVERED)
    with Outbox.open(str(kept.state_dir), lambda: time.time() + 10.0) as outbox:
        assert retention.prune(outbox, 5.0) == (1, False)
    assert oberon("disable", "ci", "--repo", APP, "--state-dir", kept.state_dir).code == 0


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_help_tells_the_difference_to_enabled_false(oberon, command):
    told = oberon(command, "--help").out
    assert "`enabled = false`" in told
    assert "never sent" in told
