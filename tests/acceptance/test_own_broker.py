"""brokers/README.md, done as a new user would do it; and its examples, run."""

import re
import time
from pathlib import Path

import pytest

from brokers import PermanentFailure, RetryLater, loader
from brokers.testing.conformance import checks
from brokers.testing.conformance.result import Verdict
from tests.support import transcript
from tests.support.ports import free_port

README = Path(__file__).parents[2] / "brokers/README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
FIVE_MINUTES_S = 300


def test_from_nothing_to_an_own_broker_that_tells_of_a_real_push(isolated):
    text = README.read_text("utf-8").replace("8010", str(free_port()))
    todo = transcript.steps(text, "own")
    assert len(todo) > 15
    began = time.monotonic()
    answers = transcript.run(todo, isolated / "home")
    assert time.monotonic() - began < FIVE_MINUTES_S
    different = [transcript.differs(step, answered) for step, answered in zip(todo, answers, strict=True)]
    assert not any(different), "\n\n".join(filter(None, different))


@pytest.fixture
def example(tmp_path):
    def load(name):
        [source] = [source for source in EXAMPLES if f"class {name}(" in source]
        file = tmp_path / f"{name.lower()}.py"
        file.write_text(source)
        return loader.load_file(str(file))[name.lower()]

    return load


@pytest.mark.parametrize("name", [re.findall(r"class (\w+)\(BaseBroker", source)[0] for source in EXAMPLES])
def test_an_example_declares_its_settings_and_takes_every_payload(example, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them writes a file
    broker = example(name)
    for check in (checks.fields, checks.payloads):
        result = check(broker, {})
        assert result.verdict is Verdict.PASS, result


@pytest.mark.parametrize(
    ("sample_payload", "note"),
    [
        ("git-delete", "branch feature/whistle: delete"),
        ("hg-bookmark", "bookmark tea-time: update"),
        ("alert", "2 deliveries to ci of /srv/git/team/kettle.git given up: HTTP 503 Service Unavailable"),
    ],
    indirect=["sample_payload"],
)
def test_the_gate_tells_of_what_brings_no_commits(example, sample_payload, note):
    assert example("Gate")().handle(sample_payload) == note


@pytest.mark.parametrize(
    ("body", "raised"),
    [(b'{"error": "no_such_room"}', PermanentFailure), (b'{"error": "busy"}', RetryLater)],
)
def test_the_rooms_say_whether_it_is_worth_another_try(example, sample_payload, receiver, body, raised):
    receiver.answer(body=body)
    sample_payload["service"] = {"url": receiver.url, "room": "builds", "token": "t0ken"}
    with pytest.raises(raised):
        example("Rooms")().handle(sample_payload)
    assert receiver.requests[0].headers["X-Token"] == "t0ken"


def test_the_tracker_keeps_its_session_for_its_thread(example, sample_payload, receiver):
    receiver.answer(headers={"Set-Cookie": "session=1"}, times=None)
    sample_payload["service"] = {"url": receiver.url}
    example("Tracker")().handle(sample_payload)
    assert [request.headers["Cookie"] for request in receiver.requests] == [None, "session=1"]
