"""Real pushes through the installed git hook, to real servers."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from brokers.delivery import spool, statedir, wake
from brokers.delivery.bell import Bell
from brokers.testing import Receiver
from tests.support.command import MINDING_MODES
from tests.support.hooked import SCRIPTS, broker_folder, git_settings, link_hook
from tests.support.waiting import until

ZERO = "0" * 40


@pytest.fixture
def server(git_server, state_dir):
    server = git_server("team/app.git")
    link_hook(server)
    git_settings(server, state_dir)
    return server


def service(server, name, broker="post", **settings):
    server.config(f"service.{name}.broker", broker)
    for key, value in settings.items():
        server.config(f"service.{name}.{key}", value)


def marker_hook(server, tmp_path):
    """A post-update hook, which git runs after ours."""
    hook = server.path / "hooks" / "post-update"
    hook.write_text(f"#!/bin/sh\necho later hook ran\ntouch {tmp_path}/later\n")
    hook.chmod(0o755)


def commits(server, count):
    clone = server.clone()
    return clone, [clone.commit({f"file{number}": "x" * number}, message=f"change {number}") for number in range(1, count + 1)]


@pytest.fixture(params=["path", "ssh", "http"])
def push(request, ssh, git_http):
    """push(server, clone, ...) over each transport; `.user` is who the payload should name."""

    def over(server, clone, *refspecs, **options):
        if request.param == "ssh":
            return clone.push(*refspecs, url=ssh.url(server.path), env=ssh.env, **options)
        if request.param == "http":
            return clone.push(*refspecs, url=git_http(server), **options)
        return clone.push(*refspecs, **options)

    over.source = {"path": "local"}.get(request.param, request.param)
    return over


@pytest.mark.parametrize("mode", ["inline", "detached"])
def test_a_push_reaches_its_service(server, receiver, push, mode):
    server.config("oberon.mode", mode)
    service(server, "ci", url=receiver.url)
    clone, nodes = commits(server, 3)
    pushed = push(server, clone)
    assert pushed.returncode == 0
    (request,) = receiver.wait(1, 20)
    payload = request.payload()
    assert [commit["raw_node"] for commit in payload["commits"]] == nodes
    assert [commit["message"] for commit in payload["commits"]] == ["change 1", "change 2", "change 3"]
    assert [commit["size"] for commit in payload["commits"]] == [1, 2, 3]
    assert [commit["revision"] for commit in payload["commits"]] == [1, 2, 3]
    assert {commit["branch"] for commit in payload["commits"]} == {"main"}
    assert payload["repository"]["absolute_url"] == "/team/app/"
    assert payload["user"] == ("alice" if push.source == "http" else os.environ.get("USER", "root"))
    said = [line for line in pushed.stderr.splitlines() if "oberon" in line]
    assert [line.rstrip() for line in said] == ([] if mode == "detached" else ["remote: oberon: ci: delivered (200 OK)"])


def test_nothing_is_recorded_where_no_service_is_configured(server, state_dir):
    clone, _ = commits(server, 1)
    assert clone.push().returncode == 0
    assert not state_dir.exists()


ODD = {
    "raises": "warning: oberon: raises: RuntimeError: boom; it will be tried again",
    "exits": "warning: oberon: exits: SystemExit: 3; it will be tried again",
    "interrupts": "warning: oberon: interrupts: KeyboardInterrupt; it will be tried again",
    "hangs": "warning: oberon: hangs: timed out; it will be tried again",
    "prints": "oberon: prints: delivered",
    "empties": "oberon: empties: delivered",
    "never": "warning: oberon: never: no such channel",
    "nosuch": "warning: oberon: nosuch: there is no broker 'nosuch'; there are:",
}
"""A broker's name -> what the pusher hears of it."""


