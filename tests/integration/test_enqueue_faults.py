"""A hook's enqueue, with an error or a kill at each of its system calls: the push stands, and its event is whole or not there."""

import fcntl
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from brokers.cli.sources import by_scm
from brokers.delivery import spool, wake
from brokers.delivery.scheduler import Limits
from brokers.delivery.worker import Worker
from brokers.secrets import resolver
from tests.support import fault_injection, processes
from tests.support.command import Finished, run
from tests.support.fault_injection import UNCOUNTED, Call, Fault
from tests.support.git import GitClone, GitServer
from tests.support.hg import HgClone, HgServer
from tests.support.hooked import SCRIPTS, broker_folder, git_settings, hg_settings

pytestmark = fault_injection.needs_strace

ZERO = "0" * 40
HOOK = SCRIPTS / "oberon-post-receive"
KILL = "signal=KILL"
LAST = 3  # of the four calls that make an event: the directory is synced when it is there already

NOTING = """
from brokers import BaseBroker


class Note(BaseBroker):
    def handle(self, payload):
        with open(payload["service"]["file"], "a") as file:
            file.write(f"{payload['oberon']['event']} {payload['commits'][-1]['raw_node']}\\n")
"""


@dataclass
class Service:
    """One that notes each event it gets, and the state directory that its events pass."""

    state_dir: Path
    noted: Path
    folder: Path

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Within it, as if nothing had been pushed before; and a worker seems to run, so that hooks start none."""
        shutil.rmtree(self.state_dir, ignore_errors=True)
        self.noted.unlink(missing_ok=True)
        self.state_dir.mkdir(mode=0o700)
        with (self.state_dir / wake.LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
            processes.end(processes.below(self.folder))  # workers of hooks that could not see the lock

    def delivered(self) -> list[str]:
        """The newest node of each event that has been delivered, once a worker has done what there was to do."""
        Worker(str(self.state_dir), by_scm(), resolver({}), Limits()).run(drain=True)
        assert spool.waiting(str(self.state_dir)) == []
        assert list((self.state_dir / "spool" / "bad").iterdir()) == [], "a torn file reached the spool"
        events = [line.split() for line in self.noted.read_text().splitlines()] if self.noted.exists() else []
        assert len({event for event, _ in events}) == len(events), "delivered twice"
        return [node for _, node in events]


@pytest.fixture
def service(state_dir, tmp_path):
    return Service(state_dir, tmp_path / "noted", tmp_path)


class Pusher:
    """Pushes once, to a repository with Oberon's hook; strace(1) stands between."""

    def __init__(self, service: Service, log: Path) -> None:
        self.service = service
        self.log = log
        self.node = ""
        """What the last push brought."""

    def push(self, *faults: Fault) -> Finished:
        """As the pusher sees it; `faults` befall the process that the hook runs in."""
        raise NotImplementedError

    def calls(self) -> list[Call]:
        """Those of an enqueue into a state directory that is new. Each push makes the same ones."""
        for _ in range(2):  # the first may write bytecode
            finished = self.push()
            assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
        assert self.service.delivered() == [self.node]
        return fault_injection.calls(self.log, self.service.state_dir)

    def struck(self, *faults: Fault) -> Finished:
        """A push, all of `faults` having befallen calls of its enqueue."""
        finished = self.push(*faults)
        for fault in faults:
            assert fault.has_struck(self.log, self.service.state_dir), f"{fault} struck elsewhere:\n{self.log.read_text()}"
        return finished


class GitHook(Pusher):
    """The git hook alone, run as git runs it after a push."""

    def __init__(self, server: GitServer, clone: GitClone, service: Service, log: Path) -> None:
        super().__init__(service, log)
        self.server = server
        self.node = clone.commit({"a.txt": "one\n"})
        clone.push()

    def push(self, *faults: Fault) -> Finished:
        argv = fault_injection.command(self.log, [HOOK], *faults)
        with self.service.fresh():
            return run(argv, cwd=self.server.path, input=f"{ZERO} {self.node} refs/heads/main\n", env=UNCOUNTED, check=False)


class GitPush(Pusher):
    """`git push`."""

    def __init__(self, server: GitServer, clone: GitClone, service: Service, log: Path) -> None:
        super().__init__(service, log)
        self.server = server
        self.clone = clone

    def push(self, *faults: Fault) -> Finished:
        hook = self.server.path / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nexec {shlex.join(fault_injection.command(self.log, [HOOK], *faults))}\n")
        hook.chmod(0o755)
        self.node = self.clone.commit({"a.txt": f"after {self.node}\n"})
        with self.service.fresh():
            return self.clone.push(options=["-q"], env=UNCOUNTED, check=False)


class HgPush(Pusher):
    """`hg push` by path, whose process the hook runs in."""

    def __init__(self, server: HgServer, clone: HgClone, service: Service, log: Path) -> None:
        super().__init__(service, log)
        self.server = server
        self.clone = clone
        self.node = clone.commit({"a.txt": "one\n"})
        self.empty = server.path.with_name("empty")
        shutil.copytree(server.path, self.empty)

    def push(self, *faults: Fault) -> Finished:
        shutil.rmtree(self.server.path)
        shutil.copytree(self.empty, self.server.path)
        argv = fault_injection.command(self.log, ["hg", "push", "-q"], *faults)
        with self.service.fresh():
            return run(argv, cwd=self.clone.path, env=UNCOUNTED, check=False)


