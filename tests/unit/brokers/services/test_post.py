from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs

import pytest
from gidgethub import ValidationFailure
from gidgethub.sansio import validate_event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from brokers import loader
from brokers.config import Configuration, Entry
from brokers.delivery.outcome import Verdict
from brokers.errors import DeliveryFailed, ServiceGone
from brokers.services.post import Post
from brokers.transport.call import Call, placing
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.forge_schemas import SCHEMAS
from tests.support.service_rules import Rule, assert_obeyed


@pytest.fixture
def sample():
    return samples.load("twitter-2008")


def test_it_is_found_under_its_name():
    assert loader.broker_class("post") is Post


def test_the_classic_form_arrives(receiver, sample):
    sample["service"] = {"url": receiver.url + "hook"}
    sample["oberon"] = {"refs": []}
    assert Post().handle(sample) == "200 OK"
    [request] = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers.get_all("Content-Type") == ["application/x-www-form-urlencoded"]
    assert request.headers.get_all("User-Agent") == ["Bitbucket.org"]
    assert request.headers["X-Event-Key"] == "repo:push"
    assert list(parse_qs(request.body.decode())) == ["payload"]
    expected = samples.load("twitter-2008")
    del expected["broker"], expected["service"]
    assert request.payload() == expected


def test_unusual_text_survives(receiver, sample):
    sample["service"] = {"url": receiver.url}
    sample["commits"][0]["message"] = "\x00 & = % + \u2028 日本 \U0001f600\n"
    Post().handle(sample)
    assert receiver.requests[0].payload()["commits"][0]["message"] == "\x00 & = % + \u2028 日本 \U0001f600\n"


@pytest.mark.parametrize(("status", "error"), [(302, DeliveryFailed), (410, ServiceGone), (500, DeliveryFailed)])
def test_what_the_answer_means(receiver, sample, status, error):
    sample["service"] = {"url": receiver.url}
    receiver.answer(status)
    with pytest.raises(error, match=f"HTTP {status}"):
        Post().handle(sample)


def test_a_dry_run_shows_the_request(sample):
    sample["service"] = {"url": "https://ci:secret@ci.example.org/hook"}
    with placing(Call(dry_run=True)) as call:
        Post().handle(sample)
    [exchange] = call.exchanges
    assert "secret" not in exchange.request
    body = parse_qs(exchange.request.rpartition("\n\n")[2])
    assert json.loads(body["payload"][0])["repository"]["slug"] == "bitbucket"


def test_the_endpoint():
    assert Post().endpoint({"url": "https://user:pass@ci.example.org/x"}) == "ci.example.org:443"
    assert Post().endpoint({}) == ""


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({}, "service.ci.URL"),
        ({"url": "ci.example.org"}, "http://"),
        ({"url": "ftp://ci.example.org/"}, "http://"),
        ({"url": "https://ci.example.org", "methods": "PUT"}, "service.ci.methods"),
        ({"url": "https://${repository.slug}/"}, "choose the host"),
        ({"url": "https://ci.example.org/${slug}"}, "there is no ${slug}"),
        ({"url": "https://ci.example.org", "method": "GET"}, "POST or PUT"),
        ({"url": "https://ci.example.org", "format": "gogs"}, "github"),
        ({"url": "https://ci.example.org", "hooks": "push, tag"}, "push, create, delete"),
        ({"url": "https://ci.example.org", "body": '{"text": ${subject}}'}, "write JSON"),
        ({"url": "https://ci.example.org", "body": '{"text": "${subjct}"}'}, "there is no ${subjct}"),
        ({"url": "https://ci.example.org", "headers": "X-Token"}, "one header a line"),
        ({"url": "https://ci.example.org", "headers": "X-Token: a\rX-Other: b"}, "one header a line"),
        ({"url": "https://ci.example.org", "headers": "Host: a"}, "leave Host out"),
        ({"url": "https://ci.example.org", "secret": "whsec_no"}, "base64"),
    ],
)
def test_wrong_settings_are_named(entries, problem):
    parsed = Configuration.parse(Entry("ci", key, value, "config") for key, value in {"broker": "post", **entries}.items())
    _, problems = Post.settings_of(parsed.services[0])
    assert len(problems) == 1
    assert problem in str(problems[0])


