from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from brokers import loader
from brokers.delivery.outcome import Verdict
from brokers.services.buildbot import Buildbot
from payload import samples
from tests.support import buildbot_hooks
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of

pytestmark = pytest.mark.xdist_group("buildbot")
DIALECTS = pytest.mark.parametrize("dialect", ["base", "bitbucket"])


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with buildbot_hooks.serving(tmp_path_factory.mktemp("buildbot") / "changes") as hooks:
        yield hooks


@pytest.fixture
def hooks(running):
    running.forget()
    return running


def settings(hooks, **more):
    return {"broker": "buildbot", "url": hooks.url.removesuffix("/change_hook/"), **more}


def in_unix_s(moment):
    return datetime.strptime(moment, "%Y-%m-%d %H:%M:%S+00:00").replace(tzinfo=UTC).timestamp()


def test_it_is_found_under_its_name():
    assert loader.broker_class("buildbot") is Buildbot


@DIALECTS
@pytest.mark.parametrize("sample", ["git-push", "git-merge", "hg-two-branches", "git-truncated"])
def test_buildbot_has_each_commit_as_it_is(hooks, dialect, sample):
    payload = samples.load(sample)
    outcome = outcome_of(settings(hooks, dialect=dialect, project="kettle"), payload)
    left_out = payload["oberon"]["total_commits"] - len(payload["commits"])
    note = f"changes: {len(payload['commits'])}" + (f"; {left_out} more are not told" if left_out else "")
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, note)
    told = [
        (
            change["revision"],
            change["branch"],
            change["files"],
            change["author"],
            change["comments"],
            change["when_timestamp"],
            change["project"],
            change["repository"],
        )
        for change in hooks.changes()
    ]
    assert told == [
        (
            commit["raw_node"],
            commit["branch"],
            [file["file"] for file in commit["files"]],
            commit["raw_author"],
            commit["message"],
            in_unix_s(commit["utctimestamp"]),
            "kettle",
            payload["oberon"]["links"]["repository"],
        )
        for commit in payload["commits"]
    ]


def test_base_tells_what_bitbucket_s_form_could_not(hooks):
    names = {"repository": "ssh://git.example.org/${repository.path}", "codebase": "${repository.slug}", "category": "push"}
    payload = samples.load("git-push")
    outcome_of(settings(hooks, **names), payload)
    change = hooks.changes()[-1]
    assert change["repository"] == "ssh://git.example.org/team/kettle"
    assert (change["codebase"], change["category"]) == ("kettle", "push")
    assert change["properties"] == {"scm": "git", "pusher": "ada", "oberon_event": payload["oberon"]["event"]}
    assert change["revlink"] == payload["oberon"]["commits"][change["revision"]]["url"]
    assert change["committer"]


def test_a_branch_made_at_a_known_commit_is_a_change(hooks):
    payload = samples.load("git-new-branch")
    payload["commits"] = payload["oberon"]["refs"][0]["commits"] = []
    outcome_of(settings(hooks), payload)
    [change] = hooks.changes()
    assert (change["branch"], change["revision"]) == ("feature/whistle", payload["oberon"]["refs"][0]["new"])
    assert (change["author"], change["files"]) == ("ada", [])


@DIALECTS
@pytest.mark.parametrize("sample", ["git-delete", "git-tag", "hg-bookmark", "alert"])
def test_what_is_no_branch_is_not_told(hooks, dialect, sample):
    outcome = outcome_of(settings(hooks, dialect=dialect), samples.load(sample))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "no commit and no branch to tell of")
    assert hooks.changes() == []


def test_no_more_changes_than_it_may(hooks):
    outcome = outcome_of(settings(hooks, **{"max-changes": "1"}))
    assert outcome.note == "changes: 1; 1 more are not told"
    assert [change["revision"][:12] for change in hooks.changes()] == ["a52e869ce8b9"]


@DIALECTS
def test_hostile_text_arrives_as_text(hooks, dialect):
    payload = samples.load("git-push")
    said = "&author=root\r\n%00\x00 \u202e日本 ${branch} \udce4" + "x" * 65536
    payload["commits"][1] |= {"message": said, "raw_author": "A&B=C <a@example.org>"}
    assert outcome_of(settings(hooks, dialect=dialect), payload).verdict is Verdict.DELIVERED
    change = hooks.changes()[-1]
    assert change["author"] == "A&B=C <a@example.org>"
    assert change["comments"][:30] == said[:30]
    assert len(change["comments"]) == len(said)


def test_a_dialect_that_the_master_does_not_have(tmp_path):
    with buildbot_hooks.serving(tmp_path / "changes", {"github": {}}) as hooks:
        outcome = outcome_of(settings(hooks))
    assert outcome.verdict is Verdict.RETRY
    assert "'base', wasn't whitelisted in change_hook" in outcome.reason


def test_the_commits_after_one_that_failed_are_not_told(receiver):
    receiver.answer(202)
    receiver.answer(500)
    payload = samples.load("git-push")
    payload["commits"].append(payload["commits"][1])
    outcome = outcome_of({"broker": "buildbot", "url": receiver.url}, payload)
    assert outcome.verdict is Verdict.RETRY
    assert len(receiver.requests) == 2


@DIALECTS
def test_the_login_goes_along_and_is_not_in_the_record(receiver, dialect):
    receiver.answer(202, times=None)
    login = {"user": "oberon", "password": "s3cret-password"}
    outcome = outcome_of({"broker": "buildbot", "url": receiver.url, "dialect": dialect, **login})
    assert {request.headers["Authorization"] for request in receiver.requests} == {"Basic b2Jlcm9uOnMzY3JldC1wYXNzd29yZA=="}
    assert {request.path for request in receiver.requests} == {f"/change_hook/{dialect}"}
    assert "s3cret" not in json.dumps(outcome.details)
    assert "b2Jlcm9u" not in json.dumps(outcome.details)


@pytest.mark.parametrize("failure", FAILURES, ids=str)
@DIALECTS
def test_failures(receiver, failure, dialect):
    assert_fails_so(failure, receiver, {"broker": "buildbot", "url": receiver.url, "dialect": dialect})
