import json

import pytest

from brokers import loader
from brokers.cli.configured import problems_of
from brokers.config import Configuration, Entry
from brokers.delivery.outcome import Verdict
from brokers.services.redmine import Redmine
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.service_rules import FORM, Rule, assert_obeyed

WIKI = "https://www.redmine.org/projects/redmine/wiki/"
LOGIN = {"X-Redmine-API-Key": "s3cret-token"}
# The routes and the key: config/routes.rb and app/controllers/sys_controller.rb of Redmine 5.0.
FETCH = Rule(
    WIKI + "HowTo_setup_automatic_refresh_of_repositories_in_Redmine_on_commit",
    "POST",
    "/redmine/sys/fetch_changesets",
    content_type=FORM,
    body={"type": "object", "required": ["key"], "properties": {"key": {"const": "s3cret-key"}, "id": {"type": "string"}}},
)
READ = Rule(WIKI + "Rest_Issues", "GET", r"/redmine/issues/\d+\.json", {"include": "journals"}, LOGIN, "")
WRITE = Rule(
    WIKI + "Rest_Issues",
    "PUT",
    r"/redmine/issues/\d+\.json",
    headers=LOGIN,
    body={
        "type": "object",
        "required": ["issue"],
        "properties": {
            "issue": {
                "type": "object",
                "minProperties": 1,
                "properties": {"notes": {"type": "string", "minLength": 1}, "status_id": {"type": "integer"}},
            }
        },
    },
)


def settings(receiver, **more):
    return {"broker": "redmine", "url": receiver.url + "redmine/", **more}


def noting(receiver, **more):
    return settings(receiver, token="s3cret-token", **{"closed-status": "5", **more})


def issue(*notes, closed=False):
    journals = [{"id": 1, "details": []}, *({"id": 2, "notes": note} for note in notes)]
    return json.dumps(
        {"issue": {"id": 12, "status": {"id": 1, "name": "New", "is_closed": closed}, "journals": journals}}
    ).encode()


def changes(receiver):
    return [json.loads(request.body)["issue"] for request in receiver.requests if request.method == "PUT"]


def test_it_is_found_under_its_name():
    assert loader.broker_class("redmine") is Redmine


def test_the_repository_is_read(receiver):
    outcome = outcome_of(settings(receiver, key="s3cret-key", project="kettle"))
    assert outcome.note == "the repository was read"
    assert_obeyed(receiver.requests, [FETCH])
    assert receiver.requests[0].body == b"key=s3cret-key&id=kettle"
    assert "s3cret-key" not in json.dumps(outcome.details)


def test_the_issue_gets_note_and_status_in_one_request(receiver):
    receiver.answer(200, body=issue("hello"))
    receiver.answer(204)
    assert outcome_of(noting(receiver)).note == "closed: 12"
    assert_obeyed(receiver.requests, [READ, WRITE])
    [change] = changes(receiver)
    assert change["status_id"] == 5
    assert change["notes"].splitlines() == [
        "Commit 316a8ea92f86 https://git.example.org/team/kettle/commit/316a8ea92f86c5ade565761b6425bcacf4ab1301",
        "",
        "<pre>",
        "Take the temperature of the tap, fixes #12",
        "Ada Byron, on main of team/kettle",
        "</pre>",
    ]


def test_an_attempt_that_is_repeated_writes_nothing_again(receiver):
    receiver.answer(200, body=issue("Commit 316a8ea92f86 ...", closed=True))
    assert outcome_of(noting(receiver)).note == "told before: 12"
    assert_obeyed(receiver.requests, [READ])


def test_without_a_status_there_is_the_note_alone(receiver):
    receiver.answer(200, body=issue())
    assert outcome_of(settings(receiver, token="s3cret-token")).note == "told: 12"
    assert_obeyed(receiver.requests, [READ, WRITE])
    assert set(changes(receiver)[0]) == {"notes"}
    receiver.clear()
    receiver.answer(200, body=issue("Commit 316a8ea92f86"))
    assert outcome_of(settings(receiver, token="s3cret-token")).note == "told before: 12"
    assert_obeyed(receiver.requests, [READ])


def test_an_issue_that_is_not_there_is_left_out(receiver):
    receiver.answer(404)
    assert outcome_of(noting(receiver)).note == "not there: 12"
    assert [request.path for request in receiver.requests][1:] == ["/redmine/users/current.json"]


def test_what_was_pushed_does_not_leave_its_frame(receiver):
    receiver.answer(200, body=issue())
    payload = samples.load("git-push")
    payload["commits"][0]["message"] = "fixes #12 </pre> @ada h1. {{include(x)}}"
    outcome_of(noting(receiver), payload)
    [change] = changes(receiver)
    assert change["notes"].count("</pre>") == 1
    assert "@ada" not in change["notes"]


@pytest.mark.parametrize("failure", FAILURES, ids=str)
@pytest.mark.parametrize("secret", ["key", "token"])
def test_failures(receiver, failure, secret):
    assert_fails_so(failure, receiver, settings(receiver, **{secret: "s3cret-of-it"}))


def test_an_answer_that_is_none(receiver):
    receiver.answer(200, body=b"<html>")
    assert "not what the service's API answers" in outcome_of(noting(receiver)).reason


@pytest.mark.parametrize("nothing", [{}, {"key": "", "token": ""}])
def test_a_login_is_needed(receiver, nothing):
    outcome = outcome_of(settings(receiver, **nothing))
    assert outcome.verdict is Verdict.RETRY
    assert outcome.reason.startswith("service.it.key in config: neither a key nor a token is set; set one: ")


def test_that_a_login_is_missing_is_seen_before_a_push():
    configuration = Configuration.parse(
        Entry("it", key, value, "config") for key, value in (("broker", "redmine"), ("url", "https://redmine.example.org"))
    )
    [problem] = problems_of(configuration.services[0], configuration)
    assert (problem.setting, problem.origin) == ("service.it.key", "config")


def test_an_alert_and_a_push_without_commits(receiver):
    both = noting(receiver, key="s3cret-key")
    assert outcome_of(both, samples.load("alert")).note == "an alert names no issue"
    assert receiver.requests == []
    assert outcome_of(both, samples.load("git-tag")).note == "the repository was read; no commit names an issue"
    assert_obeyed(receiver.requests, [FETCH])
