"""Fixtures for every test. A test has a home, settings, a zone and a temporary folder of its own, and loopback only.

isolated        (always on) see tests/support/isolation.py; what the test leaves running is ended after it
run             run(argv, cwd=, input=, env=, check=) -> Finished: stdout, stderr, returncode, seconds
git_server      git_server(name="repo.git", object_format="sha1") -> GitServer: .path .config() .git() .node() .clone() -> GitClone
hg_server       hg_server(name="repo") -> HgServer: .path .hgrc() .hg() .node() .clone() -> HgClone
ssh             Ssh: a stand-in for ssh: .env for git, .options for hg, .url(path) for both
git_http        git_http(server, user="alice") -> URL: git-http-backend under a CGI server
hg_http         hg_http(server) -> URL: `hg serve`
receiver        brokers.testing.Receiver, listening          mailbox     brokers.testing.Mailbox, listening
tls             Tls: .context for a server on 127.0.0.1 or localhost, .ca_bundle for its clients
state_dir       a path for the state; nothing is there yet   left_running()  numbers of the processes the test has started
"""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from brokers.delivery.statedir import SYSTEM_DIR
from brokers.testing import Mailbox, Receiver
from tests.support import command, isolation, processes, serving
from tests.support.git import GitServer
from tests.support.hg import HgServer

SSH_LIKE = Path(__file__).parent / "support" / "ssh-like"
REAL_STATE = Path.home() / ".local" / "state" / "oberon"

guard = isolation.NetworkGuard()

# Two busy processors make any deadline a coin toss.
hypothesis.settings.register_profile("oberon", deadline=None, print_blob=True)
hypothesis.settings.load_profile("oberon")


@pytest.fixture(scope="session", autouse=True)
def _untouched() -> Iterator[None]:
    """No connection leaves the machine; the real state directories end the session as they began it."""
    if os.access(SYSTEM_DIR, os.W_OK):
        pytest.exit(f"{SYSTEM_DIR} is there, and hooks under test would use it: run the tests as a user who may not write it", 2)
    guard.install()
    before = REAL_STATE.exists()
    yield
    assert REAL_STATE.exists() == before, f"a test made or removed {REAL_STATE}"


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's own home and settings; its folder."""
    wanted = isolation.environment(tmp_path, dict(os.environ))
    for name in os.environ.keys() - wanted.keys():
        monkeypatch.delenv(name)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)  # it remembers the first TMPDIR it saw
    time.tzset()
    guard.refused.clear()
    yield tmp_path
    processes.end(processes.below(tmp_path))
    if pool := sys.modules.get("brokers.transport.http_pool"):
        pool.close()
    monkeypatch.undo()
    time.tzset()
    assert not guard.refused, f"the test went for addresses outside this machine: {guard.refused}"


@pytest.fixture
def left_running(tmp_path: Path) -> Callable[[], list[int]]:
    """Numbers of the processes that name the test's folder, a worker's for example; they are ended after the test."""
    return lambda: processes.below(tmp_path)


@pytest.fixture
def run() -> Callable[..., command.Finished]:
    return command.run


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        yield server


@pytest.fixture
def git_server(tmp_path: Path) -> Callable[..., GitServer]:
    def make(name: str = "repo.git", **options: Any) -> GitServer:
        return GitServer(tmp_path / name, **options)

    return make


@pytest.fixture
def hg_server(tmp_path: Path) -> Callable[..., HgServer]:
    def make(name: str = "repo") -> HgServer:
        return HgServer(tmp_path / name)

    return make


@dataclass(frozen=True)
class Ssh:
    """What makes git and hg push through tests/support/ssh-like."""

    command: Path = SSH_LIKE

    @property
    def env(self) -> dict[str, str]:
        """For git: clone.push(url=ssh.url(server.path), env=ssh.env)."""
        return {"GIT_SSH_COMMAND": str(self.command)}

    @property
    def options(self) -> list[str]:
        """For hg: clone.push(ssh.url(server.path), options=ssh.options)."""
        return ["--config", f"ui.ssh={self.command}"]

    def url(self, path: Path) -> str:
        """An absolute path has two slashes in hg's eyes; git does not mind."""
        return f"ssh://host.example/{path}"


@pytest.fixture
def ssh() -> Ssh:
    return Ssh()


@pytest.fixture
def git_http() -> Iterator[Callable[..., str]]:
    with ExitStack() as stack:

        def serve(server: GitServer, user: str | None = "alice") -> str:
            root = stack.enter_context(serving.git_over_http(server.path.parent, user))
            return root + server.path.name

        yield serve


@pytest.fixture
def hg_http(tmp_path: Path) -> Iterator[Callable[[HgServer], str]]:
    with ExitStack() as stack:

        def serve(server: HgServer) -> str:
            return stack.enter_context(serving.hg_over_http(server.path, tmp_path / f"{server.path.name}-serve.log"))

        yield serve


@dataclass(frozen=True)
class Tls:
    """A certificate for 127.0.0.1 and localhost, and who vouches for it."""

    context: ssl.SSLContext
    ca_bundle: Path


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    bundle = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return Tls(context, bundle)