def test_inline_no_broker_can_harm_the_push(server, receiver, tmp_path, push):
    git_settings(server, tmp_path / "state", mode="inline", deadline="3s", brokerPath=str(broker_folder(tmp_path)))
    server.config("oberon.retry", "1h")
    for name in ODD:
        service(server, name, name)
    service(server, "good", url=receiver.url)
    marker_hook(server, tmp_path)
    clone, nodes = commits(server, 1)
    pushed = push(server, clone)
    assert pushed.returncode == 0
    assert server.node("main") == nodes[0]
    assert (tmp_path / "later").exists(), "the hooks after ours still run"
    lines = [line.removeprefix("remote: ").rstrip() for line in pushed.stderr.splitlines()]
    assert [said for said in ODD.values() if not any(line.startswith(said) for line in lines)] == [], pushed.stderr
    assert "oberon: good: delivered (200 OK)" in lines
    assert "printed by a broker" not in pushed.stderr
    assert "complained by a broker" not in pushed.stderr
    assert pushed.seconds < 3 + 3
    [request] = receiver.requests
    assert [commit["raw_node"] for commit in request.payload()["commits"]] == nodes, "nobody takes apart another's payload"


def test_inline_the_deadline_bounds_the_pusher_s_wait(server, tmp_path):
    git_settings(server, tmp_path / "state", mode="inline", deadline="1s", brokerPath=str(broker_folder(tmp_path)))
    for name in ("one", "two", "three"):
        service(server, name, "hangs")
    clone, _ = commits(server, 1)
    pushed = clone.push()
    assert pushed.stderr.count("timed out; it will be tried again") == 3
    assert pushed.seconds < 1 + 2


@pytest.mark.parametrize("mode", ["inline", "detached"])
def test_a_receiver_that_is_down_gets_the_push_when_it_is_back(server, push, mode):
    with Receiver() as first:
        port = first.port
    server.config("oberon.mode", mode)
    service(server, "ci", url=f"http://127.0.0.1:{port}/hook")
    clone, nodes = commits(server, 1)
    assert push(server, clone).returncode == 0
    time.sleep(0.5)
    with Receiver(port=port) as back:
        (request,) = back.wait(1, 20)
    assert [commit["raw_node"] for commit in request.payload()["commits"]] == nodes


@pytest.mark.parametrize("mode", ["inline", "detached"])
def test_a_state_directory_that_cannot_be_made_costs_the_record_not_the_push(server, receiver, tmp_path, push, mode):
    (tmp_path / "file").write_text("in the way")
    git_settings(server, tmp_path / "file" / "state", mode=mode)
    service(server, "ci", url=receiver.url)
    clone, _ = commits(server, 1)
    pushed = push(server, clone)
    assert pushed.returncode == 0
    assert len(receiver.wait(1, 20)) == 1
    (warning,) = [line.removeprefix("remote: ").rstrip() for line in pushed.stderr.splitlines() if "warning: " in line]
    assert warning == f"warning: oberon: cannot write to {tmp_path}/file/state: Not a directory; see `oberon doctor`"


def test_a_spool_that_may_not_be_written_is_delivered_around(server, receiver, state_dir, run):
    service(server, "ci", url=receiver.url)
    new = state_dir / "spool" / "new"
    new.mkdir(mode=0o500, parents=True)
    for beside in ("tmp", "bad"):
        (state_dir / "spool" / beside).mkdir()
    clone, nodes = commits(server, 1)
    pushed = run([*MINDING_MODES, "git", "push", "origin", "HEAD"], cwd=clone.path)
    (request,) = receiver.wait(1, 20)
    assert request.payload()["commits"][0]["raw_node"] == nodes[0]
    assert f"warning: oberon: cannot write to {state_dir}: Permission denied; see `oberon doctor`" in pushed.stderr


def test_what_can_neither_be_recorded_nor_delivered_is_told_in_one_line(server, tmp_path, push):
    (tmp_path / "file").write_text("in the way")
    git_settings(server, tmp_path / "file" / "state")
    for name in ("one", "two"):
        service(server, name, url="http://127.0.0.1:9/")
    clone, _ = commits(server, 1)
    pushed = push(server, clone)
    assert pushed.returncode == 0
    said = [line.removeprefix("remote: ").rstrip() for line in pushed.stderr.splitlines() if "oberon" in line]
    told = f"warning: oberon: cannot write to {tmp_path}/file/state: Not a directory; not delivered, and not kept: "
    assert said in ([told + "one, two; see `oberon doctor`"], [told + "two, one; see `oberon doctor`"])


