"""One push of 300 commits on 12 branches to every broker at once: each calls its service as often as its manual says, and no more.

A row is a service: its broker, what stands on the other side, the settings, how many calls are to come, and the sentence of the
manual that says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from brokers import loader
from brokers.cli import manual
from brokers.testing import Mailbox, Receiver
from tests.support import broker_page, buildbot_hooks, histories, line_server
from tests.support.git import GitServer
from tests.support.hooked import SCRIPTS, git_settings, link_hook
from tests.support.ports import free_port
from tests.support.waiting import until

BRANCHES = 12
COMMITS_EACH = 25
ISSUES = 30
"""The first commits of the push close one each."""


@dataclass(frozen=True)
class Peer:
    """What stands on the other side of one service."""

    url: str
    """Its address, or a path; what a row's settings call `{url}`."""
    calls: Callable[[], int]
    """How many calls it has had."""
    port: int = 0
    """What they call `{port}`."""


@contextmanager
def http(_folder: Path, answer: str = "{}") -> Iterator[Peer]:
    """A receiver that answers each request with that body; what only asks is no call."""
    with Receiver() as receiver:
        receiver.answer(200, body=answer.encode(), times=None)
        yield Peer(receiver.url, lambda: sum(request.method != "GET" for request in receiver.requests), receiver.port)


@contextmanager
def weblate(folder: Path) -> Iterator[Peer]:
    with http(folder, '{"message": "Update triggered"}') as peer:
        yield peer


@contextmanager
def mail(_folder: Path) -> Iterator[Peer]:
    with Mailbox() as mailbox:
        yield Peer(mailbox.host, lambda: len(mailbox.messages), mailbox.port)


@contextmanager
def lines(_folder: Path) -> Iterator[Peer]:
    with line_server.listening() as server:
        yield Peer("127.0.0.1", lambda: len(server.lines.all()), server.port)


@contextmanager
def buildbot(folder: Path) -> Iterator[Peer]:
    with buildbot_hooks.serving(folder / "changes") as hooks:
        yield Peer(hooks.url.removesuffix("/change_hook/"), lambda: len(hooks.changes()))


@contextmanager
def program(folder: Path) -> Iterator[Peer]:
    path, called = folder / "program", folder / "called"
    path.write_text(f"#!/bin/sh\ncat > /dev/null\necho called >> '{called}'\n")
    path.chmod(0o755)
    yield Peer(str(path), lambda: _lines(called))


@contextmanager
def repository(folder: Path) -> Iterator[Peer]:
    """A bare one, which counts how often it is pushed to."""
    server, called = GitServer(folder / "mirror.git"), folder / "pushed"
    hook = server.path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ncat > /dev/null\necho pushed >> '{called}'\n")
    hook.chmod(0o755)
    yield Peer(str(server.path), lambda: _lines(called))


@contextmanager
def stream(folder: Path) -> Iterator[Peer]:
    """A Redis of its own."""
    port = free_port()
    argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process, redis.Redis(port=port) as client:
        try:
            until(lambda: _answers(client))
            yield Peer(f"redis://127.0.0.1:{port}", lambda: client.xlen("pushes"))
        finally:
            process.terminate()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@dataclass(frozen=True)
class Row:
    """A service, and what is to come to it."""

    broker: str
    peer: Callable[[Path], Any]
    calls: int
    sentence: str
    """Of the broker's manual."""
    settings: Mapping[str, str] = field(default_factory=lambda: {"url": "{url}"})


MAIL = {"host": "{url}", "port": "{port}", "to": "dev@example.org"}
TOLD_ISSUES = 20
URL_AND_TOKEN = {"url": "{url}", "token": "s3cret-token"}

