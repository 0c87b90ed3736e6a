import base64
import json

import pytest

from brokers import loader
from brokers.config import Configuration, Entry
from brokers.services.jira import Jira
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.service_rules import Rule, assert_obeyed

# Not seen: these pages; as clients generated from Atlassian's OpenAPI have the paths, and others' code the bodies.
CLOUD = "https://developer.atlassian.com/cloud/jira/platform/rest/v2/"
SERVER = "https://developer.atlassian.com/server/jira/platform/"
LOGINS = {
    "cloud": ({"user": "oberon@example.org"}, "Basic " + base64.b64encode(b"oberon@example.org:s3cret-token").decode()),
    "data center": ({}, "Bearer s3cret-token"),
}
KEY = r"/rest/api/2/issue/(ABC|OPS)-\d+"


def rules(login):
    headers = {"Authorization": login}
    one_text = {"type": "object", "required": ["body"], "properties": {"body": {"type": "string", "minLength": 1}}}
    transition = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "pattern": "^[0-9]+$"}}}
    return {
        "issue": Rule(CLOUD + "api-group-issues/#get-issue", "GET", KEY, {"fields": r"[a-z,]+"}, headers, ""),
        "comment": Rule(
            SERVER + "jira-rest-api-example-add-comment-8946422/", "POST", KEY + "/comment", {}, headers, body=one_text
        ),
        "transitions": Rule(CLOUD + "api-group-issues/#get-transitions", "GET", KEY + "/transitions", {}, headers, ""),
        "transition": Rule(
            CLOUD + "api-group-issues/#transition-issue",
            "POST",
            KEY + "/transitions",
            {},
            headers,
            body={"type": "object", "required": ["transition"], "properties": {"transition": transition}},
        ),
    }


OF_CLOUD = rules(LOGINS["cloud"][1])


def settings(receiver, **more):
    known = {"broker": "jira", "url": receiver.url, "token": "s3cret-token", "projects": "ABC, OPS", "user": "oberon@example.org"}
    return {**known, **more}


def pushed(message="Stop the drip, fixes ABC-12"):
    payload = samples.load("git-push")
    payload["commits"][0]["message"] = message
    return payload


def has_issue(receiver, *comments, category="new"):
    fields = {
        "status": {"name": "Backlog", "statusCategory": {"key": category}},
        "comment": {"comments": [{"id": "1", "body": text} for text in comments], "total": len(comments)},
    }
    receiver.answer(200, body=json.dumps({"key": "ABC-12", "fields": fields}).encode())


def has_transitions(receiver, *names):
    rows = [{"id": str(number), "name": name, "to": {"name": name}} for number, name in enumerate(names, 11)]
    receiver.answer(200, body=json.dumps({"transitions": rows}).encode())


def test_it_is_found_under_its_name():
    assert loader.broker_class("jira") is Jira


@pytest.mark.parametrize("deployment", LOGINS)
def test_an_issue_is_told_and_moved_on(receiver, deployment):
    user, login = LOGINS[deployment]
    has_issue(receiver)
    receiver.answer(201)
    has_transitions(receiver, "In Progress", "done")
    receiver.answer(204)
    one = {key: value for key, value in settings(receiver).items() if key != "user"} | user
    outcome = outcome_of(one, pushed())
    assert outcome.note == "closed: ABC-12"
    assert_obeyed(receiver.requests, [rules(login)[row] for row in ("issue", "comment", "transitions", "transition")])
    assert json.loads(receiver.requests[-1].body) == {"transition": {"id": "12"}}
    assert json.loads(receiver.requests[1].body)["body"].splitlines() == [
        "Commit 316a8ea92f86 https://git.example.org/team/kettle/commit/316a8ea92f86c5ade565761b6425bcacf4ab1301",
        "",
        "{noformat}",
        "Stop the drip, fixes ABC-12",
        "Ada Byron, on main of team/kettle",
        "{noformat}",
    ]
    assert "s3cret-token" not in json.dumps(outcome.details)
    assert login.split(" ")[1] not in json.dumps(outcome.details)


