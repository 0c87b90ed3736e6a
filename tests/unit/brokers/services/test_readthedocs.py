from __future__ import annotations

import json

import pytest

from brokers import loader
from brokers.delivery.outcome import Verdict
from brokers.services.readthedocs import ReadTheDocs
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, assert_not_understood, outcome_of
from tests.support.service_rules import Rule, assert_obeyed

PROPERTIES = {
    "branches": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
    "token": {"const": "s3cret-token"},
    "default_branch": {"type": "string", "minLength": 1},
}
RULE = Rule(
    "https://docs.readthedocs.com/platform/stable/guides/setup/git-repo-manual.html#using-the-generic-api-integration",
    "POST", "/api/v2/webhook/kettle/1234/",
    body={"type": "object", "required": ["branches", "token"], "properties": PROPERTIES},
)  # fmt: skip


def settings(receiver, **more):
    return {"broker": "readthedocs", "url": f"{receiver.url}api/v2/webhook/kettle/1234/", "token": "s3cret-token", **more}


def builds(receiver, *versions, times=1):
    body = {"build_triggered": bool(versions), "project": "kettle", "versions": versions}
    receiver.answer(200, body=json.dumps(body).encode(), times=times)


def test_it_is_found_under_its_name():
    assert loader.broker_class("readthedocs") is ReadTheDocs


def test_all_branches_are_told_in_one_request(receiver):
    builds(receiver, "latest", "stable")
    outcome = outcome_of(settings(receiver, **{"default-branch": "default"}), samples.load("hg-two-branches"))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "builds latest, stable")
    assert_obeyed(receiver.requests, [RULE])
    assert json.loads(receiver.requests[0].body)["branches"] == ["stable", "default"]


def test_no_version_of_the_branch_is_said(receiver):
    builds(receiver)
    assert "nothing is built" in outcome_of(settings(receiver)).note
    assert_obeyed(receiver.requests, [RULE])


@pytest.mark.parametrize("sample", ["git-delete", "git-tag", "hg-bookmark", "alert"])
def test_without_a_branch_nothing_is_asked(receiver, sample):
    outcome = outcome_of(settings(receiver), samples.load(sample))
    assert (outcome.note, receiver.requests) == ("nothing to build: no branch was pushed", [])


def test_the_token_is_not_in_the_record(receiver):
    builds(receiver, "latest")
    [exchange] = outcome_of(settings(receiver)).details["exchanges"]
    assert "s3cret-token" not in str(exchange)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
def test_an_answer_that_is_not_of_read_the_docs(receiver, body):
    assert_not_understood(receiver, settings(receiver), body)


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, settings(receiver))
