"""Real pushes over a real sshd, git-http-backend and `hg serve`: whatever becomes of client and server, the push is delivered."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import serving
from tests.support.command import environment, run
from tests.support.hooked import SCRIPTS, git_settings, hg_settings, link_hook
from tests.support.sshd import PROGRAM, Sshd
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(
    not Path(PROGRAM).exists() and "CI" not in os.environ, reason="there is no sshd; it comes with openssh-server"
)

SLOW_S = 10.0


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    with Sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


@pytest.fixture
def sshd(listening, isolated):
    listening.take_environment()
    return listening


class GitSide:
    """A git repository with the hook, after the shell commands `before` in the same process, and a clone with a commit to be pushed."""

    def __init__(self, server, state_dir, url, before, **settings):
        self.server = server
        link_hook(server)
        if before:
            hook = server.path / "hooks" / "post-receive"
            hook.unlink()
            hook.write_text(f"#!/bin/sh\n{before}\nexec {SCRIPTS}/oberon-post-receive\n")
            hook.chmod(0o755)
        git_settings(server, state_dir, **settings)
        for key, value in {"broker": "post", "url": url}.items():
            server.config(f"service.ci.{key}", value)
        self.clone = server.clone()
        self.node = self.commit()

    def commit(self):
        return self.clone.commit({"file": f"{time.monotonic_ns()}"})

    def command(self, url, *options):
        return ["git", "push", "-q", *options, url, "HEAD"]


class HgSide:
    """The same for Mercurial; `before` is a hook of its own."""

    def __init__(self, server, state_dir, url, before, **settings):
        self.server = server
        if before:
            server.hgrc(f"[hooks]\nchangegroup.before = {before}")  # hooks run in the order of their lines
        hg_settings(server, state_dir, **settings)
        server.hgrc(f"[services]\nci.broker = post\nci.url = {url}")
        self.clone = server.clone()
        self.node = self.commit()

    def commit(self):
        return self.clone.commit({"file": f"{time.monotonic_ns()}"})

    def command(self, url, *options):
        return ["hg", "push", "-q", *options, url]


@pytest.fixture
def side(git_server, hg_server, state_dir, receiver, sshd):
    """side("git" or "hg", before="", **settings) -> GitSide or HgSide, whose service is the receiver."""

    def make(scm, before="", **settings):
        if scm == "git":
            return GitSide(git_server("team/app.git"), state_dir, receiver.url, before, **settings)
        with (Path.home() / ".hgrc").open("a") as hgrc:
            hgrc.write(f"[ui]\nssh = {sshd.command}\n")
        return HgSide(hg_server("tools"), state_dir, receiver.url, before, **settings)

    return make


@pytest.fixture
def served(sshd, git_http, hg_http):
    """served(side, "ssh" or "http") -> its URL"""

    def serve(pushing, over):
        if over == "ssh":
            return sshd.url(pushing.server.path)
        return git_http(pushing.server) if isinstance(pushing, GitSide) else hg_http(pushing.server)

    return serve


@pytest.fixture
def push(sshd):
    """push(side, URL, *options) -> Finished"""
    return lambda pushing, url, *options: run(
        pushing.command(url, *options), cwd=pushing.clone.path, env={"GIT_SSH_COMMAND": sshd.command}
    )


@pytest.fixture
def workers(left_running):
    """Numbers of the workers that hooks have started."""
    return lambda: [pid for pid in left_running() if b"--leave-when-idle" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def nodes(request):
    return [commit["raw_node"] for commit in request.payload()["commits"]]


# ---------------------------------------------------------------------------------------------------------------- the client


@pytest.mark.parametrize("over", ["ssh", "http"])
@pytest.mark.parametrize("scm", ["git", "hg"])
def test_a_client_that_is_killed_in_mid_hook_changes_nothing(side, served, sshd, receiver, scm, over, tmp_path):
    hold, begun = tmp_path / "hold", tmp_path / "begun"
    hold.touch()
    waiting = f"touch {begun}; while [ -e {hold} ]; do sleep 0.02; done"
    pushing = side(
        scm, f"{waiting}; for n in 1 2 3; do echo are you gone; echo are you gone >&2; sleep 0.05; done", verbose="true"
    )
    client = subprocess.Popen(
        pushing.command(served(pushing, over)),
        cwd=pushing.clone.path,
        env=environment({"GIT_SSH_COMMAND": sshd.command}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with client:
        until(begun.exists)
        os.killpg(client.pid, signal.SIGKILL)  # its ssh too
    hold.unlink()
    (request,) = receiver.wait(1, 20)
    assert nodes(request) == [pushing.node]
    time.sleep(0.3)
    assert len(receiver.requests) == 1


UNHEARD = """
import os


