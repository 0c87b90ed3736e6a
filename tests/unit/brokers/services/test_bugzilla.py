import json

import pytest

from brokers import loader
from brokers.delivery.outcome import Verdict
from brokers.services.bugzilla import Bugzilla
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.service_rules import Rule, assert_obeyed

DOCS = "https://bugzilla.readthedocs.io/en/latest/api/core/v1/"
# general.rst: both on every request.
HEADERS = {"X-BUGZILLA-API-KEY": "s3cret-key", "Accept": "application/json", "Content-Type": "application/json"}
TEXT = {"type": "string", "minLength": 1, "maxLength": 65_535}
BUG = Rule(DOCS + "bug.html#get-bug", "GET", r"/rest/bug/\d+", {"include_fields": r"[a-z_,]+"}, HEADERS, "")
COMMENTS = Rule(
    DOCS + "comment.html#get-comments",
    "GET",
    r"/rest/bug/\d+/comment",
    {"new_since?": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"},
    HEADERS,
    "",
)
COMMENT = Rule(
    DOCS + "comment.html#create-comments",
    "POST",
    r"/rest/bug/\d+/comment",
    headers=HEADERS,
    body={
        "type": "object",
        "required": ["comment"],
        "properties": {"comment": TEXT, "is_private": {"type": "boolean"}, "is_markdown": {"type": "boolean"}},
    },
)
UPDATE = Rule(
    DOCS + "bug.html#update-bug",
    "PUT",
    r"/rest/bug/\d+",
    headers=HEADERS,
    body={
        "type": "object",
        "properties": {
            "status": {"type": "string"},
            "resolution": {"type": "string"},
            "comment": {"type": "object", "required": ["body"], "properties": {"body": TEXT}},
        },
    },
)


def settings(receiver, **more):
    return {"broker": "bugzilla", "url": receiver.url, "key": "s3cret-key", **more}


def pushed(message):
    payload = samples.load("git-push")
    payload["commits"][0]["message"] = message
    return payload


def has_bug(receiver, number, *comments, is_open=True):
    receiver.answer(200, body=json.dumps({"bugs": [{"id": number, "is_open": is_open}]}).encode())
    told = {str(number): {"comments": [{"text": text} for text in comments]}}
    receiver.answer(200, body=json.dumps({"bugs": told, "comments": {}}).encode())


def test_it_is_found_under_its_name():
    assert loader.broker_class("bugzilla") is Bugzilla


def test_a_bug_is_resolved_with_its_comment_in_one_request(receiver):
    has_bug(receiver, 12)
    assert outcome_of(settings(receiver)).note == "closed: 12"
    assert_obeyed(receiver.requests, [BUG, COMMENTS, UPDATE])
    said = json.loads(receiver.requests[-1].body)
    assert (said["status"], said["resolution"]) == ("RESOLVED", "FIXED")
    assert said["comment"]["body"].startswith("Commit 316a8ea92f86 https://git.example.org/team/kettle/commit/316a8ea92f86")


def test_a_bug_needs_no_verb(receiver):
    has_bug(receiver, 1234)
    assert outcome_of(settings(receiver), pushed("Bug 1234 - Stop the drip")).note == "told: 1234"
    assert_obeyed(receiver.requests, [BUG, COMMENTS, COMMENT])


def test_a_bug_is_opened_again(receiver):
    has_bug(receiver, 6, is_open=False)
    assert outcome_of(settings(receiver, **{"reopened-status": "REOPENED"}), pushed("reopens #6")).note == "reopened: 6"
    assert_obeyed(receiver.requests, [BUG, COMMENTS, UPDATE])
    assert json.loads(receiver.requests[-1].body)["status"] == "REOPENED"


@pytest.mark.parametrize(("is_open", "rules"), [(True, [BUG, COMMENTS, UPDATE]), (False, [BUG, COMMENTS])])
def test_what_was_said_is_not_said_again(receiver, is_open, rules):
    has_bug(receiver, 12, "Commit 316a8ea92f86 by hand", is_open=is_open)
    assert outcome_of(settings(receiver)).verdict is Verdict.DELIVERED
    assert_obeyed(receiver.requests, rules)
    assert b"comment" not in receiver.requests[-1].body


@pytest.mark.parametrize(("status", "code"), [(404, 101), (401, 102), (400, 100)])
def test_a_bug_that_is_not_there_for_the_login_is_left_out(receiver, status, code):
    receiver.answer(status, body=json.dumps({"error": True, "code": code, "message": "Bug #12 does not exist."}).encode())
    assert outcome_of(settings(receiver)).note == "not there: 12"


def test_a_key_that_is_refused(receiver):
    receiver.answer(400, body=b'{"error":true,"code":306,"message":"The API key you specified is invalid."}')
    outcome = outcome_of(settings(receiver))
    assert (outcome.verdict, "The API key you specified is invalid" in outcome.reason) == (Verdict.RETRY, True)


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, settings(receiver))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"x"'])
def test_an_answer_that_is_none(receiver, body):
    receiver.answer(200, body=body)
    assert "not what the service's API answers" in outcome_of(settings(receiver)).reason


@pytest.mark.parametrize("sample", ["git-tag", "alert"])
def test_without_commits_nothing_is_said(receiver, sample):
    assert outcome_of(settings(receiver), samples.load(sample)).note == "no commit names an issue"
    assert receiver.requests == []
