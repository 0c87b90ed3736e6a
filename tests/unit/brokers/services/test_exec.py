from __future__ import annotations

import json

import pytest

from brokers.config import Configuration, Entry
from brokers.delivery.attempt import attempt
from brokers.delivery.outcome import Verdict
from brokers.secrets import resolver
from brokers.services.exec import Exec
from payload import samples
from tests.support.failing_service import outcome_of


@pytest.fixture
def script(tmp_path):
    """script(what it does) -> the command that runs it"""

    def write(does: str) -> str:
        path = tmp_path / "a program"
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)
        return f"'{path}' 'my site' \\$HOME '' \"; touch ran\""

    return write


def test_the_program_learns_of_the_push(script, tmp_path):
    command = script('for argument; do echo "<$argument>"; done > arguments; env > environment; cat > stdin; pwd; echo more')
    settings = {"broker": "exec", "command": command, "directory": str(tmp_path)}
    outcome = outcome_of(settings, repository="/srv/git/kettle.git")
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, str(tmp_path))
    assert (tmp_path / "arguments").read_text().splitlines() == ["<my site>", "<$HOME>", "<>", "<; touch ran>"]
    sample = samples.load("git-push")
    del sample["broker"], sample["service"]
    assert json.loads((tmp_path / "stdin").read_bytes()) == sample
    variables = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    assert {name: value for name, value in variables.items() if name.startswith("OBERON_")} == {
        "OBERON_REPOSITORY": "/srv/git/kettle.git",
        "OBERON_REPOSITORY_NAME": "kettle",
        "OBERON_REPOSITORY_SLUG": "kettle",
        "OBERON_REPOSITORY_OWNER": "team",
        "OBERON_REPOSITORY_PATH": "team/kettle",
        "OBERON_REPOSITORY_SCM": "git",
        "OBERON_REPOSITORY_URL": sample["oberon"]["links"]["repository"],
        "OBERON_USER": "ada",
        "OBERON_COUNT": "2",
        "OBERON_BRANCH": "main",
        "OBERON_REF": "refs/heads/main",
        "OBERON_KIND": "branch",
        "OBERON_ACTION": "update",
        "OBERON_OLD": "7e3399d9b11fb743093ff6e81b371f85dc5f3dac",
        "OBERON_NEW": "a52e869ce8b9699205175451581a75a1eeb6a562",
        "OBERON_URL": sample["oberon"]["links"]["compare"],
        "OBERON_COMPARE": sample["oberon"]["links"]["compare"],
        "OBERON_SUBJECT": variables["OBERON_SUBJECT"],
        "OBERON_SUMMARY": variables["OBERON_SUMMARY"],
        "OBERON_EVENT": "4bf5122f344554c53bde2ebb8cd2b7e3",
        "OBERON_TIME": "2026-03-30T06:26:40.250+00:00",
    }
    assert "Prüfungen ziehen um" in variables["OBERON_SUMMARY"]


@pytest.mark.parametrize("name", samples.names())
def test_whatever_was_pushed(script, name):
    assert outcome_of({"broker": "exec", "command": script("exit")}, samples.load(name)).verdict is Verdict.DELIVERED


def test_hostile_text_is_only_text(script, tmp_path):
    payload = samples.load("git-push")
    payload["user"] = "a\0b\n\x1b[2J\ud800; touch ran"
    payload["commits"][0]["message"] = "$(touch ran)\0\ud800\n"
    command = script('printf %s "$OBERON_USER" > user; cat > stdin')
    outcome = outcome_of({"broker": "exec", "command": command, "directory": str(tmp_path)}, payload)
    assert outcome.verdict is Verdict.DELIVERED
    assert (tmp_path / "user").read_text() == "a\\x00b\\x0a\\x1b[2J�; touch ran"
    assert json.loads((tmp_path / "stdin").read_bytes())["commits"][0]["message"] == "$(touch ran)\0\ud800\n"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("does", "verdict", "reason"),
    [
        ("echo busy >&2; exit 75", Verdict.RETRY, "a program ended with status 75: busy"),
        ("exit 1", Verdict.RETRY, "a program ended with status 1"),
        ("echo bad; exit 65", Verdict.DEAD, "a program refused the payload for good: bad"),
        ("kill -SEGV $$", Verdict.RETRY, "a program was ended by SIGSEGV"),
    ],
)
def test_what_its_exit_status_means(script, does, verdict, reason):
    outcome = outcome_of({"broker": "exec", "command": script(does)})
    assert outcome.verdict is verdict
    assert outcome.reason.endswith(reason)


def test_it_has_its_time(script):
    outcome = outcome_of({"broker": "exec", "command": script("sleep 9")}, timeout_s=0.3)
    assert (outcome.verdict, outcome.slow_down) == (Verdict.RETRY, True)
    assert "had not finished after 0.3 s" in outcome.reason


def test_settings_stay_here(script, tmp_path):
    settings = {"broker": "exec", "command": script("env; cat"), "directory": str(tmp_path)}
    [exchange] = outcome_of(settings).details["exchanges"]
    assert "my site" not in exchange["response"]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("deploy", "absolute path"),
        ("", "absolute path"),
        ("/bin/sh -c 'echo", "close what is quoted"),
        ("bin/deploy now", "absolute path"),
    ],
)
def test_wrong_settings_are_named(command, problem):
    entries = {"broker": "exec", "command": command}
    [service] = Configuration.parse(Entry("it", key, value, "config") for key, value in entries.items()).services
    problems = Exec.settings_of(service)[1]
    assert problem in " ".join(map(str, problems))


def test_a_command_that_stands_elsewhere_is_not_kept(tmp_path):
    command = tmp_path / "command"
    command.write_text("/bin/echo --token  's3cret word' \"one's own\"\n")
    configuration = Configuration.parse(
        [Entry("it", "broker", "exec", "config"), Entry("it", "command", f"file:{command}", "config")]
    )
    push = {key: value for key, value in samples.load("git-push").items() if key not in ("broker", "service")}
    outcome = attempt(configuration.services[0], configuration, push, resolver({}))
    assert (outcome.verdict, outcome.note) == (Verdict.DELIVERED, "**** **** ****")
    assert outcome.details["exchanges"][0]["request"].startswith("/bin/echo **** **** ****\n")
