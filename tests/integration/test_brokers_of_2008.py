"""Brokers as they were written in 2008, unchanged, in a `brokerPath`: real pushes, the real hook, the real worker, real servers."""

from __future__ import annotations

import base64
import json
import time
import xmlrpc.client
from urllib.parse import parse_qs

import pytest

from brokers.delivery import record
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import State
from brokers.testing import Receiver
from tests.support import brokers_of_2008
from tests.support.hooked import SCRIPTS, broker_folder, git_settings, link_hook
from tests.support.waiting import until

LOGIN = "Basic " + base64.b64encode(b"ann:s3cret").decode()
ASKING = {"WWW-Authenticate": 'Basic realm="Staff only"'}
MESSAGE = "fixed #4711 in grün & rot <b>\n"


@pytest.fixture
def server(git_server, state_dir, tmp_path):
    server = git_server("team/app.git")
    folder = broker_folder(tmp_path, brokers_of_2008.POST)
    for name, source in brokers_of_2008.ALL.items():
        (folder / f"{name}.py").write_text(source)
        (folder / f"{name}.py").chmod(0o644)
    (folder / "own.py").unlink()
    git_settings(server, state_dir, brokerPath=str(folder), owner="team")
    link_hook(server)
    return server


def push(server, message=MESSAGE):
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n", "b.txt": "two\n"}, message=message, author="Ann Grün <ann@example.org>")
    return node, clone.push()


def service(server, name, url, **settings):
    for key, value in {"broker": name, "url": url, **settings}.items():
        server.config(f"service.{name}.{key}", value)


def outcomes(state_dir):
    """service -> (state, reason), of those whose attempt has ended."""
    with Outbox.open(str(state_dir), time.time) as outbox:
        found = record.deliveries(outbox)
    return {one.service: (one.state, one.reason) for one in found if one.attempts and one.state != State.LEASED}


def test_each_broker_of_2008_delivers_a_real_push(server, state_dir):
    with Receiver() as form, Receiver() as twitter, Receiver() as cia, Receiver() as tracker, Receiver() as community:
        for asking in (twitter, community):
            asking.answer(401, ASKING)
        cia.answer(body=xmlrpc.client.dumps((True,), methodresponse=True).encode())
        tracker.answer(body=json.dumps({"id": 99}).encode())
        tracker.answer(headers={"X-Saved": "yes"})
        service(server, "post", form.url + "hook")
        service(server, "twitter", twitter.url + "statuses/update.xml", username="ann", password="s3cret")
        service(server, "cia", cia.url + "RPC2", project="app")
        service(server, "tracker", tracker.url, username="ann", password="s3cret")
        service(server, "community", community.url + "x", username="ann", password="s3cret")
        node, pushed = push(server)
        assert pushed.returncode == 0
        until(lambda: len(outcomes(state_dir)) == 5)
        assert outcomes(state_dir) == dict.fromkeys(brokers_of_2008.ALL, ("delivered", ""))

        [request] = form.requests
        assert (request.method, request.path) == ("POST", "/hook")
        assert request.headers["User-Agent"] == "Bitbucket.org"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        payload = request.payload()
        assert not {"broker", "service"} & payload.keys()
        assert payload["repository"]["absolute_url"] == "/team/app/"
        assert [(commit["raw_node"], commit["message"]) for commit in payload["commits"]] == [(node, MESSAGE)]

        first, second = twitter.requests
        assert (first.headers["Authorization"], second.headers["Authorization"]) == (None, LOGIN)
        assert first.body == second.body
        assert parse_qs(second.body.decode()) == {
            "status": ["Ann Grün: fixed #4711 in grün & rot <b>\n"],
            "source": ["bitbucket"],
        }

        [call] = cia.requests
        (message,), method = xmlrpc.client.loads(call.body)
        assert method == "hub.deliver"
        assert "<author>Ann Grün</author><files><file>a.txt</file><file>b.txt</file></files>" in message
        assert "<log>fixed #4711 in grün &amp; rot &lt;b&gt;\n</log>" in message

        asked, saved = tracker.requests
        assert [(one.method, one.path, one.headers["Authorization"]) for one in (asked, saved)] == [
            ("GET", "/issues/4711", LOGIN), ("PUT", "/issues/4711", LOGIN),
        ]  # fmt: skip
        assert json.loads(saved.body) == {"issue": 99, "text": f"[{node[:12]}] {MESSAGE}"}

        refused, taken = community.requests
        assert (refused.headers["Authorization"], taken.headers["Authorization"]) == (None, LOGIN)
        assert (taken.path, taken.headers["User-Agent"]) == ("/x/api/messages.json", "bitbucket.org")
        assert parse_qs(taken.body.decode()) == {"message[body]": ["added 2"]}


def test_a_refused_post_of_2008_is_no_success_and_is_tried_again(server, state_dir, receiver):
    receiver.answer(500, body=b"no room")
    service(server, "post", receiver.url)
    push(server)
    first, second = receiver.wait(2)
    assert first.body == second.body
    until(lambda: outcomes(state_dir) == {"post": ("delivered", "")})


def test_a_file_in_python_2s_syntax_is_told_by_line_and_remedy(run, tmp_path):
    source = (
        "from brokers import BaseBroker\nclass Printing(BaseBroker):\n    def handle(self, payload):\n        print payload\n"
    )
    folder = broker_folder(tmp_path, source)
    told = run([SCRIPTS / "oberon", "brokers", "--path", folder], check=False)
    assert "own.py" in told.stdout + told.stderr
    assert "line 4: `print payload`: write print(...)" in " ".join((told.stdout + told.stderr).split())
