from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from brokers.config import Configuration, Entry
from brokers.delivery.attempt import attempt
from brokers.delivery.outcome import Verdict
from brokers.services.chat import Chat
from payload import samples
from tests.support.failing_service import FAILURES, assert_fails_so, outcome_of
from tests.support.service_rules import FORM, Rule, assert_obeyed

TOKEN = "yobjmukpaw3r3urc5h6i369yima"
TEXT = {"type": "string", "minLength": 1}
MATTERMOST = Rule(
    "https://developers.mattermost.com/integrate/webhooks/incoming/",
    "POST",
    f"/hooks/{TOKEN}",
    body={
        "type": "object",
        "required": ["text"],
        "properties": {"text": {**TEXT, "maxLength": 4000}, "username": TEXT, "channel": TEXT, "icon_url": TEXT},
    },
)
ROCKET_CHAT = Rule(
    # Rocket.Chat's own page was not to be had; Symfony's bridge lists the fields that its webhooks take.
    "https://github.com/symfony/rocket-chat-notifier",
    "POST",
    "/hooks/8b3a1rEs9SnLgkgkm/u5pXsTbdGhrzj7wNq3xY",
    body={
        "type": "object",
        "required": ["text"],
        "properties": {"text": {**TEXT, "maxLength": 1000}, "channel": {"const": "#builds"}, "alias": TEXT, "avatar": TEXT},
    },
)
NTFY = Rule(
    "https://docs.ntfy.sh/publish/#publish-as-json",  # read in github.com/binwiederhier/ntfy, docs/publish.md
    "POST",
    "/",
    headers={"Authorization": "Bearer tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"},
    body={
        "type": "object",
        "required": ["topic"],
        "properties": {
            "topic": {"const": "builds"},
            "title": TEXT,
            "message": TEXT,
            "priority": {"enum": [1, 2, 3, 4, 5]},
            "markdown": {"type": "boolean"},
        },
    },
)
GOTIFY = Rule(
    "https://github.com/gotify/server/blob/master/docs/spec.json",
    "POST",
    "/message",
    headers={"X-Gotify-Key": "A1b2C3d4E5f6G7h"},
    body={
        "type": "object",
        "required": ["message"],
        "properties": {"title": TEXT, "message": TEXT, "priority": {"type": "integer"}, "extras": {"type": "object"}},
    },
)
JSON_OF_APPRISE = Rule(
    "https://github.com/caronc/apprise/blob/master/apprise/plugins/custom_json.py",
    "POST",
    "/hook",
    body={
        "type": "object",
        "required": ["version", "title", "message", "type"],
        "properties": {
            "version": {"const": "1.0"},
            "title": TEXT,
            "message": TEXT,
            "type": {"const": "info"},
            "attachments": {"maxItems": 0},
        },
    },
)
FORM_OF_APPRISE = Rule(
    "https://github.com/caronc/apprise/blob/master/apprise/plugins/custom_form.py",
    "POST",
    "/hook",
    content_type=FORM,
    body={
        "type": "object",
        "required": ["version", "title", "message", "type"],
        "properties": {"version": {"const": "1.0"}, "title": TEXT, "message": TEXT, "type": {"const": "info"}},
    },
)
SERVICES = {
    "mmost://127.0.0.1:{port}/" + TOKEN: MATTERMOST,
    "rocket://8b3a1rEs9SnLgkgkm/u5pXsTbdGhrzj7wNq3xY@127.0.0.1:{port}/#builds": ROCKET_CHAT,
    "ntfy://tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2@127.0.0.1:{port}/builds": NTFY,
    "gotify://127.0.0.1:{port}/A1b2C3d4E5f6G7h": GOTIFY,
    "json://127.0.0.1:{port}/hook": JSON_OF_APPRISE,
    "form://127.0.0.1:{port}/hook": FORM_OF_APPRISE,
}
ROOM = "/_matrix/client/v3/rooms/%21qporfwt%3Aexample.org"
# Read in matrix-spec, data/api/client-server/room_send.yaml.
SPECIFICATION = "https://spec.matrix.org/latest/client-server-api/"
BEARER = {"Authorization": "Bearer syt_dXNlcg_EcYGWbQqRzTn"}


def mattermost(receiver):
    return f"mmost://127.0.0.1:{receiver.port}/{TOKEN}"


def hostile_push():
    payload = samples.load("git-push")
    for commit in payload["commits"]:
        commit["message"] = "@channel <!here> [click](https://evil.example/) **b** \u202e\x1b[31m\ud800" * 100
    payload["user"] = "@everyone"
    return payload


