from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from brokers import loader
from brokers.delivery.outcome import Verdict
from brokers.services.jenkins import MAX_BRANCHES, Jenkins
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.service_rules import FORM, Rule, assert_obeyed

TOKEN = {"const": "s3cret-token"}
BASIC = "Basic b2Jlcm9uOnMzY3JldC10b2tlbg=="  # oberon:s3cret-token


def form_of(request):
    return dict(parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True))


def form(required, **properties):
    known = {name: {"type": "string", "minLength": 1} if schema is None else schema for name, schema in properties.items()}
    return {"type": "object", "required": required, "properties": known}


# "Push notification from repository"; that a form does as well as a query: GitStatus (@QueryParameter), GitStatusCrumbExclusion.
GIT = Rule(
    "https://plugins.jenkins.io/git/#plugin-content-push-notification-from-repository", "POST", "/git/notifyCommit",
    content_type=FORM, body=form(["url", "token"], url=None, branches=None, sha1={"pattern": "^[0-9a-f]{40}$"}, token=TOKEN),
)  # fmt: skip
# "Polling"; as a form: MercurialStatus, and the plugin's own src/test/resources/hook.py.
HG = Rule(
    "https://plugins.jenkins.io/mercurial/", "POST", "/mercurial/notifyCommit",
    content_type=FORM, body=form(["url"], url=None, branch=None, changesetId=None),
)  # fmt: skip
JOBS = "https://www.jenkins.io/doc/book/using/remote-access-api/#RemoteaccessAPI-Submittingjobs"
BUILD = Rule(JOBS, "POST", "/job/shop/job/deploy%20it/build", headers={"Authorization": BASIC}, content_type="")
PARAMETERS = form(["BRANCH", "COMMIT"], BRANCH=None, COMMIT={"pattern": "^[0-9a-f]{40}$"})
WITH_PARAMETERS = Rule(
    JOBS, "POST", "/job/shop/job/deploy%20it/buildWithParameters",
    headers={"Authorization": BASIC}, content_type=FORM, body=PARAMETERS,
)  # fmt: skip
JOB = {"job": "shop/deploy it", "user": "oberon"}


def settings(receiver, **more):
    return {"broker": "jenkins", "url": receiver.url, "token": "s3cret-token", **more}


def pushed(branches, sample="git-push"):
    """The sample with branches of these names."""
    payload = samples.load(sample)
    [ref] = payload["oberon"]["refs"]
    payload["oberon"]["refs"] = [{**ref, "ref": f"refs/heads/{name}", "name": name} for name in branches]
    return payload


def test_it_is_found_under_its_name():
    assert loader.broker_class("jenkins") is Jenkins


def test_each_branch_is_notified_with_its_commit(receiver):
    receiver.answer(200, body=b"Scheduled polling of shop\nScheduled shop-docs\n", times=None)
    outcome = outcome_of(settings(receiver), pushed(["main", "läuft", "a b"]))
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.note == "Scheduled polling of shop; Scheduled shop-docs"
    assert_obeyed(receiver.requests, [GIT] * 3)
    assert [form_of(request)["branches"] for request in receiver.requests] == ["main", "läuft", "a b"]
    assert {form_of(request)["sha1"] for request in receiver.requests} == {"a52e869ce8b9699205175451581a75a1eeb6a562"}
    assert {form_of(request)["url"] for request in receiver.requests} == {"https://git.example.org/team/kettle/"}


def test_the_branch_is_polled_and_the_repository_named_as_configured(receiver):
    outcome_of(settings(receiver, revision="false", repository="ssh://git@git.example.org/${repository.path}.git"))
    assert_obeyed(receiver.requests, [GIT])
    assert "sha1" not in form_of(receiver.requests[0])
    assert form_of(receiver.requests[0])["url"] == "ssh://git@git.example.org/team/kettle.git"


@pytest.mark.parametrize("branches", [["main", "a,b"], [f"branch-{number}" for number in range(MAX_BRANCHES + 1)]], ids=len)
def test_what_cannot_be_said_by_branch_has_all_jobs_polled(receiver, branches):
    outcome_of(settings(receiver), pushed(branches))
    assert_obeyed(receiver.requests, [GIT])
    assert form_of(receiver.requests[0]).keys() == {"url", "token"}


