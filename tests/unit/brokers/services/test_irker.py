from __future__ import annotations

import json

import jsonschema
import pytest

from brokers.config import Configuration, Entry
from brokers.delivery.outcome import Verdict
from brokers.services.irker import Irker
from payload import samples
from tests.support.failing_service import outcome_of
from tests.support.line_server import listening
from tests.support.ports import free_port

# irkerd(8), "DESCRIPTION": https://manpages.debian.org/irkerd(8), read as https://dokk.org/manpages/debian/11/irker/irkerd.8.en
REQUEST = {
    "type": "object",
    "required": ["to", "privmsg"],
    "additionalProperties": False,
    "properties": {
        "to": {"type": "array", "items": {"type": "string", "pattern": "^ircs?://"}, "minItems": 1},
        "privmsg": {"type": "string", "minLength": 1, "maxLength": 500},
    },
}


def settings(port, **more):
    return {
        "broker": "irker",
        "to": "irc://irc.example.org/builds, ircs://irc.example.org/qa",
        "host": "127.0.0.1",
        "port": str(port),
        **more,
    }


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_push_is_lines_of_json(transport):
    with listening(udp=transport == "udp") as server:
        outcome = outcome_of(settings(server.port, transport=transport))
        assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, f"sent 3 lines to 127.0.0.1:{server.port}")
        requests = [json.loads(line) for line in server.lines.wait(3, 5)]
    for request in requests:
        jsonschema.validate(request, REQUEST)
        assert request["to"] == ["irc://irc.example.org/builds", "ircs://irc.example.org/qa"]
    assert "Prüfungen ziehen um" in requests[2]["privmsg"]


@pytest.mark.parametrize("name", samples.names())
def test_each_kind_of_push_comes_to_something(name):
    with listening() as server:
        assert outcome_of(settings(server.port, **{"max-lines": "2"}), samples.load(name)).verdict == Verdict.DELIVERED
        assert 1 <= len(server.lines.all()) <= 2


def test_a_message_cannot_say_more_than_one_line():
    payload = samples.load("git-push")
    payload["commits"] = [
        {**payload["commits"][0], "message": '\r\nQUIT\n"}\n{"to": ["irc://evil.example/x"]', "branch": "a\r\nb"}
    ]
    payload["oberon"]["total_commits"] = 1
    with listening() as server:
        outcome_of(settings(server.port), payload)
        [line] = server.lines.all()
    assert json.loads(line)["privmsg"].isprintable()


def test_a_channel_s_key_is_not_shown():
    outcome = outcome_of(settings(free_port(), to="ircs://:topsecret@irc.example.org/x?key=sesame"))
    assert outcome.verdict == Verdict.RETRY
    assert "connection refused" in outcome.reason
    shown = json.dumps(outcome.details)
    assert "irc.example.org/x?key=****" in shown
    assert "topsecret" not in shown


@pytest.mark.parametrize("to", ["irc.example.org/x", "http://irc.example.org/x", "irc://irc.example.org", "irc:///x"])
def test_wrong_channels_are_named(to):
    [service] = Configuration.parse(Entry("it", key, value, "config") for key, value in settings(1, to=to).items()).services
    [problem] = Irker.settings_of(service)[1]
    assert "irc://irc.example.org/builds" in str(problem)


def test_the_endpoint():
    assert Irker().endpoint({}) == "localhost:6659"
    assert Irker().endpoint({"host": "irker.example.org", "port": 7000}) == "irker.example.org:7000"


@pytest.mark.parametrize(
    ("to", "secrets"),
    [
        ("irc://irc.example.org/x?sesame", ["sesame"]),
        ("irc://irc.example.org/#x?key=sesame", ["sesame"]),
        ("irc://irc.example.org/x?key=a", []),
    ],
)
def test_a_key_is_one_however_it_is_written(to, secrets):
    [service] = Configuration.parse(Entry("it", key, value, "config") for key, value in settings(1, to=to).items()).services
    assert Irker.secrets_of(service, {"to": [to]}) == secrets
