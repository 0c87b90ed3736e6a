import time
from pathlib import Path

import pytest

from brokers import loader
from brokers.delivery.outcome import Verdict
from brokers.services.trac import MAX_REVISIONS, Trac
from payload import samples
from tests.support.failing_service import outcome_of


@pytest.fixture
def trac_admin(tmp_path):
    """A program that writes down, a line for each, what it was called with; `trac_admin.say(script)` has it do more."""
    return Program(tmp_path)


class Program:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "trac-admin"
        self.calls_path = folder / "calls"
        self.say("")

    def say(self, script: str) -> None:
        self.path.write_text(
            f'#!/bin/sh\nfor each; do printf "%s " "$each"; done >> {self.calls_path}; echo >> {self.calls_path}\n{script}\n'
        )
        self.path.chmod(0o755)

    def calls(self) -> list[list[str]]:
        return [line.split() for line in self.calls_path.read_text().splitlines()] if self.calls_path.exists() else []

    def settings(self, **more: str) -> dict[str, str]:
        return {"broker": "trac", "environment": "/srv/trac/kettle", "program": str(self.path), **more}


# https://trac.edgewall.org/wiki/TracRepositoryAdmin: trac-admin $ENV changeset added $REPO $REV; `(default)` is the default's name.
def test_all_revisions_go_into_one_call(trac_admin):
    outcome = outcome_of(trac_admin.settings(repository="kettle"))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "changesets: 2")
    revisions = ["316a8ea92f86c5ade565761b6425bcacf4ab1301", "a52e869ce8b9699205175451581a75a1eeb6a562"]
    assert trac_admin.calls() == [["/srv/trac/kettle", "changeset", "added", "kettle", *revisions]]


def test_a_payload_of_2008_and_the_default_repository(trac_admin):
    assert outcome_of(trac_admin.settings(), samples.load("twitter-2008")).note == "changesets: 1"
    assert trac_admin.calls() == [["/srv/trac/kettle", "changeset", "added", "(default)", "e71c63bcc05e"]]


def test_more_than_a_command_line_should_hold(trac_admin):
    payload = samples.load("git-push")
    payload["commits"] = [{**payload["commits"][0], "raw_node": f"{number:040x}"} for number in range(MAX_REVISIONS + 1)]
    assert outcome_of(trac_admin.settings(), payload).note == "changesets: 1001"
    assert [len(call) - 4 for call in trac_admin.calls()] == [MAX_REVISIONS, 1]


def test_what_the_payload_does_not_hold_is_said_to_be_left_out(trac_admin):
    payload = samples.load("git-truncated")
    told = len(payload["commits"])
    left_out = payload["oberon"]["total_commits"] - told
    assert outcome_of(trac_admin.settings(), payload).note == f"changesets: {told}; {left_out} more commits are not told"


@pytest.mark.parametrize("sample", ["git-tag", "git-delete", "alert"])
def test_without_commits_it_is_not_called(trac_admin, sample):
    assert outcome_of(trac_admin.settings(), samples.load(sample)).note == "changesets: 0"
    assert trac_admin.calls() == []


def test_what_it_complains_of_is_told(trac_admin):
    trac_admin.say("echo \"Error: Repository 'kettle' not found\" >&2; exit 2")
    outcome = outcome_of(trac_admin.settings())
    assert outcome.verdict is Verdict.RETRY
    assert outcome.reason.endswith("ended with status 2: Error: Repository 'kettle' not found")


def test_at_the_deadline_it_ends_with_its_children(trac_admin, tmp_path):
    trac_admin.say(f"(sleep 0.9; touch {tmp_path}/survived) & sleep 5")
    started = time.monotonic()
    outcome = outcome_of(trac_admin.settings(), timeout_s=0.3)
    assert time.monotonic() - started < 0.9
    assert (outcome.verdict, outcome.slow_down) == (Verdict.RETRY, True)
    time.sleep(max(0.0, started + 1.1 - time.monotonic()))
    assert not (tmp_path / "survived").exists()


def test_it_is_not_there():
    settings = {"broker": "trac", "environment": "/srv/trac/kettle", "program": "/nonexistent/trac-admin"}
    assert "cannot run /nonexistent/trac-admin: No such file or directory" in outcome_of(settings).reason


def test_a_dry_run_shows_the_command(trac_admin):
    outcome = outcome_of(trac_admin.settings(), dry_run=True)
    assert "changeset added '(default)' 316a8ea92f86c5ade" in outcome.details["exchanges"][0]["request"]
    assert trac_admin.calls() == []


def test_it_is_found_under_its_name_and_shares_no_endpoint():
    assert loader.broker_class("trac") is Trac
    assert Trac().endpoint({"environment": "/srv/trac/kettle"}) == ""