def sent(receiver, payload="git-push", **options):
    """The note of one delivery, which must succeed; the requests are the receiver's."""
    outcome = outcome_of({"broker": "post", "url": receiver.url + "hook", **options}, samples.load(payload))
    assert outcome.verdict is Verdict.DELIVERED, outcome.reason
    return outcome.note


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, {"broker": "post", "url": receiver.url, "format": "github"})


RULES = {
    ("github", "push"): Rule(
        "https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers",
        "POST",
        "/hook",
        headers={
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            "User-Agent": "GitHub-Hookshot/.+",
            "X-Hub-Signature": "sha1=[0-9a-f]{40}",
            "X-Hub-Signature-256": "sha256=[0-9a-f]{64}",
        },
        body=SCHEMAS["github"]["push"],
    ),
    ("gitea", "push"): Rule(
        "https://docs.gitea.com/usage/repository/webhooks#event-information",
        "POST",
        "/hook",
        headers={
            **{f"X-{service}-Event": "push" for service in ("Gitea", "Gogs", "GitHub")},
            **{f"X-{service}-Delivery": "[0-9a-f-]{36}" for service in ("Gitea", "Gogs", "GitHub")},
            "X-Gitea-Signature": "[0-9a-f]{64}",
        },
        body=SCHEMAS["gitea"]["push"],
    ),
    ("gitlab", "Push Hook"): Rule(
        "https://docs.gitlab.com/user/project/integrations/webhooks/#delivery-headers",
        "POST",
        "/hook",
        headers={
            "User-Agent": "GitLab/.+",
            "X-Gitlab-Event": "Push Hook",
            "X-Gitlab-Instance": "https://git[.]example[.]org",
            "X-Gitlab-Event-UUID": "[0-9a-f-]{36}",
            "Idempotency-Key": "[0-9a-f-]{36}",
            "X-Gitlab-Token": "open sesame",
        },
        body=SCHEMAS["gitlab"]["Push Hook"],
    ),
}


@pytest.mark.parametrize(("dialect", "event"), RULES)
def test_each_service_s_request(receiver, dialect, event):
    sent(receiver, format=dialect, secret="open sesame")
    assert_obeyed(receiver.requests, [RULES[dialect, event]])


@pytest.mark.parametrize("content", ["json", "form"])
def test_github_s_signatures_are_verified_by_another_s_library(receiver, content):
    sent(receiver, format="github", secret="open sesame", content=content)
    [request] = receiver.requests
    for name in ("X-Hub-Signature", "X-Hub-Signature-256"):
        validate_event(request.body, signature=request.headers[name], secret="open sesame")
        with pytest.raises(ValidationFailure):
            validate_event(request.body, signature=request.headers[name], secret="open says me")


@pytest.mark.parametrize("dialect", ["bitbucket", "github", "json"])
def test_a_standard_webhook_keeps_its_id_over_attempts(receiver, dialect):
    secrets = [f"whsec_{base64.b64encode(bytes([byte]) * 32).decode()}" for byte in (1, 2)]
    receiver.answer(500)
    options = {"format": dialect, "sign": "standard", "secret": secrets[0], "old-secret": secrets[1], "content": "json"}
    assert outcome_of({"broker": "post", "url": receiver.url, **options}).verdict is Verdict.RETRY
    receiver.answer(204)
    sent(receiver, **options)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    for secret in secrets:
        assert Webhook(secret).verify(second.body, dict(second.headers.items())) == json.loads(second.body)
    assert "X-Hub-Signature-256" not in second.headers


@pytest.mark.parametrize("dialect", ["bitbucket", *SCHEMAS, "json"])
def test_without_a_secret_nothing_is_signed(receiver, dialect):
    sent(receiver, format=dialect)
    names = [name.lower() for name in receiver.requests[0].headers]
    assert not [name for name in names if "signature" in name or "token" in name or name.startswith("webhook-")]