@pytest.fixture
def git(git_server, service, tmp_path):
    server = git_server("team/app.git")
    git_settings(server, service.state_dir, brokerPath=str(broker_folder(tmp_path, NOTING)))
    for key, value in {"broker": "note", "file": str(service.noted)}.items():
        server.config(f"service.own.{key}", value)
    return server


@pytest.fixture
def git_hook(git, service, tmp_path):
    return GitHook(git, git.clone(), service, tmp_path / "strace.log")


@pytest.fixture
def git_push(git, service, tmp_path):
    return GitPush(git, git.clone(), service, tmp_path / "strace.log")


@pytest.fixture
def hg_push(hg_server, service, tmp_path):
    server = hg_server()
    hg_settings(server, service.state_dir, brokerPath=str(broker_folder(tmp_path, NOTING)))
    server.hgrc(f"[services]\nown.broker = note\nown.file = {service.noted}")
    return HgPush(server, server.clone(), service, tmp_path / "strace.log")


def decisive(calls: list[Call]) -> list[Call]:
    """Those that make an event: from the write on, without what is opened and closed."""
    first = next(place for place, call in enumerate(calls) if call.name == "write")
    return [call for call in calls[first:] if call.name in {"write", "fsync", "rename"}]


def is_one_warning(finished: Finished) -> bool:
    said = (finished.stdout + finished.stderr).removeprefix("remote: ")
    return said.startswith(("warning: oberon: ", "warning: oberon recorded ")) and said.count("\n") == 1


def test_what_is_swept_over(git_hook):
    calls = git_hook.calls()
    assert [call.name for call in decisive(calls)] == ["write", "fsync", "rename", "fsync"]
    assert "mkdir" in {call.name for call in calls}


@pytest.mark.parametrize(("error", "names"), [("EIO", fault_injection.CALLS), ("ENOSPC", ("mkdir", "write", "fsync", "rename"))])
def test_an_error_at_any_call_of_the_git_hook_costs_the_push_a_line_at_most(git_hook, error, names):
    for call in git_hook.calls():
        if call.name not in names:
            continue
        finished = git_hook.struck(Fault.at(call, f"error={error}"))
        assert finished.returncode == 0, f"{call}\n{finished}"
        assert is_one_warning(finished) or finished.stdout + finished.stderr == "", f"{call}\n{finished}"
        assert git_hook.service.delivered() == [git_hook.node], call


def test_a_kill_at_any_call_of_the_git_hook_leaves_the_event_whole_or_not_there(git_hook):
    calls = git_hook.calls()
    delivered = []
    for call in calls:
        finished = git_hook.struck(Fault.at(call, KILL))
        assert (finished.returncode, finished.stderr) == (-signal.SIGKILL, "")
        delivered.append(git_hook.service.delivered())
    renamed = [call.name for call in calls].index("rename") + 1  # the call that it is killed at is not carried out
    assert delivered == [[]] * renamed + [[git_hook.node]] * (len(calls) - renamed)


def test_a_draft_that_cannot_be_removed_is_no_event(git_hook):
    write = decisive(git_hook.calls())[0]
    finished = git_hook.struck(Fault.at(write, "error=ENOSPC"), Fault("unlink", 1, "error=EIO"))
    assert finished.returncode == 0
    assert is_one_warning(finished)
    (draft,) = (git_hook.service.state_dir / "spool" / "tmp").iterdir()
    assert git_hook.service.delivered() == [git_hook.node]
    assert list(spool.sweep(str(git_hook.service.state_dir), time.time() + 2 * spool.STALE_S)) == [str(draft)]


@pytest.mark.parametrize("what", ["error=EIO", KILL])
def test_a_git_push_stands(git_push, what):
    for place, call in enumerate(decisive(git_push.calls())):
        finished = git_push.struck(Fault.at(call, what))
        assert finished.returncode == 0, f"{call}\n{finished}"
        assert git_push.server.node("main") == git_push.node
        told = (
            finished.stderr.startswith("error: ") and "signal 9" in finished.stderr if what == KILL else is_one_warning(finished)
        )
        assert told, f"{call}\n{finished}"
        is_there = what != KILL or place == LAST
        assert git_push.service.delivered() == ([git_push.node] if is_there else []), call


HG_ERRORS = {"mkdir": "error=EIO", "write": "error=ENOSPC", "fsync": "error=EIO", "rename": "error=ENOSPC"}
"""One for each call, as an hg push takes a second: what follows from each error at each call the git hook shows."""


def test_an_hg_push_stands_with_an_error_at_any_call(hg_push):
    calls = hg_push.calls()
    spool_made = [call for call in calls if call.name == "mkdir"][-1]
    for call in [spool_made, *decisive(calls)]:
        finished = hg_push.struck(Fault.at(call, HG_ERRORS[call.name]))
        assert finished.returncode == 0, f"{call}\n{finished}"
        assert is_one_warning(finished), f"{call}\n{finished}"
        assert hg_push.service.delivered() == [hg_push.node], call


def test_an_hg_push_that_is_killed_at_any_call_stands(hg_push):
    for place, call in enumerate(decisive(hg_push.calls())):
        finished = hg_push.struck(Fault.at(call, KILL))
        assert (finished.returncode, finished.stderr) == (-signal.SIGKILL, "")
        assert hg_push.server.node() == hg_push.node
        assert hg_push.service.delivered() == ([hg_push.node] if place == LAST else []), call