def test_a_push_is_one_message_to_each_as_the_service_takes_it(receiver):
    outcome = outcome_of({"broker": "chat", "url": " ".join(SERVICES).format(port=receiver.port)}, hostile_push())
    assert (outcome.verdict, outcome.reason) == (Verdict.DELIVERED, "")
    assert outcome.note == "sent to Mattermost, Rocket.Chat, ntfy, Gotify, JSON, Form"
    assert_obeyed(receiver.requests, [*SERVICES.values()])
    for request in receiver.requests:
        said = unquote_plus(request.body.decode("ascii"))
        assert "2 commits" in said
        assert "\\u001b" not in said
        assert not re.search(r"@\w", said)
    shown = json.dumps(outcome.details["exchanges"])
    assert not {secret for secret in (TOKEN, "u5pXsTbdGhrzj7wNq3xY", "A1b2C3d4E5f6G7h", "tk_AgQd") if secret in shown}


def test_matrix_gets_it_in_its_room(receiver):
    answers = [(404, b"{}"), (200, b'{"user_id": "@bot:example.org"}'), (200, b'{"room_id": "!qporfwt:example.org"}'), (200, b'{"event_id": "$1"}')]  # fmt: skip
    for status, body in answers:
        receiver.answer(status, {"Content-Type": "application/json"}, body)
    address = f"matrix://:syt_dXNlcg_EcYGWbQqRzTn@127.0.0.1:{receiver.port}/!qporfwt:example.org?discovery=no"
    outcome = outcome_of({"broker": "chat", "url": address})
    sent = [request for request in receiver.requests if "/send/" in request.path]
    assert outcome.verdict == Verdict.DELIVERED, outcome
    rule = Rule(
        SPECIFICATION + "#put_matrixclientv3roomsroomidsendeventtypetxnid",
        "PUT",
        re.escape(ROOM) + r"/send/m\.room\.message/[^/]+",
        headers=BEARER,
        body={"type": "object", "required": ["msgtype", "body"], "properties": {"msgtype": {"const": "m.text"}, "body": TEXT}},
    )
    assert_obeyed(sent, [rule])
    assert "syt_dXNlcg" not in json.dumps(outcome.details)


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, {"broker": "chat", "url": mattermost(receiver) + "?optional=yes&retry=3"})
    assert len(receiver.requests) == 1


def test_an_answer_that_apprise_cannot_read_is_told(receiver):
    address = f"matrix://user:secret@127.0.0.1:{receiver.port}/#room?discovery=no"
    outcome = outcome_of({"broker": "chat", "url": address})
    assert outcome.verdict == Verdict.RETRY
    assert outcome.reason.startswith("Matrix: Invalid response from Matrix server")
    assert "secret" not in json.dumps(outcome.details)


def test_all_addresses_get_it_and_the_first_failure_counts(receiver):
    receiver.answer(404)
    urls = f"{mattermost(receiver)} json://127.0.0.1:{receiver.port}/hook"
    outcome = outcome_of({"broker": "chat", "url": urls})
    assert outcome.verdict == Verdict.RETRY
    assert "HTTP 404" in outcome.reason
    assert [request.path for request in receiver.requests] == [f"/hooks/{TOKEN}", "/hook"]


def test_a_service_may_be_where_it_is_allowed_to_only(receiver):
    urls = " ".join(f"{scheme}://localhost:{receiver.port}/x" for scheme in ("irc", "json"))
    outcome = outcome_of({"broker": "chat", "url": urls, "allowHosts": "external"})
    assert outcome.verdict == Verdict.DEAD
    assert "localhost (127.0.0.1): deliveries to this loopback address are not allowed" in outcome.reason
    assert receiver.requests == []


def test_it_ends_at_its_deadline(receiver):
    receiver.answer(200, delay_s=30)
    outcome = outcome_of({"broker": "chat", "url": mattermost(receiver), "timeout": "0.9s"})
    assert (outcome.verdict, outcome.slow_down) == (Verdict.RETRY, True)
    assert "timed out after" in outcome.reason
    assert outcome.duration_s < 2


def test_certificates_are_looked_at_whatever_the_address_says(receiver):
    outcome = outcome_of({"broker": "chat", "url": f"jsons://127.0.0.1:{receiver.port}/x?verify=no"})
    assert "let oberon.caBundle name the certificates" in outcome.reason
    assert receiver.requests == []


