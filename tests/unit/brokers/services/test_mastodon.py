from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from brokers.delivery.outcome import Verdict
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.service_rules import FORM, Rule, assert_obeyed

RULE = Rule(
    "https://docs.joinmastodon.org/methods/statuses/#create",  # read in github.com/mastodon/documentation
    "POST",
    "/api/v1/statuses",
    headers={"Authorization": "Bearer s3cretT0ken", "Idempotency-Key": "[0-9a-f]{32,64}"},
    content_type=FORM,
    body={
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {"type": "string", "minLength": 1},
            "visibility": {"enum": ["public", "unlisted", "private", "direct"]},
            "sensitive": {},
            "spoiler_text": {},
            "language": {},
        },
    },
)


def settings(receiver, **more):
    return {"broker": "mastodon", "url": receiver.url, "token": "s3cretT0ken", **more}


def sent(receiver):
    return [parse_qs(request.body.decode())["status"][0] for request in receiver.requests]


@pytest.mark.parametrize("name", samples.names())
def test_each_kind_of_push_is_one_status(receiver, name):
    outcome = outcome_of(settings(receiver), samples.load(name))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "200 OK"), outcome.reason
    assert_obeyed(receiver.requests, [RULE])


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, settings(receiver))


def test_a_refused_status_is_told_why(receiver):
    receiver.answer(422, {"Content-Type": "application/json"}, b'{"error": "Validation failed: Text can\'t be blank"}')
    assert "Validation failed: Text can't be blank" in outcome_of(settings(receiver)).reason


def test_an_attempt_that_is_made_again_has_the_same_key(receiver):
    for payload in (samples.load("git-push"), samples.load("git-push"), samples.load("git-tag")):
        outcome_of(settings(receiver), payload)
    first, again, other = (request.headers["Idempotency-Key"] for request in receiver.requests)
    assert first == again != other


def test_the_admin_says_what_and_to_whom(receiver):
    outcome_of(settings(receiver, summary="${count} for @team: ${repository.slug}", visibility="Private", max="20"))
    assert sent(receiver) == ["2 for @team: kettle"]
    assert b"visibility=private" in receiver.requests[0].body


def test_the_token_is_not_shown(receiver):
    shown = str(outcome_of(settings(receiver)).details)
    assert "s3cretT0ken" not in shown
    assert "POST /api/v1/statuses HTTP/1.1" in shown