def test_a_key_alone_is_a_reference(receiver):
    has_issue(receiver)
    receiver.answer(201)
    assert outcome_of(settings(receiver), pushed("OPS-9 UTF-8: stop the drip")).note == "told: OPS-9"
    assert_obeyed(receiver.requests, [OF_CLOUD["issue"], OF_CLOUD["comment"]])


def test_what_was_said_and_done_is_not_said_and_done_again(receiver):
    has_issue(receiver, "Commit 316a8ea92f86 ...", category="done")
    assert outcome_of(settings(receiver), pushed()).note == "told before: ABC-12"
    assert_obeyed(receiver.requests, [OF_CLOUD["issue"]])


def test_a_transition_that_the_workflow_does_not_offer(receiver):
    has_issue(receiver, category="done")
    receiver.answer(201)
    has_transitions(receiver, "Archive")
    assert outcome_of(settings(receiver), pushed("reopens ABC-12")).note == "told, but now without a transition To Do: ABC-12"
    assert_obeyed(receiver.requests, [OF_CLOUD[row] for row in ("issue", "comment", "transitions")])


def test_without_a_transition_there_is_the_comment_alone(receiver):
    has_issue(receiver)
    receiver.answer(201)
    assert outcome_of(settings(receiver, **{"close-transition": ""}), pushed()).note == "told: ABC-12"
    assert_obeyed(receiver.requests, [OF_CLOUD["issue"], OF_CLOUD["comment"]])


def test_a_comment_that_is_there_and_a_transition_that_is_not(receiver):
    has_issue(receiver, "Commit 316a8ea92f86")
    has_transitions(receiver)
    assert outcome_of(settings(receiver), pushed()).note == "told before, but now without a transition Done: ABC-12"
    assert_obeyed(receiver.requests, [OF_CLOUD["issue"], OF_CLOUD["transitions"]])


def test_an_issue_that_is_not_there_is_left_out(receiver):
    receiver.answer(404, body=b'{"errorMessages":["Issue does not exist or you do not have permission to see it."],"errors":{}}')
    assert outcome_of(settings(receiver), pushed()).note == "not there: ABC-12"
    assert receiver.requests[1].path == "/rest/api/2/project/ABC"


def test_what_was_pushed_does_not_leave_its_frame(receiver):
    has_issue(receiver)
    outcome_of(settings(receiver), pushed("ABC-12 {noformat} [~ada] !http://evil/x.png! h1. {color:red}"))
    text = json.loads(receiver.requests[1].body)["body"]
    assert text.count("{noformat}") == 2


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, settings(receiver), pushed())


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
def test_an_answer_that_is_none(receiver, body):
    receiver.answer(200, body=body)
    assert "not what the service's API answers" in outcome_of(settings(receiver), pushed()).reason


@pytest.mark.parametrize("body", [b"{}", b'{"fields": []}', b'{"fields": {"status": 1, "comment": {"comments": [1]}}}'])
def test_an_answer_with_less_in_it_than_there_should_be(receiver, body):
    receiver.answer(200, body=body)
    receiver.answer(201)
    has_transitions(receiver)
    assert outcome_of(settings(receiver), pushed()).note == "told, but now without a transition Done: ABC-12"


@pytest.mark.parametrize("projects", ["", "abc", "A", "ABC-1", "AB(C"])
def test_projects_that_can_be_none(projects):
    written = {"broker": "jira", "url": "https://jira.example.org", "token": "t", "projects": projects}
    [service] = Configuration.parse(Entry("it", key, value, "config") for key, value in written.items()).services
    assert "projects' keys in capitals" in str(Jira.settings_of(service)[1][0])


@pytest.mark.parametrize("sample", ["git-tag", "alert"])
def test_without_commits_nothing_is_said(receiver, sample):
    assert outcome_of(settings(receiver), samples.load(sample)).note == "no commit names an issue"
    assert receiver.requests == []
