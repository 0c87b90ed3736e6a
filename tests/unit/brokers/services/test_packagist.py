from __future__ import annotations

import json

import pytest

from brokers import loader
from brokers.delivery.outcome import Verdict
from brokers.services.packagist import Packagist
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, assert_not_understood, outcome_of
from tests.support.service_rules import Rule, assert_obeyed

RULE = Rule(
    "https://packagist.org/apidoc#update-package", "POST", "/api/update-package",
    headers={"Authorization": "Bearer ada:s3cret-token"},
    body={"type": "object", "required": ["repository"], "properties": {"repository": {"type": "string", "pattern": "^https?://[^/]+/."}}},
)  # fmt: skip
ACCEPTED = json.dumps({"status": "success", "jobs": ["1"], "type": "manual"}).encode()


def settings(receiver, **more):
    return {"broker": "packagist", "url": receiver.url, "user": "ada", "token": "s3cret-token", **more}


def test_it_is_found_under_its_name():
    assert loader.broker_class("packagist") is Packagist


@pytest.mark.parametrize("sample", ["git-push", "git-tag", "git-delete", "git-lightweight-tag", "hg-two-branches"])
def test_each_push_is_one_request(receiver, sample):
    receiver.answer(202, body=ACCEPTED, times=None)
    outcome = outcome_of(settings(receiver), samples.load(sample))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "success")
    assert_obeyed(receiver.requests, [RULE])


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("", "https://git.example.org/team/kettle/"),
        ("https://packagist.org/packages/team/${repository.slug}", "https://packagist.org/packages/team/kettle"),
    ],
)
def test_the_repository_it_is_told_of(receiver, repository, expected):
    receiver.answer(202, body=ACCEPTED)
    outcome_of(settings(receiver, repository=repository))
    assert json.loads(receiver.requests[0].body) == {"repository": expected}


def test_an_alert_is_nothing_to_look_at(receiver):
    assert outcome_of(settings(receiver), samples.load("alert")).note == "an alert: nothing to look at"
    assert receiver.requests == []


def test_no_package_of_that_repository_is_said(receiver):
    receiver.answer(404, body=b'{"status": "error", "message": "Could not find a package that matches this request"}')
    assert "Could not find a package" in outcome_of(settings(receiver)).reason


def test_the_token_is_not_in_the_record(receiver):
    receiver.answer(202, body=ACCEPTED)
    [exchange] = outcome_of(settings(receiver)).details["exchanges"]
    assert "s3cret-token" not in str(exchange)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
def test_an_answer_that_is_not_packagist_s(receiver, body):
    assert_not_understood(receiver, settings(receiver), body)


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, settings(receiver))