ROWS = {
    "post": Row("post", http, 1, "Sends each push to an address, as a form with one field"),
    "github": Row("post", http, BRANCHES, "send a `push` for each branch and tag that moved", {"url": "{url}", "format": "github"}),
    "gitea": Row("post", http, BRANCHES, "send a `push` for each branch and tag that moved", {"url": "{url}", "format": "gitea"}),
    "gitlab": Row("post", http, BRANCHES, "sends a Push Hook or Tag Push Hook for each", {"url": "{url}", "format": "gitlab"}),
    "json": Row("post", http, 1, "or `json`, all that Oberon knows of the push", {"url": "{url}", "format": "json"}),
    "mail": Row("email", mail, 1, "Mails each push", MAIL),
    "mails": Row("email", mail, 50, "Nobody gets more than `maxMails` of one push", {**MAIL, "each": "commit"}),
    "diffs": Row("emaildiff", mail, 1, "Mails each push with its diffs", MAIL),
    "chat": Row("chat", http, 1, "Tells a chat or push service of each push, in one message", {"url": "json://127.0.0.1:{port}/"}),
    "irc": Row(
        "irker", lines, 5, "up to Max-Lines in all",
        {"to": "irc://irc.example.org/builds", "host": "{url}", "port": "{port}"},
    ),
    "x": Row(
        "twitter", http, 1, "Posts a status for each push",
        {"api": "{url}", "consumer-key": "k3y", "consumer-secret": "s3cret", "token": "t0ken", "token-secret": "s3cret-t0ken"},
    ),
    "gnu-social": Row(
        "twitter", http, 1, "several by Summary, in one status", {"url": "{url}api", "username": "foo", "password": "s3cret"}
    ),
    "mastodon": Row("mastodon", http, 1, "several by Summary, in one status", URL_AND_TOKEN),
    "jenkins": Row("jenkins", http, BRANCHES, "It is one request for each branch that was pushed", URL_AND_TOKEN),
    "job": Row(
        "jenkins", http, BRANCHES, "It is one request for each branch that was pushed",
        {**URL_AND_TOKEN, "job": "deploy", "user": "oberon", "parameters": "BRANCH=${branch}"},
    ),
    "buildbot": Row("buildbot", buildbot, 100, "Of more than `max-changes` commits the newest are sent"),
    "buildbot-form": Row(
        "buildbot", http, 1, "With `dialect = bitbucket` it is one request for all of a push", {"url": "{url}", "dialect": "bitbucket"}
    ),
    "weblate": Row("weblate", weblate, BRANCHES, "It is one request for each branch that was pushed"),
    "readthedocs": Row("readthedocs", http, 1, "It is one request a push", URL_AND_TOKEN),
    "packagist": Row("packagist", http, 1, "It is one request a push, whatever moved", {**URL_AND_TOKEN, "user": "ada"}),
    # A comment and a closing for each.
    "issues": Row(
        "issues", http, 2 * TOLD_ISSUES, "push tells at most 20 issues", {**URL_AND_TOKEN, "kind": "gitea", "project": "team/kettle"}
    ),
    # Both in one request.
    "bugzilla": Row("bugzilla", http, TOLD_ISSUES, "each bug it names has its comment and its status", {"url": "{url}", "key": "s3cret-token"}),
    # Here it knows no transition.
    "jira": Row(
        "jira", http, TOLD_ISSUES, "One that the workflow does not offer where the issue is now is left out",
        {**URL_AND_TOKEN, "projects": "ABC"},
    ),
    "redmine": Row("redmine", http, TOLD_ISSUES, "each issue has its note and status", {**URL_AND_TOKEN, "closed-status": "5"}),
    "redmine-reads": Row("redmine", http, 1, "Has Redmine read a repository at once", {"url": "{url}", "key": "s3cret-token"}),
    "trac": Row(
        "trac", program, 1, "All revisions go into one call, of 1000 at most", {"program": "{url}", "environment": "/srv/trac"}
    ),
    "exec": Row("exec", program, 1, "Runs a program for each push.", {"command": "{url}"}),
    "mirror": Row("mirror", repository, 1, "Keeps another repository equal to this one"),
    "bus": Row("publish", stream, 1, "Publishes each push, as JSON, to a message broker", {"url": "{url}", "topic": "pushes"}),
}  # fmt: skip

NEEDS = {"bus": "redis-server"}
"""Row -> the program that it cannot do without; in CI it is there."""
HERE = {name: row for name, row in ROWS.items() if "CI" in os.environ or name not in NEEDS or shutil.which(NEEDS[name])}


def test_each_broker_is_called_as_often_as_its_manual_says(tmp_path, git_server, state_dir):
    server = git_server("team/app.git")
    link_hook(server)
    git_settings(server, state_dir, canonUrl="https://git.example.org", retry="1h")
    developer = _with_300_commits(git_server("developer.git"))
    with ExitStack() as peers:
        services = {}
        for name, row in HERE.items():
            folder = tmp_path / "peers" / name
            folder.mkdir(parents=True)
            services[name] = peers.enter_context(row.peer(folder))
        with (server.path / "config").open("a", encoding="utf-8") as config:
            config.writelines(_section(name, row, services[name]) for name, row in HERE.items())
        developer.git("push", "-q", server.path, "refs/heads/*:refs/heads/*")
        deliveries: list[dict[str, Any]] = []
        until(lambda: _ended(deliveries, server, state_dir), timeout_s=60)
        called = {name: service.calls() for name, service in services.items()}
    assert {each["service"]: (each["state"], each["reason"], each["attempts"]) for each in deliveries} == dict.fromkeys(
        HERE, ("delivered", "", 1)
    )
    assert called == {name: row.calls for name, row in HERE.items()}


@pytest.mark.parametrize("name", ROWS)
def test_the_manual_says_so(name):
    row = ROWS[name]
    assert row.sentence in " ".join(manual.about(loader.broker_class(row.broker)).split())


def test_each_broker_has_a_row():
    assert {row.broker for row in ROWS.values()} == set(broker_page.built_in())


def _with_300_commits(developer: GitServer) -> GitServer:
    plan = [
        histories.Planned(
            parents=(index - 1,) if index % COMMITS_EACH else (),
            time=histories.START_S + index,
            files={b"src/%d.txt" % index: ("100644", b"%d\n" % index)},
            message=_message(index),
        )
        for index in range(BRANCHES * COMMITS_EACH)
    ]
    nodes = histories.build(developer, plan)
    tips = {f"refs/heads/branch-{number:02}": nodes[(number + 1) * COMMITS_EACH - 1] for number in range(BRANCHES)}
    histories.point(developer, tips, age_s=None)
    return developer


def _message(index: int) -> bytes:
    fixes = b", fixes #%d, fixes ABC-%d" % (index + 1, index + 1) if index < ISSUES else b""
    return b"Change %d%s\n" % (index, fixes)


def _section(name: str, row: Row, peer: Peer) -> str:
    settings = {"broker": row.broker, **row.settings}
    filled = {key: value.replace("{url}", peer.url).replace("{port}", str(peer.port)) for key, value in settings.items()}
    return f'[service "{name}"]\n' + "".join(f"\t{key} = {json.dumps(value)}\n" for key, value in filled.items())


def _ended(deliveries: list[dict[str, Any]], server: GitServer, state_dir: Path) -> bool:
    """Whether all deliveries there are to be have ended, or failed; they are put into `deliveries`."""
    argv = [SCRIPTS / "oberon", "deliveries", "--json", "--state-dir", state_dir, "--repo", server.path]
    told = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    deliveries[:] = told["deliveries"]
    return len(deliveries) == len(HERE) and all(each["attempts"] and each["state"] != "leased" for each in deliveries)


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0