@pytest.mark.parametrize(("sample", "count"), [("hg-two-branches", 1), ("hg-bookmark", 1), ("hg-new-branch", 1)])
def test_mercurial_is_notified_once_a_push(receiver, sample, count):
    outcome_of(settings(receiver), samples.load(sample))
    assert_obeyed(receiver.requests, [HG] * count)
    assert form_of(receiver.requests[0]) == {"url": "https://hg.example.org/team/lid/"}


@pytest.mark.parametrize("more", [{}, JOB], ids=["notified", "built"])
@pytest.mark.parametrize("sample", ["git-delete", "git-tag", "git-lightweight-tag", "alert"])
def test_without_a_branch_there_is_nothing_to_build(receiver, sample, more):
    outcome = outcome_of(settings(receiver, **more), samples.load(sample))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "nothing to build: no branch was pushed")
    assert receiver.requests == []


def test_a_job_is_built_for_each_branch(receiver):
    queued = "https://jenkins.example.org/queue/item/"
    receiver.answer(201, {"Location": queued + "7/"})
    receiver.answer(201, {"Location": queued + "8/"})
    outcome = outcome_of(settings(receiver, **JOB, parameters="BRANCH=${branch}&COMMIT=${new}"), pushed(["x&COMMIT=y", "main"]))
    assert outcome.note == f"queued: {queued}7/; queued: {queued}8/"
    assert_obeyed(receiver.requests, [WITH_PARAMETERS] * 2)
    assert [form_of(request)["BRANCH"] for request in receiver.requests] == ["x&COMMIT=y", "main"]


def test_a_job_without_parameters(receiver):
    outcome_of(settings(receiver, **JOB))
    assert_obeyed(receiver.requests, [BUILD])


def test_a_job_is_built_for_so_many_branches_only(receiver):
    outcome = outcome_of(settings(receiver, **JOB), pushed([f"branch-{number}" for number in range(MAX_BRANCHES + 3)]))
    assert len(receiver.requests) == MAX_BRANCHES
    assert outcome.note.endswith("3 more branches are not built")


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (b"No git jobs using repository: https://git.example.org/team/kettle/ and branches: main\n", "repository: https"),
        (b"No git jobs found\n", "nothing was triggered: No git jobs found"),
        (b"No Mercurial jobs found\n", "nothing was triggered: No Mercurial jobs found"),
        (b"", "nothing was triggered"),
        (b"\xff\x1b[2J", "\ufffd\\x1b[2J"),
        (b"x" * 9000, "x" * 200),
    ],
)
def test_the_note_says_what_jenkins_did(receiver, body, note):
    receiver.answer(200, body=body)
    told = outcome_of(settings(receiver)).note
    assert note in told
    assert not told.endswith(": ")


def test_the_branches_after_one_that_failed_are_not_told(receiver):
    receiver.answer(200)
    receiver.answer(500)
    outcome = outcome_of(settings(receiver), pushed(["a", "b", "c"]))
    assert outcome.verdict is Verdict.RETRY
    assert [form_of(request)["branches"] for request in receiver.requests] == ["a", "b"]


@pytest.mark.parametrize("failure", FAILURES, ids=str)
@pytest.mark.parametrize("more", [{}, JOB], ids=["notified", "built"])
def test_failures(receiver, failure, more):
    assert_fails_so(failure, receiver, settings(receiver, **more))


def test_the_token_is_in_no_address_and_not_in_the_record(receiver):
    outcome = outcome_of(settings(receiver, token="to ken+/ü"), pushed(["main"]))
    [exchange] = outcome.details["exchanges"]
    assert form_of(receiver.requests[0])["token"] == "to ken+/ü"
    assert receiver.requests[0].path == "/git/notifyCommit"
    assert "&token=****&branches=main&" in exchange["request"]


def test_nobody_says_where_the_repository_is(receiver):
    payload = samples.load("git-push")
    payload |= {"canon_url": "", "repository": {**payload["repository"], "website": ""}}
    payload["oberon"]["links"] = {}
    outcome = outcome_of(settings(receiver), payload)
    assert (outcome.verdict, receiver.requests) == (Verdict.RETRY, [])  # until it is set
    assert outcome.reason.startswith("repository: nobody says how the service knows it; set it, or ")
