import json
from urllib.parse import urlsplit

import pytest

from brokers import loader
from brokers.delivery.outcome import Verdict
from brokers.services.issues import Issues
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.service_rules import Rule, assert_obeyed

GITEA = "https://github.com/go-gitea/gitea/blob/main/routers/api/v1/repo/"  # the annotations that /api/swagger is made of
GITLAB = "https://gitlab.com/gitlab-org/gitlab/-/blob/master/doc/api/"
# Paths and bodies not seen there; as clients generated from GitHub's OpenAPI have them. The version ends on March 10, 2028
# (data/tables/rest-api-versions.yml of github.com/github/docs), from when on it is answered with 410.
GITHUB = "https://docs.github.com/en/rest/issues/"
SINCE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
COMMENT = {"type": "object", "required": ["body"], "properties": {"body": {"type": "string", "minLength": 1}}}


def state(key, *values):
    return {"type": "object", "required": [key], "properties": {key: {"enum": list(values)}}}


RULES = {
    "gitea": {
        "issue": Rule(GITEA + "issue.go", "GET", r"/api/v1/repos/team/kettle/issues/\d+", headers={"Authorization": "token s3cret-token"}, content_type=""),
        "comments": Rule(GITEA + "issue_comment.go", "GET", r"/api/v1/repos/team/kettle/issues/\d+/comments", {"since?": SINCE, "before?": SINCE}, {"Authorization": "token s3cret-token"}, ""),
        "comment": Rule(GITEA + "issue_comment.go", "POST", r"/api/v1/repos/team/kettle/issues/\d+/comments", headers={"Authorization": "token s3cret-token"}, body=COMMENT),
        "state": Rule(GITEA + "issue.go", "PATCH", r"/api/v1/repos/team/kettle/issues/\d+", headers={"Authorization": "token s3cret-token"}, body=state("state", "open", "closed")),
    },
    "gitlab": {
        "issue": Rule(GITLAB + "issues.md", "GET", r"/api/v4/projects/team%2Fkettle/issues/\d+", headers={"PRIVATE-TOKEN": "s3cret-token"}, content_type=""),
        "comments": Rule(GITLAB + "notes.md", "GET", r"/api/v4/projects/team%2Fkettle/issues/\d+/notes", {"sort?": "asc|desc", "order_by?": "created_at|updated_at", "per_page?": r"\d\d?|100", "page?": r"\d+"}, {"PRIVATE-TOKEN": "s3cret-token"}, ""),
        "comment": Rule(GITLAB + "notes.md", "POST", r"/api/v4/projects/team%2Fkettle/issues/\d+/notes", headers={"PRIVATE-TOKEN": "s3cret-token"}, body=COMMENT),
        "state": Rule(GITLAB + "issues.md", "PUT", r"/api/v4/projects/team%2Fkettle/issues/\d+", headers={"PRIVATE-TOKEN": "s3cret-token"}, body=state("state_event", "close", "reopen")),
    },
    "github": {
        "issue": Rule(GITHUB + "issues#get-an-issue", "GET", r"/repos/team/kettle/issues/\d+", headers={"Authorization": "Bearer s3cret-token", "Accept": r"application/vnd\.github\+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": ".+"}, content_type=""),
        "comments": Rule(GITHUB + "comments#list-issue-comments", "GET", r"/repos/team/kettle/issues/\d+/comments", {"since?": SINCE, "per_page?": r"\d\d?|100", "page?": r"\d+"}, {"Authorization": "Bearer s3cret-token", "Accept": r"application/vnd\.github\+json"}, ""),
        "comment": Rule(GITHUB + "comments#create-an-issue-comment", "POST", r"/repos/team/kettle/issues/\d+/comments", headers={"Authorization": "Bearer s3cret-token", "Accept": r"application/vnd\.github\+json"}, body=COMMENT),
        "state": Rule(GITHUB + "issues#update-an-issue", "PATCH", r"/repos/team/kettle/issues/\d+", headers={"Authorization": "Bearer s3cret-token", "Accept": r"application/vnd\.github\+json"}, body=state("state", "open", "closed")),
    },
}  # fmt: skip
RULES["forgejo"] = RULES["gitea"]
OPEN = {"gitlab": {"state": "opened", "user_notes_count": 1}}
CLOSED = {"state": "closed", "comments": 0, "user_notes_count": 0}
EVERY_KIND = pytest.mark.parametrize("kind", RULES)


