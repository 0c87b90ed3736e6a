from __future__ import annotations

import json

import pytest

from brokers import loader
from brokers.delivery.outcome import Verdict
from brokers.services.weblate import MAX_BRANCHES, Weblate
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, assert_not_understood, outcome_of
from tests.support.service_rules import FORM, Rule, assert_obeyed

# The form and the header: weblate/trans/views/hooks.py (PayloadFormParserParser, bitbucket_hook_helper) of Weblate 5.14.3.
RULE = Rule(
    "https://docs.weblate.org/en/latest/api.html#post--hooks-bitbucket-", "POST", "/hooks/bitbucket/",
    headers={"X-Event-Key": "repo:push"}, content_type=FORM,
    body={"type": "object", "required": ["payload"], "properties": {"payload": {"type": "string"}}},
)  # fmt: skip
UPDATED = {"status": "success", "message": "Update triggered: kettle/main", "updated_components": []}


def settings(receiver):
    return {"broker": "weblate", "url": receiver.url}


def of_branches(payload, branches):
    [ref] = payload["oberon"]["refs"]
    payload["oberon"]["refs"] = [{**ref, "name": name} for name in branches]
    return payload


def branch_that_weblate_sees(payload):
    """As its bitbucket_extract_branch reads it."""
    return payload["commits"][-1]["branch"] if payload["commits"] else None


def test_it_is_found_under_its_name():
    assert loader.broker_class("weblate") is Weblate


def test_weblate_is_told_of_each_branch(receiver):
    receiver.answer(200, body=json.dumps(UPDATED).encode(), times=None)
    outcome = outcome_of(settings(receiver), of_branches(samples.load("git-push"), ["main", "stable"]))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "Update triggered: kettle/main")
    assert_obeyed(receiver.requests, [RULE] * 2)
    sent = [request.payload() for request in receiver.requests]
    assert [branch_that_weblate_sees(payload) for payload in sent] == ["main", "stable"]
    assert all("oberon" not in payload and "service" not in payload for payload in sent)
    assert sent[0]["canon_url"] + sent[0]["repository"]["absolute_url"] == "https://git.example.org/team/kettle/"


@pytest.mark.parametrize("sample", ["hg-two-branches", "hg-new-branch", "git-merge", "git-truncated"])
def test_the_branches_of_other_pushes(receiver, sample):
    receiver.answer(200, body=json.dumps(UPDATED).encode(), times=None)
    payload = samples.load(sample)
    outcome_of(settings(receiver), payload)
    told = [branch_that_weblate_sees(request.payload()) for request in receiver.requests]
    assert told == [ref["name"] for ref in payload["oberon"]["refs"]]


def test_of_too_many_branches_and_of_one_without_commits_none_is_named(receiver):
    receiver.answer(200, body=json.dumps(UPDATED).encode(), times=None)
    many = of_branches(samples.load("git-push"), [f"branch-{number}" for number in range(MAX_BRANCHES + 1)])
    made = of_branches(samples.load("git-push"), ["main", "old"])
    made["oberon"]["refs"][1]["commits"] = []
    for payload in (many, made):
        outcome_of(settings(receiver), payload)
    assert_obeyed(receiver.requests, [RULE] * 2)
    assert [branch_that_weblate_sees(request.payload()) for request in receiver.requests] == [None, None]


@pytest.mark.parametrize("sample", ["git-delete", "git-tag", "hg-bookmark", "alert"])
def test_without_a_branch_there_is_nothing_to_fetch(receiver, sample):
    outcome = outcome_of(settings(receiver), samples.load(sample))
    assert (outcome.note, receiver.requests) == ("nothing to fetch: no branch was pushed", [])


def test_no_component_of_that_repository_is_said(receiver):
    receiver.answer(202, body=b'{"status": "failure", "message": "No matching repositories found!"}')
    assert outcome_of(settings(receiver)).note == "No matching repositories found!"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 5000])
def test_an_answer_that_is_not_weblate_s(receiver, body):
    assert_not_understood(receiver, settings(receiver), body)


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, settings(receiver))