def test_the_environment_says_nothing(receiver, monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    (tmp_path / "home" / ".netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    assert outcome_of({"broker": "chat", "url": f"json://127.0.0.1:{receiver.port}/x"}).verdict == Verdict.DELIVERED
    assert receiver.requests[0].headers["Authorization"] is None


def test_the_proxy_is_oberon_s_own(receiver):
    entries = [("it", "broker", "chat"), ("it", "url", "json://chat.example.org/x"), (None, "proxy", receiver.url)]
    configuration = Configuration.parse(Entry(service, key, value, "config") for service, key, value in entries)
    common = {key: value for key, value in samples.load("git-push").items() if key not in ("broker", "service")}
    assert attempt(configuration.services[0], configuration, common, str).verdict == Verdict.DELIVERED
    assert receiver.requests[0].path == "http://chat.example.org/x"


def test_sixteen_at_once_do_not_mix(receiver):
    with ThreadPoolExecutor(16) as pool:
        outcomes = [
            *pool.map(
                lambda number: outcome_of({"broker": "chat", "url": f"json://127.0.0.1:{receiver.port}/{number}"}), range(16)
            )
        ]
    assert {outcome.verdict for outcome in outcomes} == {Verdict.DELIVERED}
    assert sorted(int(request.path[1:]) for request in receiver.requests) == [*range(16)]
    for number, outcome in enumerate(outcomes):
        assert outcome.details["exchanges"][-1]["request"].startswith(f"POST /{number} ")


def test_a_dry_run_shows_the_request_and_sends_nothing():
    settings = {"broker": "chat", "url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#builds"}
    outcome = outcome_of(settings, hostile_push(), dry_run=True)
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "would be sent to Slack")
    message, request = outcome.details["exchanges"]
    assert message["request"].startswith("Slack (slack)\n[team/kettle] 2 commits on main")
    assert request["request"].startswith("POST /services/****/****/**** HTTP/1.1\n")
    text = json.loads(request["request"].rpartition("\n\n")[2])["attachments"][0]["text"]
    assert "|a52e869ce8b9>" in text
    assert not re.search(r"@\w|<!|evil\.example/\||<@", text)


SHOWN = (
    "Slack",
    "Mattermost",
    "Rocket.Chat",
    "Discord",
    "Matrix",
    "Zulip",
    "Telegram",
    "Teams",
    "Google Chat",
    "ntfy",
    "Gotify",
    "IRC",
)
EXAMPLES = re.findall(
    r"^\| ([\w.]+(?: \w+)?) \| `(\w+://\S+)` ", (Path(__file__).parents[4] / "brokers/services/chat.md").read_text(), re.MULTILINE
)
PLUGINS = {name: name for name, _ in EXAMPLES} | {"Teams": "Power Automate / Workflows (for MSTeams)"}


def test_each_example_is_an_address_of_the_service_it_is_for():
    outcome = outcome_of({"broker": "chat", "url": " ".join(url for _, url in EXAMPLES)}, dry_run=True)
    assert outcome.reason == ""
    assert outcome.note == "would be sent to " + ", ".join(PLUGINS[name] for name, _ in EXAMPLES)
    assert tuple(name for name, _ in EXAMPLES) == SHOWN


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("chat.example.org", "apprise's addresses"),
        ("slack://", "apprise's addresses"),
        ("json://[::1/x", "apprise's addresses"),
        ("syslog://localhost", "of the machine"),
        ("json://a.example.org/ gnome://", "apprise's addresses"),
        ("json://a.example.org/ windows://x", "of the machine"),
    ],
)
def test_wrong_addresses_are_named_and_not_shown(url, problem):
    [service] = Configuration.parse([Entry("it", "broker", "chat", "config"), Entry("it", "url", url, "config")]).services
    [found] = Chat.settings_of(service)[1]
    assert problem in str(found)
    assert "example.org/ " not in str(found)


def test_what_apprise_does_not_take_is_told():
    outcome = outcome_of({"broker": "chat", "url": "slack://x"})
    assert outcome.verdict == Verdict.RETRY
    assert outcome.reason.startswith("apprise cannot use the address slack://...")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TI", "slack"),
        ("mmosts://bot@chat.example.org:8443/token", "chat.example.org:8443"),
        ("json://localhost/x", "localhost"),
        ("json://[::1]:8000/x", "[::1]:8000"),
        ("pbul://o.gn5kj6nfhv736I7jC3cj3QLRiyhgl98b", "pbul"),
        ("file:/etc/oberon/chat", ""),
        ("", ""),
    ],
)
def test_the_endpoint(url, place):
    assert Chat().endpoint({"url": url}) == place


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("pbul://o.gn5kj6nfhv736I7jC3cj3QLRiyhgl98b", "o.gn5kj6nfhv736I7jC3cj3QLRiyhgl98b"),
        ("gotifys://push.example.org/AqHbCzDWoExFyGg", "AqHbCzDWoExFyGg"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevifow", "TIiajkdnlazkcOXrIdevifow"),
    ],
)
def test_a_token_is_one_whatever_it_is_made_of(url, secret):
    [service] = Configuration.parse([Entry("it", "broker", "chat", "config"), Entry("it", "url", url, "config")]).services
    assert secret in Chat.secrets_of(service, {"url": url})


def test_names_are_none():
    url = "mmosts://bot@chat.example.org/town-square/Releases"
    [service] = Configuration.parse([Entry("it", "broker", "chat", "config"), Entry("it", "url", url, "config")]).services
    assert {*Chat.secrets_of(service, {"url": url})} == {url}
