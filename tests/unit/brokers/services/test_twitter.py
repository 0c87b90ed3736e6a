from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qs, quote, unquote

import pytest

from brokers.delivery.outcome import Verdict
from brokers.errors import ConfigError
from brokers.render.status import x_length
from brokers.services.twitter import Twitter
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.service_rules import FORM, Rule, assert_obeyed

KEYS = {"consumer-key": "c0nsumer", "consumer-secret": "c0nsumerS", "token": "t0ken", "token-secret": "t0kenS"}
TEXT = {"type": "string", "minLength": 1}
TWEET = Rule(
    "https://docs.x.com/x-api/posts/manage-tweets/quickstart",
    "POST",
    "/2/tweets",
    headers={"Authorization": "OAuth .*oauth_signature=.*"},
    body={"type": "object", "properties": {"text": TEXT, "reply": {}, "quote_tweet_id": {}, "media": {}}, "required": ["text"]},
)
UPDATE = Rule(
    # The documentation stands at the head of the file.
    "https://github.com/foocorp/gnu-social/blob/master/actions/apistatusesupdate.php",
    "POST",
    "/api/statuses/update\\.json",
    headers={"Authorization": re.escape("Basic " + base64.b64encode(b"foo:bar12").decode())},
    content_type=FORM,
    body={
        "type": "object",
        "required": ["status"],
        "properties": {"status": {**TEXT, "maxLength": 140}, "source": TEXT, "lat": {}, "long": {}, "in_reply_to_status_id": {}},
    },
)


def x(receiver, **more):
    return {"broker": "twitter", "api": receiver.url, **KEYS, **more}


def social(receiver, **more):
    return {"broker": "twitter", "url": receiver.url + "api", "username": "foo", "password": "bar12", **more}


def signature_of(request, url):
    """By RFC 5849, 3.4, from the header's other parameters."""
    parameters = dict(re.findall(r'(oauth_\w+)="([^"]*)"', request.headers["Authorization"]))
    claimed = unquote(parameters.pop("oauth_signature"))
    normal = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    base = "&".join(quote(part, safe="") for part in ("POST", url, normal))
    made = hmac.digest(b"c0nsumerS&t0kenS", base.encode(), hashlib.sha1)
    return claimed, base64.b64encode(made).decode()


@pytest.mark.parametrize("name", samples.names())
def test_each_kind_of_push_is_one_post_on_x(receiver, name):
    receiver.answer(201, {}, b'{"data": {"id": "1445880548472328192", "text": "it"}}')
    outcome = outcome_of(x(receiver), samples.load(name))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "201 Created"), outcome.reason
    assert_obeyed(receiver.requests, [TWEET])
    assert x_length(json.loads(receiver.requests[0].body)["text"]) <= 280


def test_the_signature_is_right(receiver):
    outcome_of(x(receiver))
    claimed, made = signature_of(receiver.requests[0], receiver.url + "2/tweets")
    assert claimed == made


@pytest.mark.parametrize("name", samples.names())
def test_each_kind_of_push_is_one_notice_elsewhere(receiver, name):
    outcome = outcome_of(social(receiver), samples.load(name))
    assert outcome.verdict == Verdict.DELIVERED, outcome.reason
    assert_obeyed(receiver.requests, [UPDATE])


def test_the_original_example_is_said_as_it_was(receiver):
    outcome_of(social(receiver), samples.load("twitter-2008"))
    [said] = parse_qs(receiver.requests[0].body.decode())["status"]
    assert said.removeprefix("\u200b") == "jespern - e71c63bcc05e - adding bump button, issue #206 fixed"


def test_nothing_that_was_pushed_is_a_command(receiver):
    payload = samples.load("twitter-2008")
    payload["commits"][0] |= {"author": "sub ann", "message": "secret"}
    outcome_of(social(receiver), payload)
    [said] = parse_qs(receiver.requests[0].body.decode())["status"]
    assert said.startswith("\u200bsub ann")


@pytest.mark.parametrize("failure", FAILURES, ids=str)
@pytest.mark.parametrize("service", [x, social])
def test_failures(receiver, service, failure):
    assert_fails_so(failure, receiver, service(receiver))


def test_what_is_there_already_is_delivered(receiver):
    detail = b'{"detail": "You are not allowed to create a Tweet with duplicate content.", "title": "Forbidden", "status": 403}'
    receiver.answer(403, {"Content-Type": "application/problem+json"}, detail)
    outcome = outcome_of(x(receiver))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "403 Forbidden: it was there already")


def test_no_secret_is_shown(receiver):
    for settings in (x(receiver), social(receiver)):
        shown = json.dumps(outcome_of(settings).details)
        assert not {secret for secret in (*KEYS.values(), "bar12") if secret in shown}
        assert "POST /" in shown


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ({"username": "foo", "password": "bar"}, "X takes no user and password any more"),
        ({"consumer-key": "x"}, "it is not said where to post"),
    ],
)
def test_what_is_missing_is_told(service, told):
    with pytest.raises(ConfigError, match=f"{told}; set consumer-key"):
        Twitter().handle({**samples.load("twitter-2008"), "service": service})


def test_the_endpoint():
    assert Twitter().endpoint({"api": "https://api.x.com"}) == "api.x.com:443"
    assert Twitter().endpoint({"api": "https://api.x.com", "url": "https://social.example.org/api"}) == "social.example.org:443"