def hook(*_, **__):
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 2)
"""
"""For Mercurial: from this hook on, nobody reads stderr any more. Its stdout speaks with the client."""


@pytest.mark.parametrize(("scm", "mode"), [("git", "detached"), ("git", "inline"), ("hg", "inline")])
def test_a_hook_that_cannot_say_anything_delivers_and_leaves_no_traceback(side, served, push, receiver, tmp_path, scm, mode):
    (tmp_path / "unheard.py").write_text(UNHEARD)
    before = {"git": "exec >&- 2>&-", "hg": f"python:{tmp_path}/unheard.py:hook"}[scm]
    pushing = side(scm, before, mode=mode, verbose="true")
    pushed = push(pushing, served(pushing, "ssh"))
    (request,) = receiver.wait(1, 20)
    assert nodes(request) == [pushing.node]
    assert "Traceback" not in pushed.stderr
    assert "rror" not in pushed.stderr


# ---------------------------------------------------------------------------------------------------------------- the worker


@pytest.mark.parametrize("scm", ["git", "hg"])
def test_the_pusher_does_not_wait_and_a_worker_killed_with_its_session_is_made_up_for(
    side, served, push, receiver, state_dir, workers, scm
):
    receiver.answer(delay_s=SLOW_S)
    pushing = side(scm)
    pushed = push(pushing, served(pushing, "ssh"))
    assert pushed.seconds < SLOW_S / 2
    receiver.wait(1, 20)
    (worker,) = workers()
    os.kill(worker, signal.SIGKILL)  # as logind does with KillUserProcesses, or a service's end with its whole group
    receiver.answer(200)
    until(lambda: not Path(f"/proc/{worker}").exists())
    done = run([SCRIPTS / "oberon", "run", "--drain", "--state-dir", state_dir])
    assert "delivered 1, waiting 0, dead 0" in done.stdout
    assert [nodes(request) for request in receiver.requests] == [[pushing.node]] * 2


# ---------------------------------------------------------------------------------------------------------------- the server


def sockets_of(pid):
    found = [re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {int(match[1]) for match in found if match}


def test_a_web_server_comes_back_on_its_port_while_the_worker_works(side, push, receiver, workers, tmp_path):
    receiver.answer(delay_s=2)
    pushing = side("git", f"ls -l /proc/self/fd > {tmp_path}/descriptors")
    with serving.git_over_http(pushing.server.path.parent, "alice") as root:
        push(pushing, f"{root}app.git")
        receiver.wait(1, 20)
        (worker,) = workers()
        inherited = {int(found) for found in re.findall(r"socket:\[(\d+)\]", (tmp_path / "descriptors").read_text())}
        assert inherited, "the hook has the socket that the server listens on"
        assert sockets_of(worker).isdisjoint(inherited)
    with serving.git_over_http(pushing.server.path.parent, "alice", port=urlsplit(root).port) as again:
        assert again == root
        second = pushing.commit()
        push(pushing, f"{again}app.git")
        assert [nodes(request) for request in receiver.wait(2, 20)] == [[pushing.node], [second]]
    assert workers() == [worker]


def test_sshd_comes_back_on_its_port_while_the_worker_works(side, served, push, sshd, receiver, workers):
    receiver.answer(delay_s=2)
    pushing = side("git")
    url = served(pushing, "ssh")
    push(pushing, url)
    receiver.wait(1, 20)
    (worker,) = workers()
    assert sockets_of(worker).isdisjoint(sshd.sockets())
    sshd.restart()
    second = pushing.commit()
    push(pushing, url)
    assert [nodes(request) for request in receiver.wait(2, 20)] == [[pushing.node], [second]]
    assert workers() == [worker]
