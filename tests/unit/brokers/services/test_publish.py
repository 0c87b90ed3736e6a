from __future__ import annotations

import pytest

from brokers import loader
from brokers.base import BaseBroker
from brokers.config import Configuration, Entry
from brokers.errors import PermanentFailure
from brokers.render.template import values_of
from brokers.services.publish import Publish
from brokers.transport import publishing
from brokers.transport.call import Call, placing
from payload import samples


def problems_of(broker: type[BaseBroker], **settings: str) -> str:
    entries = {"broker": broker.name, **settings}
    [service] = Configuration.parse(Entry("it", key, value, "config") for key, value in entries.items()).services
    return " ".join(map(str, [*service.problems, *broker.settings_of(service)[1]]))


def test_it_is_found_under_its_name():
    assert loader.broker_class("publish") is Publish


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "the broker publish needs it"),
        ({"url": "http://ann:s3cret@mq.example.org"}, "begins with amqp:// or amqps:// or mqtt://"),
        ({"url": "amqp://mq.example.org:0"}, "write a port from 1 to 65535"),
        ({"url": "redis://mq.example.org", "topic": "${nothing}"}, "there is no ${nothing}"),
        ({"url": "kafka://mq.example.org", "mechanism": "GSSAPI"}, "write PLAIN or SCRAM-SHA-256 or SCRAM-SHA-512"),
    ],
)
def test_wrong_settings_are_named(settings, problem):
    told = problems_of(Publish, **settings)
    assert problem in told
    assert "s3cret" not in told


@pytest.mark.parametrize("scheme", publishing.PROTOCOLS)
def test_right_settings_have_no_problem(scheme):
    assert problems_of(Publish, url=f"{scheme}://mq.example.org") == ""


def test_only_the_library_of_its_protocol_is_asked_for(monkeypatch):
    class Elsewhere(Publish):
        @classmethod
        def required_with(cls, settings):
            return {f"no_{module}": extra for module, extra in super().required_with(settings).items()}

    assert "needs the Python module no_pika" in problems_of(Elsewhere, url="amqps://mq.example.org")
    assert "oberon-brokers[kafka]" in problems_of(Elsewhere, url="kafka+ssl://mq.example.org")
    assert problems_of(Elsewhere, url="nats://mq.example.org") == ""


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("amqps://ann:secret@mq.example.org/builds", "mq.example.org:5671"),
        ("mqtt://mq.example.org", "mq.example.org:1883"),
        ("tls://mq.example.org", "mq.example.org:4222"),
        ("redis://mq.example.org:7000/1", "mq.example.org:7000"),
        ("kafka+ssl://mq.example.org", "mq.example.org:9093"),
    ],
)
def test_the_endpoint(url, endpoint):
    assert Publish().endpoint({"url": url}) == endpoint
    assert Publish().endpoint({}) == ""


@pytest.mark.parametrize(
    ("scheme", "path", "branch"),
    [
        ("amqp", "team.my_app", "a_b_____e/f"),
        ("mqtt", "team/my.app", "a.b #_>\\x0ae_f"),
        ("nats", "team.my_app", "a_b_____e/f"),
        ("redis", "team:my.app", "a.b_#*>\\x0ae/f"),
        ("kafka", "team.my.app", "a.b_____x0ae_f"),
    ],
)
def test_no_name_adds_words_to_a_topic(scheme, path, branch):
    payload = samples.load("git-push")
    payload["repository"]["absolute_url"] = "/team/my.app/"
    payload["oberon"]["refs"][0]["name"] = "a.b #*>\ne/f"
    found = publishing.words(values_of(payload), publishing.PROTOCOLS[scheme])
    assert found["repository.path"] == path
    assert found["old"] == payload["oberon"]["refs"][0]["old"]
    assert found["branch"].isprintable()
    assert len(found["branch"]) >= len("a.b #*>\ne/f")
    assert not set(found["branch"]) & set(publishing.PROTOCOLS[scheme].separator) - {"."}


@pytest.mark.parametrize("scheme", publishing.PROTOCOLS)
def test_what_says_nothing_comes_to_a_word(scheme):
    values = values_of(samples.load("git-tag"))
    found = publishing.words({**values, "branch": None, "user": "", "repository.path": ""}, publishing.PROTOCOLS[scheme])
    assert (found["branch"], found["user"], found["repository.path"]) == ("_", "_", "_")


@pytest.mark.parametrize(
    ("scheme", "longest"), [("amqp", 255), ("kafka", 249), ("mqtt", 65_535), ("nats", 3072), ("redis", 65_535)]
)
def test_a_topic_that_is_too_long_is_tried_once(scheme, longest):
    payload = samples.load("git-push")
    payload["service"] = {"url": f"{scheme}://mq.example.org", "topic": "${branch}"}
    payload["oberon"]["refs"][0]["name"] = "b" * longest
    with placing(Call(dry_run=True)):
        Publish().handle(payload)
        payload["oberon"]["refs"][0]["name"] += "b"
        with pytest.raises(PermanentFailure, match="the topic has"):
            Publish().handle(payload)