def test_a_broken_setting_of_one_service_does_not_stop_the_others(server, receiver):
    service(server, "bad", url=receiver.url, ulr="x")
    service(server, "good", url=receiver.url)
    clone, _ = commits(server, 1)
    assert clone.push().returncode == 0
    receiver.wait(1, 20)
    time.sleep(0.5)
    assert len(receiver.requests) == 1


def test_a_service_that_was_mended_gets_what_it_missed(server, receiver):
    service(server, "ci", ulr=receiver.url)
    clone, nodes = commits(server, 1)
    clone.push()
    time.sleep(0.6)
    assert receiver.requests == []
    server.config("service.ci.ulr")
    server.config("service.ci.url", receiver.url)
    (request,) = receiver.wait(1, 20)
    assert request.payload()["commits"][0]["raw_node"] == nodes[0]


def test_detached_the_pusher_does_not_wait_for_the_receiver(git_server, state_dir, receiver, push):
    receiver.answer(delay_s=30)
    bare = git_server("bare/app.git")
    hooked = git_server("team/app.git")
    link_hook(hooked)
    git_settings(hooked, state_dir)
    service(hooked, "ci", url=receiver.url)
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    interpreter_s = time.monotonic() - began
    seconds = {}
    for server in (bare, hooked):
        clone, _ = commits(server, 1)
        push(server, clone)  # the first push of each starts its server, or the worker
        waits = []
        for number in range(3):
            clone.commit({f"more{number}": "x"})
            waits.append(push(server, clone).seconds)
        seconds[server] = min(waits)
        clone.path.rename(clone.path.with_name(f"{server.path.parent.name}-clone"))
    receiver.wait(1, 20)
    assert seconds[hooked] < seconds[bare] + 0.1 + 2 * interpreter_s


def test_several_refs_tags_and_deletes_are_told_in_one_payload(server, tmp_path):
    folder = broker_folder(
        tmp_path,
        "import json\nfrom brokers import BaseBroker\n\n\nclass Keep(BaseBroker):\n    def handle(self, payload):\n"
        "        with open(payload['service']['file'], 'a') as file:\n            file.write(json.dumps(payload) + '\\n')\n",
    )
    git_settings(server, tmp_path / "state", mode="inline", brokerPath=str(folder))
    service(server, "keep", "keep", file=str(tmp_path / "kept"))
    clone, nodes = commits(server, 2)
    clone.git("tag", "-a", "v1", "-m", "first release")
    clone.git("branch", "topic", nodes[0])
    clone.push("main", "topic", "v1", options=["--atomic"])
    clone.push(":topic")
    first, second = [json.loads(line) for line in (tmp_path / "kept").read_text().splitlines()]
    told = {ref["ref"]: (ref["kind"], ref["action"], ref["old"], ref["new"]) for ref in first["oberon"]["refs"]}
    assert told == {
        "refs/heads/main": ("branch", "create", None, nodes[1]),
        "refs/heads/topic": ("branch", "create", None, nodes[0]),
        "refs/tags/v1": ("tag", "create", None, clone.node("v1")),
    }
    assert [commit["raw_node"] for commit in first["commits"]] == nodes
    assert [(ref["ref"], ref["action"], ref["new"]) for ref in second["oberon"]["refs"]] == [("refs/heads/topic", "delete", None)]
    assert second["commits"] == []
    assert (first["oberon"]["sequence"], second["oberon"]["sequence"]) == (1, 2)


FORBIDDEN = {
    "dulwich", "mercurial", "requests", "urllib3", "urllib.request", "http.client", "ssl", "asyncio", "email", "sqlite3",
    "importlib.metadata", "dataclasses", "json", "re", "subprocess", "hashlib", "socket", "pathlib", "typing", "threading", "tempfile",
    "os", "stat", "__future__", "_json",
}  # fmt: skip