def settings(receiver, kind="gitea", **more):
    return {"broker": "issues", "kind": kind, "url": receiver.url, "token": "s3cret-token", **more}


def pushed(*messages):
    payload = samples.load("git-push")
    for commit, message in zip(payload["commits"], messages, strict=True):
        commit["message"] = message
    return payload


def open_issue(kind):
    return json.dumps(OPEN.get(kind, {"state": "open", "comments": 1})).encode()


def answers(receiver, *bodies):
    for body in bodies:
        receiver.answer(200, body=body if isinstance(body, bytes) else json.dumps(body).encode())


def told(receiver):
    """The text of each comment."""
    return [json.loads(request.body)["body"] for request in receiver.requests if request.method == "POST"]


def test_it_is_found_under_its_name():
    assert loader.broker_class("issues") is Issues


@EVERY_KIND
def test_an_issue_is_read_told_and_closed(receiver, kind):
    answers(receiver, open_issue(kind), [], {}, {})
    outcome = outcome_of(settings(receiver, kind))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "closed: 12")
    assert_obeyed(receiver.requests, [RULES[kind][row] for row in ("issue", "comments", "comment", "state")])
    [text] = told(receiver)
    assert text.split("\n\n") == [
        "[Commit 316a8ea92f86](https://git.example.org/team/kettle/commit/316a8ea92f86c5ade565761b6425bcacf4ab1301)",
        "Take the temperature of the tap, fixes #\u200b12",
        "Ada Byron, on main of team/kettle",
    ]


@EVERY_KIND
def test_an_attempt_that_is_repeated_says_and_does_nothing_again(receiver, kind):
    answers(receiver, open_issue(kind), [], {}, {})
    outcome_of(settings(receiver, kind))
    said = told(receiver)
    receiver.clear()
    answers(receiver, {**CLOSED, "comments": 1, "user_notes_count": 1}, [{"body": "me too"}, *({"body": text} for text in said)])
    assert outcome_of(settings(receiver, kind)).note == "told before: 12"
    assert_obeyed(receiver.requests, [RULES[kind][row] for row in ("issue", "comments")])


@EVERY_KIND
def test_what_failed_between_comment_and_state_is_taken_up_there(receiver, kind):
    answers(receiver, open_issue(kind), [{"body": "Commit 316a8ea92f86\n..."}], {})
    assert outcome_of(settings(receiver, kind)).note == "closed: 12"
    assert_obeyed(receiver.requests, [RULES[kind][row] for row in ("issue", "comments", "state")])


@EVERY_KIND
def test_a_reference_is_told_and_a_reopening_reopens(receiver, kind):
    answers(receiver, CLOSED, {}, {}, {**CLOSED, "comments": 0}, {})
    assert outcome_of(settings(receiver, kind), pushed("see #5", "reopens #6, see #5")).note == "reopened: 6; told: 5"
    assert_obeyed(receiver.requests, [RULES[kind][row] for row in ("issue", "comment", "state", "issue", "comment")])
    assert json.loads(receiver.requests[2].body) in ({"state": "open"}, {"state_event": "reopen"})
    assert [text.count("Commit ") for text in told(receiver)] == [1, 2]


@pytest.mark.parametrize("status", [301, 404, 410])
@EVERY_KIND
def test_an_issue_that_is_not_there_is_left_out(receiver, kind, status):
    receiver.answer(status, {"Location": "https://elsewhere.example.org/"})
    answers(receiver, {}, CLOSED, {})  # the project, the other issue, its comment
    outcome = outcome_of(settings(receiver, kind), pushed("see #99", "see #1"))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "not there: 99; told: 1")
    assert urlsplit(receiver.requests[1].path).path.endswith(("/repos/team/kettle", "/projects/team%2Fkettle"))


@pytest.mark.parametrize("failure", FAILURES, ids=str)
@pytest.mark.parametrize("kind", ["gitea", "gitlab", "github"])
def test_failures(receiver, kind, failure):
    assert_fails_so(failure, receiver, settings(receiver, kind))


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"[]", b"", b"[" * 100_000])
def test_an_answer_that_is_none(receiver, body):
    receiver.answer(200, body=body)
    outcome = outcome_of(settings(receiver))
    assert (outcome.verdict, outcome.reached) == (Verdict.RETRY, False)
    assert "not what the service's API answers: look at the address" in outcome.reason
    assert len(receiver.requests) == 1