def test_one_request_for_each_ref_and_all_again_after_a_failure(receiver):
    payload = samples.load("hg-two-branches")
    settings = {"broker": "post", "url": receiver.url, "format": "github"}
    receiver.answer(200, times=1)
    receiver.answer(502)
    assert outcome_of(settings, payload).verdict is Verdict.RETRY
    receiver.answer(200)
    assert outcome_of(settings, payload).note == "2 requests, the last: 200 OK"
    refs = [json.loads(request.body)["ref"] for request in receiver.requests]
    assert refs == ["refs/heads/stable", "refs/heads/default"] * 2
    ids = [request.headers["X-GitHub-Delivery"] for request in receiver.requests]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


def test_other_hooks_are_sent_where_they_are_asked_for(receiver):
    sent(receiver, "git-new-branch", format="github", hooks="create, push")
    sent(receiver, "git-delete", format="gitea", hooks="delete")
    sent(receiver, "git-delete", format="github")
    assert [request.headers["X-GitHub-Event"] for request in receiver.requests] == ["create", "push", "delete", "push"]


def test_a_push_that_the_service_has_no_event_for(receiver):
    assert sent(receiver, "git-delete", format="gitea").startswith("nothing to send: gitea")
    assert receiver.requests == []


def test_an_alert_is_no_push_of_a_forge(receiver):
    outcome = outcome_of({"broker": "post", "url": receiver.url, "format": "github"}, samples.load("alert"))
    assert (outcome.verdict, receiver.requests) == (Verdict.DEAD, [])
    assert "oberon.alert" in outcome.reason
    sent(receiver, "alert", format="json")
    assert json.loads(receiver.requests[0].body)["oberon"]["alert"]["service"] == "ci"


def test_a_body_and_an_address_of_one_s_own(receiver):
    sent(
        receiver,
        url=receiver.url + "jobs/${repository.slug}?ref=${ref}",
        method="PUT",
        body='{"text": "${summary}", "commits": ${count}}',
        headers="X-Token: abc, def\nAuthorization: Bearer xyz",
        secret="open sesame",
    )
    [request] = receiver.requests
    assert (request.method, request.path) == ("PUT", "/jobs/kettle?ref=refs%2Fheads%2Fmain")
    assert json.loads(request.body) == {
        "text": "316a8ea92f86 Take the temperature of the tap, fixes #12\na52e869ce8b9 Prüfungen ziehen um",
        "commits": 2,
    }
    assert (request.headers["X-Token"], request.headers["Authorization"]) == ("abc, def", "Bearer xyz")
    assert request.headers["Content-Type"] == "application/json"
    assert "X-Event-Key" not in request.headers


def test_another_content_type(receiver):
    sent(receiver, format="json", **{"content-type": "application/vnd.example+json"})
    sent(receiver, body="who=${user}&what=${subject}", content="form")
    sent(receiver, body="${subject}", content="text")
    assert [request.headers["Content-Type"] for request in receiver.requests] == [
        "application/vnd.example+json",
        "application/x-www-form-urlencoded",
        "text/plain; charset=utf-8",
    ]
    assert parse_qs(receiver.requests[1].body.decode())["what"] == ["2 commits on main by Ada Byron and Jürgen Müller"]


def test_no_secret_is_in_the_record(receiver):
    outcome = outcome_of(
        {"broker": "post", "url": receiver.url, "format": "gitlab", "secret": "open sesame", "headers": "X-Token: swordfish"}
    )
    assert outcome.verdict is Verdict.DELIVERED
    assert receiver.requests[0].headers["X-Token"] == "swordfish"
    assert "sesame" not in repr(outcome)
    assert "swordfish" not in repr(outcome)
    assert "X-Token: ****" in outcome.details["exchanges"][0]["request"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(), st.text())
def test_hostile_text_changes_neither_address_nor_headers(receiver, message, name):
    payload = samples.load("git-push")
    payload["commits"][-1]["message"] = message
    payload["user"] = payload["repository"]["slug"] = name
    payload["service"] = {
        "url": receiver.url + "x?who=${user}",
        "body": '{"a": "${subject}", "b": "${user}"}',
        "headers": ["X-Own: 1"],
    }
    Post().handle(payload)
    request = receiver.requests[-1]
    assert parse_qs(request.path.partition("?")[2], keep_blank_values=True) == {"who": [name]}
    assert json.loads(request.body)["b"] == name
    assert {each.lower() for each in request.headers} == {
        *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length", "x-own")
    }
