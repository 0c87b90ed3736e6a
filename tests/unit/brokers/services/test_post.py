from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from brokers import loader
from brokers.config import Configuration, Entry
from brokers.errors import DeliveryFailed, ServiceGone
from brokers.services.post import Post
from brokers.transport.call import Call, placing
from payload import samples


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
        ({"url": "https://ci.example.org", "method": "PUT"}, "service.ci.method"),
    ],
)
def test_wrong_settings_are_named(entries, problem):
    parsed = Configuration.parse(Entry("ci", key, value, "config") for key, value in {"broker": "post", **entries}.items())
    _, problems = Post.settings_of(parsed.services[0])
    assert len(problems) == 1
    assert problem in str(problems[0])