def test_one_issue_that_is_refused_does_not_keep_the_others_back(receiver):
    answers(receiver, CLOSED)
    receiver.answer(403, body=b'{"message": "Issue is locked"}')
    answers(receiver, CLOSED, {})
    outcome = outcome_of(settings(receiver), pushed("see #1", "see #2"))
    assert (outcome.verdict, "Issue is locked" in outcome.reason) == (Verdict.RETRY, True)
    assert [request.method for request in receiver.requests] == ["GET", "POST", "GET", "POST"]


def test_no_more_than_twenty_issues_are_told(receiver):
    receiver.answer(200, body=json.dumps(CLOSED).encode(), times=None)
    outcome = outcome_of(settings(receiver), pushed("see " + ", ".join(f"#{number}" for number in range(1, 31)), "reopens #40"))
    assert outcome.note.startswith("reopened: 40; told: 1, 2, 3")
    assert outcome.note.endswith("; 11 more issues are not told")
    assert len(told(receiver)) == 20


def test_what_the_payload_does_not_hold_is_said_not_to_be_read(receiver):
    payload = pushed("nothing", "nothing")
    payload["oberon"]["total_commits"] = 5
    assert outcome_of(settings(receiver), payload).note == "no commit names an issue; 3 more commits are not read"
    answers(receiver, CLOSED, {})
    payload["commits"][0]["message"] = "see #1"
    assert outcome_of(settings(receiver), payload).note == "told: 1; 3 more commits are not read"


@pytest.mark.parametrize("sample", ["git-delete", "git-tag", "alert", "hg-bookmark"])
def test_without_commits_nothing_is_said(receiver, sample):
    assert outcome_of(settings(receiver), samples.load(sample)).note == "no commit names an issue"
    assert receiver.requests == []


def test_words_of_ones_own_and_a_project_elsewhere(receiver):
    answers(receiver, {"state": "opened", "user_notes_count": 0}, {}, {})
    words = {"closes": "erledigt", "reopens": "", "references": ""}
    assert outcome_of(settings(receiver, "gitlab", project="a/b/c", **words), pushed("see #1", "Erledigt #2")).note == "closed: 2"
    assert urlsplit(receiver.requests[0].path).path == "/api/v4/projects/a%2Fb%2Fc/issues/2"


def test_what_was_pushed_does_nothing_on_the_page(receiver):
    answers(receiver, CLOSED, {})
    hostile = "see #1 @all /close ![x](//evil) <script> #7 \x1b[31m \u202e `x` GH-8 \ud800"
    payload = pushed("nothing", hostile)
    payload["commits"][1].update(raw_author="@all <x@example.org>", branch="*bold* #7")
    assert outcome_of(settings(receiver), payload).verdict is Verdict.DELIVERED
    [text] = told(receiver)
    for harm in ("@all", "![", "<script", "#7", "GH-8", "\x1b", "\u202e", "*bold*\n"):
        assert harm not in text
    assert "\\*bold\\*" in text


def test_a_payload_of_2008(receiver):
    answers(receiver, {"state": "open", "comments": 1}, [], {}, {})
    payload = samples.load("twitter-2008")
    payload["commits"][0]["message"] = "fixes #206"
    values = {"url": receiver.url, "kind": "gitea", "token": "t", "closes": ["fixes"], "reopens": [], "references": []}
    assert Issues().handle({**payload, "service": values}) == "closed: 206"
    assert [request.path for request in receiver.requests][1] == "/api/v1/repos/jespern/bitbucket/issues/206/comments"
    assert told(receiver) == ["Commit e71c63bcc05e\n\nfixes #\u200b206\n\njespern, in jespern/bitbucket"]


def test_a_dry_run_shows_every_request(receiver):
    outcome = outcome_of(settings(receiver), dry_run=True)
    assert [exchange["request"].split(" HTTP")[0] for exchange in outcome.details["exchanges"]] == [
        "GET /api/v1/repos/team/kettle/issues/12",
        "POST /api/v1/repos/team/kettle/issues/12/comments",
        "PATCH /api/v1/repos/team/kettle/issues/12",
    ]
    assert "s3cret-token" not in json.dumps(outcome.details)


@pytest.mark.parametrize("project", ["..", "a/../b", "a//b"])
def test_a_project_that_can_be_none(receiver, project):
    assert "write it as owner/name" in outcome_of(settings(receiver, project=project)).reason


def test_the_endpoint():
    assert Issues().endpoint({"url": "https://forge.example.org/"}) == "forge.example.org:443"
