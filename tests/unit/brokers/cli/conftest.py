"""The command in this process, a folder of broker files, and an outbox that real pushes have filled.

oberon_apart      the same in a process of its own, which minds the modes of files even if root runs the tests
oberon            oberon(*arguments) -> Ran: code, out, err, json()
broker_file       broker_file(name, source) -> the folder, for oberon.brokerPath
git_repo          a bare repository with one commit on main, its state directory, and record() / drain() -> Repo
kept              an outbox that is filled by hand: push(), tried(), switch_off(), break_open(), run_sql() -> Kept
woken             a list of the state directories whose worker was waked; none is started
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from brokers import loader
from brokers.cli.main import main
from brokers.cli.repository import find
from brokers.cli.sources import by_scm
from brokers.delivery import control, spool, statedir
from brokers.delivery.claims import NewDelivery
from brokers.delivery.outbox import Outbox
from brokers.delivery.outcome import Outcome, Verdict
from brokers.delivery.worker import Worker
from brokers.secrets import resolver
from payload import text
from payload.push import Event, RefUpdate
from tests.support.command import MINDING_MODES, run
from tests.support.git import ZERO, GitClone, GitServer


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def oberon(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*arguments: str | os.PathLike[str]) -> Ran:
        capsys.readouterr()
        code = main([os.fspath(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def oberon_apart() -> Callable[..., Ran]:
    """The same in a process of its own: Mercurial keeps the streams that were there when it was first imported."""

    def run_apart(*arguments: str | os.PathLike[str]) -> Ran:
        ran = run([*MINDING_MODES, sys.executable, "-m", "brokers.cli.main", *arguments], check=False)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return run_apart


@pytest.fixture
def broker_file(tmp_path: Path) -> Callable[[str, str], Path]:
    folder = tmp_path / "brokers"

    def write(name: str, source: str) -> Path:
        folder.mkdir(mode=0o755, exist_ok=True)
        file = folder / f"{name}.py"
        file.write_text("from brokers import *\nfrom brokers import BaseBroker, Field\n" + textwrap.dedent(source))
        file.chmod(0o644)
        loader.look_again()
        return folder

    return write


KEEPER = """
class Keeper(BaseBroker):
    def handle(self, payload):
        print("seen", payload["repository"]["name"])
        return "kept"
"""

BREAKER = """
class Breaker(BaseBroker):
    def handle(self, payload):
        raise PermanentFailure("it is broken for good")
"""


@dataclass(frozen=True)
class Repo:
    server: GitServer
    clone: GitClone
    state_dir: Path

    @property
    def path(self) -> str:
        return str(self.server.path)

    def record(self, old: str = ZERO, ref: str = "refs/heads/main", new: str | None = None) -> Event:
        """Put a push into the spool, as the hook does."""
        event = Event(
            id=spool.new_id(),
            scm="git",
            path=find(self.path).path,
            time=time.time(),
            login="ann",
            source="local",
            refs=(RefUpdate(ref, old, new or self.server.node("main")),),
        )
        statedir.prepare(str(self.state_dir))
        spool.write(str(self.state_dir), event.to_record())
        return event

    def drain(self) -> None:
        Worker(str(self.state_dir), by_scm(), resolver(os.environ)).run(drain=True)


@pytest.fixture
def git_repo(git_server: Callable[..., GitServer], broker_file: Callable[[str, str], Path], state_dir: Path) -> Repo:
    server = git_server("team/app.git")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"}, message="first\n")
    clone.push("HEAD:main")
    broker_file("keeper", KEEPER)
    server.config("oberon.brokerPath", str(broker_file("breaker", BREAKER)))
    server.config("oberon.stateDir", str(state_dir))
    server.config("service.good.broker", "keeper")
    return Repo(server, clone, state_dir)


@dataclass(frozen=True)
class Kept:
    state_dir: Path

    def push(self, *services: str | NewDelivery, path: str = "/srv/git/app.git") -> list[int]:
        """A push that was read, for these services; the numbers of its deliveries."""
        event = Event(spool.new_id(), "git", path, time.time(), "ann", "ssh", (RefUpdate("refs/heads/main", ZERO, "1" * 40),))
        new = [NewDelivery(each, "post", f"{each}.example.org:443") if isinstance(each, str) else each for each in services]
        with Outbox.open(str(self.state_dir), time.time) as outbox:
            claim = outbox.add_event(event, lease_s=60.0)
            assert claim is not None
            assert outbox.expand(claim, {"commits": []}, new) == []
            return [row["id"] for row in outbox.ask("deliveries_of", id=event.id)]

    def tried(self, *ends: Outcome | Verdict, again_s: float | None = 3600.0) -> None:
        """What is due longest was tried, and ended like this; what failed is tried again in `again_s` seconds."""
        with Outbox.open(str(self.state_dir), time.time) as outbox:
            for end in ends:
                claim = outbox.claim_delivery(60.0, 100)
                assert claim is not None
                outcome = end if isinstance(end, Outcome) else Outcome(end, duration_s=0.25)
                again = again_s is not None and outcome.verdict is Verdict.RETRY
                assert outbox.finish(claim, outcome, time.time() + again_s if again else None)

    def switch_off(self, service: str, repository: str | None = None, *, by: str = "admin", why: str = "gone (410)") -> None:
        """Of a repository, or all: by an admin, or by Oberon; since 1970."""
        with Outbox.open(str(self.state_dir), lambda: 1000.0) as outbox:
            control.disable(outbox, service, repository, why)
        self.run_sql("UPDATE service SET disabled_by = ? WHERE disabled_at = 1000", by)

    def break_open(self, endpoint: str, until: float = 4e9) -> None:
        """Five failures since 1970, and parked until 2096."""
        self.run_sql("INSERT INTO breaker VALUES (?, 5, 1000, ?, 2)", endpoint, until)
        self.run_sql("UPDATE delivery SET next_at = ? WHERE endpoint = ? AND state = 'waiting'", until, endpoint)

    def run_sql(self, statement: str, *parameters: Any) -> None:
        with Outbox.open(str(self.state_dir), time.time) as outbox, outbox.write():
            outbox._connection.execute(statement, [text.repair(each) if isinstance(each, str) else each for each in parameters])


@pytest.fixture
def kept(state_dir: Path) -> Kept:
    statedir.prepare(str(state_dir))
    return Kept(state_dir)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No worker is started: the test drains by itself."""
    calls: list[str] = []
    monkeypatch.setattr("brokers.delivery.wake.wake", lambda state_dir, environ: calls.append(state_dir) or "woken")
    return calls