def test_the_detached_hook_imports_next_to_nothing(server, receiver, tmp_path):
    service(server, "ci", url=receiver.url)
    clone, _ = commits(server, 1)
    clone.push()
    receiver.wait(1, 20)  # a worker is awake
    hook = server.path / "hooks" / "post-receive"
    hook.unlink()
    hook.write_text(
        f"#!{sys.executable} -IS\nimport sys\nsys.path.append({wake.import_path()!r})\nfrom githooks.post_receive import main\nstatus = main()\n"
        f"after = sorted(sys.modules)\nopen({str(tmp_path / 'modules')!r}, 'w').write(chr(10).join(after))\nsys.exit(status)\n"
    )
    hook.chmod(0o755)
    clone.commit({"more": "x"})
    clone.push()
    receiver.wait(2, 20)
    loaded = set((tmp_path / "modules").read_text().split())
    assert loaded & FORBIDDEN == set()
    assert "githooks.post_receive" in loaded


@pytest.mark.parametrize("lines", [b"", b"\n\n", b"garbage\n", b"a b\n", b"\xff\xfe\n", (ZERO + " ").encode()])
def test_odd_input_is_no_error(server, lines, tmp_path):
    service(server, "ci", url="http://127.0.0.1:9/")
    done = subprocess.run([SCRIPTS / "oberon-post-receive"], cwd=server.path, input=lines, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_directory_that_is_no_repository_is_no_error(tmp_path):
    line = f"{ZERO} {'1' * 40} refs/heads/main\n".encode()
    done = subprocess.run([SCRIPTS / "oberon-post-receive"], cwd=tmp_path, input=line, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("fault", ["no git", "unreadable"])
def test_a_push_is_recorded_where_the_configuration_cannot_be_had(server, isolated, monkeypatch, fault):
    line = f"{ZERO} {'1' * 40} refs/heads/main\n".encode()
    if fault == "no git":
        monkeypatch.setenv("PATH", str(isolated))
    else:
        (server.path / "config").write_text("[oberon\n")
    default = isolated / "home" / ".local" / "state" / "oberon"
    statedir.prepare(str(default))
    with Bell(str(default)):  # a worker is, as far as the hook can see
        done = subprocess.run([SCRIPTS / "oberon-post-receive"], cwd=server.path, input=line, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"warning: oberon: ")
    [path] = spool.waiting(str(default))
    assert spool.load(path)["refs"] == [[ZERO, "1" * 40, "refs/heads/main"]]


def test_push_options_reach_the_payload_and_silence_a_push(server, receiver, tmp_path):
    server.config("receive.advertisePushOptions", "true")
    git_settings(server, tmp_path / "state", mode="inline")
    service(server, "ci", url=receiver.url)
    clone, _ = commits(server, 1)
    clone.push(options=["-o", "oberon.skip"])
    assert receiver.requests == []
    clone.commit({"more": "x"})
    clone.push(options=["-o", "ci.variable=1"])
    assert len(receiver.requests) == 1


def test_the_worker_holds_nothing_of_the_push(server, receiver, left_running):
    receiver.answer(delay_s=3)
    service(server, "ci", url=receiver.url)
    clone, _ = commits(server, 1)
    clone.push()
    receiver.wait(1, 20)
    (worker,) = [pid for pid in left_running() if b"run" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for number in (0, 1, 2):
        assert str(Path(f"/proc/{worker}/fd/{number}").readlink()) == os.devnull
    assert str(Path(f"/proc/{worker}/cwd").readlink()) == "/"
    assert os.getsid(worker) == worker
    names = {part.split(b"=")[0] for part in Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")}
    assert not [name for name in names if name.startswith(b"GIT_") and not name.startswith(b"GIT_CONFIG_")]


LINGERING = """
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from brokers import BaseBroker


class Joined(BaseBroker):
    def handle(self, payload):
        ThreadPoolExecutor(1).submit(time.sleep, 20)


class Child(BaseBroker):
    def handle(self, payload):
        subprocess.Popen(["sleep", "20"])
"""


@pytest.mark.parametrize("broker", ["joined", "child"])
def test_inline_what_a_broker_leaves_behind_does_not_hold_up_the_push(server, tmp_path, broker):
    git_settings(server, tmp_path / "state", mode="inline", brokerPath=str(broker_folder(tmp_path, LINGERING)))
    service(server, "lingering", broker)
    clone, _ = commits(server, 1)
    pushed = clone.push()
    assert "oberon: lingering: delivered" in pushed.stderr
    assert pushed.seconds < 10


def test_inline_a_failure_of_our_own_leaves_the_push_in_the_spool(server, state_dir, receiver, tmp_path):
    """As with a Python that has no sqlite3."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sqlite3.py").write_text("raise ImportError('no sqlite3 here')")
    server.config("oberon.mode", "inline")
    service(server, "ci", url=receiver.url)
    clone, nodes = commits(server, 1)
    pushed = clone.push(env={"PYTHONPATH": str(tmp_path / "broken")})
    assert pushed.returncode == 0
    assert "error: oberon: ImportError: no sqlite3 here" in pushed.stderr
    (request,) = receiver.wait(1, 20)
    assert request.payload()["commits"][0]["raw_node"] == nodes[0]


def test_inline_a_busy_outbox_does_not_hold_up_the_push(server, state_dir, receiver, tmp_path):
    git_settings(server, state_dir, mode="inline", deadline="3s")
    service(server, "ci", url=receiver.url)
    clone, _ = commits(server, 1)
    clone.push()
    connection = sqlite3.connect(state_dir / "outbox.sqlite3", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    clone.commit({"more": "x"})
    pushed = clone.push()
    connection.execute("ROLLBACK")
    connection.close()
    assert pushed.seconds < 3 + 2
    assert len(receiver.requests) == 2
    assert f"cannot write to {state_dir}: database is locked" in pushed.stderr
    until(lambda: not spool.waiting(str(state_dir)))  # a worker was started for the note that it was pushed
    assert len(receiver.requests) == 2


def test_inline_an_ordered_service_waits_for_the_push_before(server, state_dir, tmp_path):
    with Receiver() as first:
        port = first.port
    git_settings(server, state_dir, mode="inline", retry="2s, 2s, 2s, 2s")
    service(server, "ci", url=f"http://127.0.0.1:{port}/", ordered="true")
    clone, nodes = commits(server, 1)
    clone.push()
    with Receiver(port=port) as back:
        nodes.append(clone.commit({"more": "x"}))
        pushed = clone.push()
        assert "oberon: ci: waits for an earlier push" in pushed.stderr
        requests = back.wait(2, 30)
    assert [request.payload()["commits"][-1]["raw_node"] for request in requests] == nodes


def test_inline_what_a_killed_hook_left_is_delivered_after_the_next_push(server, state_dir, receiver, tmp_path):
    git_settings(server, state_dir, mode="inline", brokerPath=str(broker_folder(tmp_path, "import os\n" + DYING)))
    service(server, "dying", "dying", flag=str(tmp_path / "died"))
    clone, _ = commits(server, 1)
    assert clone.push().returncode == 0
    assert (tmp_path / "died").read_text() == "1"
    connection = sqlite3.connect(state_dir / "outbox.sqlite3")
    connection.execute("UPDATE delivery SET lease_until = 0")  # a minute later
    connection.commit()
    connection.close()
    service(server, "dying", "post", url=receiver.url)
    server.config("service.dying.flag")
    clone.commit({"more": "x"})
    clone.push()
    assert len(receiver.wait(2, 20)) == 2


DYING = """
from brokers import BaseBroker


class Dying(BaseBroker):
    def handle(self, payload):
        with open(payload["service"]["flag"], "a") as flag:
            flag.write("1")
        os._exit(9)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_an_interruption_does_not_lose_the_push(server, state_dir, number):
    service(server, "ci", url="http://127.0.0.1:9/")
    hook = subprocess.Popen([SCRIPTS / "oberon-post-receive"], cwd=server.path, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert hook.stdin is not None
    time.sleep(0.5)  # it waits for git's lines
    hook.send_signal(number)
    hook.stdin.write(f"{ZERO} {'1' * 40} refs/heads/main\n".encode())
    _, said = hook.communicate(timeout=20)
    assert (hook.returncode, said) == (0, b"")
    assert (state_dir / "outbox.sqlite3").exists() or list((state_dir / "spool" / "new").iterdir())


def test_a_relative_state_directory_counts_as_none(server, receiver, isolated):
    server.config("oberon.stateDir", "state-rel")
    service(server, "ci", url=receiver.url)
    clone, _ = commits(server, 1)
    clone.push()
    receiver.wait(1, 20)
    assert not (server.path / "state-rel").exists()
    assert (isolated / "home" / ".local" / "state" / "oberon" / "spool").is_dir()
