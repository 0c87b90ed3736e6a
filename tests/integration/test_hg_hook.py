"""Real pushes to real Mercurial repositories with the hook in place: what the pusher sees, and what is on disk after it."""

from __future__ import annotations

import getpass
import json
import os
import re
import time
from pathlib import Path

import pytest

from brokers.delivery import statedir
from tests.support import processes, serving
from tests.support.hg_hooked import events, noted

HOOK = "[hooks]\nchangegroup.oberon = python:hghooks.changegroup.hook\n"
WITNESS = "changegroup.zz_witness = echo the-next-hook-ran\n"


@pytest.fixture
def server(hg_server, state_dir):
    """Its worker can never start (the lock is held), so that events stay in the spool to be looked at."""
    server = hg_server()
    server.hgrc(f"{HOOK}{WITNESS}[oberon]\nstateDir = {state_dir}\n")
    return server


@pytest.fixture(autouse=True)
def no_worker(state_dir):
    import fcntl

    state_dir.mkdir(mode=0o700)
    with (state_dir / "worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def lines(finished) -> list[str]:
    """What the pusher saw of the server's hooks; by path what comes on stderr stands last."""
    text = finished.stdout + finished.stderr
    return [
        line.removeprefix("remote: ")
        for line in text.splitlines()
        if re.search("oberon|hook", line) and not line.startswith("pushing to ")
    ]


@pytest.fixture(params=["path", "ssh", "http"])
def push(request, server, ssh, hg_http):
    """push(clone, options) over one transport; `hg serve` is started by it, for it reads its hgrc once."""

    def push(clone, options=(), **more):
        if request.param == "path":
            return clone.push(options=options, **more)
        if request.param == "ssh":
            return clone.push(ssh.url(server.path), options=[*ssh.options, *options], **more)
        return clone.push(hg_http(server), options=options, **more)

    return push


def transport_of(push_request) -> str:
    return {"path": "local"}.get(push_request, push_request)


def test_a_push_is_written_down_and_the_pusher_hears_nothing(server, push, state_dir, request):
    clone = server.clone()
    first = clone.commit({"a.txt": "one\n"})
    last = clone.commit({"a.txt": "two\n"})
    before = time.time()
    pushed = push(clone)
    assert lines(pushed) == ["the-next-hook-ran"]
    [event] = events(state_dir)
    assert (event.scm, event.path, event.first, event.last) == ("hg", str(server.path), first, last)
    assert event.login == getpass.getuser()
    assert event.source == transport_of(request.node.callspec.params["push"])
    assert before <= event.time <= time.time()
    assert (event.refs, event.options) == ((), ())


def test_the_hook_leaves_no_mark_on_the_repository(server, push, state_dir):
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    push(clone)
    assert server.hg("verify", "-q") == ""
    assert not (server.path / ".hg" / "oberon").exists()


def test_verbose_tells_the_event(server, push, state_dir):
    server.hgrc("[oberon]\nVERBOSE = yes\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = push(clone)
    [event] = events(state_dir)
    assert f"oberon: recorded this push as {event.id}" in lines(pushed)


def test_pushvars_reach_the_event(server, push, state_dir):
    server.hgrc("[push]\npushvars.server = yes\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    push(clone, ["--pushvars", "REASON=a b=c", "--pushvars", "ticket=ü"])
    [event] = events(state_dir)
    assert sorted(event.options) == ["REASON=a b=c", "TICKET=ü"]


@pytest.mark.parametrize(("value", "silenced"), [("1", True), ("please", True), ("0", False), ("", False)])
def test_oberon_skip_silences_a_push(server, state_dir, value, silenced):
    statedir.prepare(str(state_dir))
    server.hgrc("[push]\npushvars.server = yes\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = clone.push(options=["--pushvars", f"OBERON_SKIP={value}"])
    assert lines(pushed) == ["the-next-hook-ran"]
    assert (len(events(state_dir)), len(noted(state_dir))) == ((0, 1) if silenced else (1, 0))


def test_pushvars_are_the_servers_to_allow(server, state_dir):
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    clone.push(options=["--pushvars", "OBERON_SKIP=1"])
    assert len(events(state_dir)) == 1


# ------------------------------------------------------------------------------------------------------------ sources


def test_stripping_below_others_is_no_push(server, state_dir):
    """hg strip takes all above away and adds it again, through a changegroup of source `strip`."""
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    strip_me = clone.commit({"b.txt": "one\n"})
    clone.hg("update", "-q", "0")
    clone.commit({"c.txt": "one\n"})
    clone.push(options=["--force"])
    assert len(events(state_dir)) == 1
    server.hg("--config", "extensions.strip=", "debugstrip", "--no-backup", strip_me)
    assert len(events(state_dir)) == 1


@pytest.mark.parametrize(("configured", "expected"), [("", 0), ("[oberon]\nsources = serve, push unbundle\n", 1)])
def test_other_sources_count_when_configured(server, state_dir, tmp_path, configured, expected):
    statedir.prepare(str(state_dir))
    server.hgrc(configured)
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    clone.hg("bundle", "-q", "--all", str(tmp_path / "x.hg"))
    server.hg("unbundle", "-q", str(tmp_path / "x.hg"))
    assert (len(events(state_dir)), len(noted(state_dir))) == (expected, 1 - expected)


def test_who_only_pulls_gets_no_spool(server, state_dir, tmp_path):
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    server.hg("pull", "-q", str(clone.path))
    assert server.node() == clone.node()
    assert [path.name for path in state_dir.iterdir()] == ["worker.lock"]


def test_a_push_without_changesets_runs_no_hook(server, state_dir):
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    clone.push()
    pushed = clone.push(check=False)
    assert pushed.returncode == 1
    assert len(events(state_dir)) == 1


# ------------------------------------------------------------------------------------------------------- who is pushing


def test_remote_user_of_an_ssh_key(server, ssh, state_dir):
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    secrets = {"AWS_SECRET_ACCESS_KEY": "hunter2", "HEPTAPOD_TOKEN": "hunter3"}
    clone.push(ssh.url(server.path), options=ssh.options, env={"REMOTE_USER": "jörg", **secrets})
    [event] = events(state_dir)
    assert event.environment["REMOTE_USER"] == "jörg"
    assert event.environment["HG_URL"] == "remote:ssh:127.0.0.1"
    assert "hunter" not in json.dumps(event.to_record())


def test_of_a_forges_json_only_names_are_kept(server, state_dir):
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    extras = {"username": "ann", "repository": "team/app", "ip": "192.0.2.1", "config": "/etc/k.ini", "token": "hunter2"}
    clone.push(env={"KALLITHEA_EXTRAS": json.dumps(extras)})
    [event] = events(state_dir)
    assert json.loads(event.environment["KALLITHEA_EXTRAS"]) == {"username": "ann", "repository": "team/app"}


# ----------------------------------------------------------------------------------------- the push is never harmed


def test_a_spool_that_cannot_be_written_is_one_warning(server, push, state_dir, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a directory should be")
    server.hgrc(f"[oberon]\nstateDir = {blocked}/state\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = push(clone)
    [warning] = [line for line in lines(pushed) if "oberon" in line]
    assert warning.startswith("warning:")
    assert f"{blocked}/state" in warning
    assert "`oberon doctor`" in warning
    assert "the-next-hook-ran" in lines(pushed)
    assert server.node() == clone.node()


RAISING = """\
import hghooks.{module}
def explode(*arguments, **named):
    raise {error}
hghooks.{module}.{name} = explode
"""


@pytest.mark.parametrize("error", ["SystemExit(3)", "KeyboardInterrupt()", "GeneratorExit()", "ValueError('no\\x1b[31m')"])
def test_whatever_is_raised_within_the_push_succeeds(server, push, state_dir, tmp_path, error):
    """An extension of the test's stands in for a fault of ours."""
    extension = tmp_path / "sabotage.py"
    extension.write_text(RAISING.format(module="facts", name="record", error=error))
    server.hgrc(f"[extensions]\nsabotage = {extension}\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = push(clone)
    assert pushed.returncode == 0
    assert server.node() == clone.node()
    seen = lines(pushed)
    assert "the-next-hook-ran" in seen
    [told] = [line for line in seen if "oberon" in line]
    assert told.startswith(f"error: oberon: {error.split('(')[0]}")
    assert "\x1b" not in told


@pytest.mark.parametrize("error", ["SystemExit(3)", "KeyboardInterrupt()"])
def test_an_interruption_while_writing_loses_nothing(server, state_dir, tmp_path, error):
    extension = tmp_path / "sabotage.py"
    extension.write_text(
        "from brokers.delivery import spool\n"
        "whole = spool.write\n"
        "def write(*arguments):\n"
        "    spool.write = whole\n"
        f"    raise {error}\n"
        "spool.write = write\n"
    )
    server.hgrc(f"[extensions]\nsabotage = {extension}\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = clone.push()
    assert lines(pushed) == ["the-next-hook-ran"]
    assert len(events(state_dir)) == 1


@pytest.mark.parametrize("module", ["brokers/__init__.py", "payload/text.py", "hghooks/facts.py", "brokers/delivery/spool.py"])
def test_a_broken_installation_fails_no_push(hg_server, ssh, state_dir, tmp_path, module):
    """Any module but the entry may be missing, or be half written."""
    import shutil

    import brokers

    home = Path(brokers.__file__).parent.parent
    copy = tmp_path / "site"
    for package in ("brokers", "hghooks", "payload"):
        shutil.copytree(home / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / module).write_text("def half(:\n")
    server = hg_server()
    server.hgrc(f"{HOOK}{WITNESS}[oberon]\nstateDir = {state_dir}\nverbose = yes\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = clone.push(ssh.url(server.path), options=ssh.options, env={"PYTHONPATH": os.fspath(copy)})
    assert pushed.returncode == 0
    seen = lines(pushed)
    assert "the-next-hook-ran" in seen
    assert any(line.startswith("error: oberon") for line in seen)
    assert server.node() == clone.node()


# ------------------------------------------------------------------------------------------------------ the extension


def test_the_extension_alone_is_enough(hg_server, push, state_dir, server):
    text = (server.path / ".hg" / "hgrc").read_text().replace(HOOK, "[extensions]\nhghooks =\n[hooks]\n")
    (server.path / ".hg" / "hgrc").write_text(text)
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    assert lines(push(clone)) == ["the-next-hook-ran"]
    assert len(events(state_dir)) == 1


def test_extension_and_hook_together_record_a_push_once(server, state_dir):
    server.hgrc("[extensions]\nhghooks =\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    clone.push()
    assert len(events(state_dir)) == 1


def test_an_empty_hook_switches_the_extension_off(server, state_dir):
    server.hgrc("[extensions]\nhghooks =\n[hooks]\nchangegroup.oberon =\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    clone.push()
    assert events(state_dir) == []


def test_help_and_declared_settings(server, run):
    server.hgrc("[extensions]\nhghooks =\n")
    manual = run(["hg", "-R", server.path, "help", "hghooks"]).stdout
    assert "changegroup.oberon = python:hghooks.changegroup.hook" in manual
    shown = run(["hg", "-R", server.path, "config", "--config", "devel.all-warnings=yes", "oberon.deadline"], check=False)
    assert "devel-warn" not in shown.stderr
    asked = run(["hg", "-R", server.path, "config", "oberon", "-T", "{name}={defaultvalue}\n"]).stdout
    assert "failed" not in asked


# ------------------------------------------------------------------------------------------------------------- inline


def inline(server, receiver, **more) -> None:
    settings = "".join(f"{name} = {value}\n" for name, value in {"mode": "inline", **more}.items())
    server.hgrc(f"[oberon]\n{settings}[services]\nci.broker = post\nci.url = {receiver.url}hook\n")


def test_inline_delivers_before_the_push_returns(server, push, receiver):
    inline(server, receiver)
    clone = server.clone()
    nodes = [clone.commit({"a.txt": "one\n"}), clone.commit({"ü.txt": "two\n"}, message="größer")]
    pushed = push(clone)
    [request] = receiver.requests
    assert [commit["raw_node"] for commit in request.payload()["commits"]] == nodes
    assert lines(pushed) == ["oberon: ci: delivered (200 OK)", "the-next-hook-ran"]


def test_inline_with_the_receiver_down(server, push, receiver, state_dir):
    receiver.stop()
    inline(server, receiver)
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = push(clone)
    witness, told = sorted(lines(pushed))
    assert told.startswith("warning: oberon: ci: ")
    assert witness == "the-next-hook-ran"
    assert (state_dir / "outbox.sqlite3").exists()


ODD = {
    "raises": "raise ValueError('no\\x1b[31m')",
    "exits": "sys.exit(3)",
    "interrupts": "raise KeyboardInterrupt",
    "closes": "raise GeneratorExit",
    "prints": "print('into the protocol', flush=True); sys.stdout.write('x' * 100000); raise SystemExit",
    "sleeps": "time.sleep(60)",
}
"""A broker's name -> what it does to the push."""


def test_brokers_of_any_sort_leave_the_push_alone(server, push, receiver, tmp_path):
    folder = tmp_path / "brokers"
    folder.mkdir(mode=0o700)
    for name, body in ODD.items():
        file = folder / f"{name}.py"
        file.write_text(
            "import sys, time\nfrom brokers import BaseBroker\n"
            f"class {name.title()}(BaseBroker):\n    def handle(self, payload):\n        {body}\n"
        )
        file.chmod(0o600)
    inline(server, receiver, deadline="1s", brokerPath=folder)
    server.hgrc("[services]\n" + "".join(f"{name}.broker = {name}\n" for name in ODD))
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = push(clone)
    assert pushed.returncode == 0
    assert pushed.seconds < 20
    assert len(receiver.requests) == 1
    seen = lines(pushed)
    assert "the-next-hook-ran" in seen
    assert [name for name in ODD if not any(line.startswith(f"warning: oberon: {name}: ") for line in seen)] == []
    assert not any("\x1b" in line or "into the protocol" in line for line in seen)
    assert server.node() == clone.node()


def test_a_spool_that_cannot_be_written_is_delivered_around(server, push, receiver, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a directory should be")
    inline(server, receiver, mode="detached", stateDir=f"{blocked}/state")
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n"})
    pushed = push(clone)
    [request] = receiver.requests
    assert request.payload()["commits"][0]["raw_node"] == node
    [told] = [line for line in lines(pushed) if "oberon" in line]
    assert told.startswith("warning:")
    assert f"{blocked}/state" in told


def test_a_full_spool_is_delivered_around_with_one_warning(server, receiver, state_dir, tmp_path):
    """The spool alone cannot be written; the outbox beside it can."""
    extension = tmp_path / "sabotage.py"
    extension.write_text(
        "import errno\nfrom brokers.delivery import spool\n"
        "def write(*arguments):\n    raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "spool.write = write\n"
    )
    inline(server, receiver, mode="detached")
    server.hgrc(f"[extensions]\nsabotage = {extension}\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = clone.push()
    assert len(receiver.requests) == 1
    assert sorted(lines(pushed), reverse=True) == [
        f"warning: oberon: cannot write to {state_dir}: No space left on device; see `oberon doctor`",
        "the-next-hook-ran",
    ]


def test_inline_that_cannot_even_begin_records_the_push(server, push, receiver, state_dir, tmp_path):
    extension = tmp_path / "sabotage.py"
    extension.write_text(RAISING.format(module="changes", name="read", error="KeyboardInterrupt()"))
    inline(server, receiver)
    server.hgrc(f"[extensions]\nsabotage = {extension}\n")
    clone = server.clone()
    node = clone.commit({"a.txt": "one\n"})
    pushed = push(clone)
    assert pushed.returncode == 0
    [event] = events(state_dir)
    assert event.first == node
    told, witness = sorted(lines(pushed))
    assert told.startswith("error: oberon: KeyboardInterrupt")
    assert witness == "the-next-hook-ran"


def test_a_wrong_setting_stops_one_service_only(server, receiver):
    inline(server, receiver)
    server.hgrc("[oberon]\nnonsense = 1\n[services]\nbad.broker = there-is-no-such\n")
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    pushed = clone.push()
    assert pushed.returncode == 0
    assert len(receiver.requests) == 1


# ----------------------------------------------------------------------------------------- detached, with a worker of its own


@pytest.fixture
def working(server, tmp_path, receiver):
    """The server with another state directory, whose worker the hook starts."""
    state = tmp_path / "working"
    inline(server, receiver, mode="detached", stateDir=state)
    return state


def test_detached_delivers_after_a_push_that_waits_for_nothing(server, working, push, receiver):
    receiver.answer(delay_s=8)
    clone = server.clone()
    nodes = [clone.commit({"a.txt": "one\n"}), clone.commit({"a.txt": None}, branch="größe", author="Jörg <j@example.org>")]
    pushed = push(clone, ["--new-branch"])
    assert pushed.seconds < 8
    assert lines(pushed) == ["the-next-hook-ran"]
    [request] = receiver.wait(1, timeout_s=30)
    commits = request.payload()["commits"]
    assert [(commit["raw_node"], commit["branch"], commit["author"]) for commit in commits] == [
        (nodes[0], "default", "Ann Example"),
        (nodes[1], "größe", "Jörg"),
    ]
    assert [commit["size"] for commit in commits] == [4, -4]


def test_the_worker_holds_nothing_of_the_push(server, working, push, receiver, left_running):
    receiver.answer(delay_s=8)
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    push(clone)
    receiver.wait(1, timeout_s=30)
    [worker] = [pid for pid in left_running() if b"--leave-when-idle" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    opened = {entry.name: str(entry.readlink()) for entry in Path(f"/proc/{worker}/fd").iterdir()}
    assert {opened[number] for number in "012"} == {os.devnull}
    assert not [name for name in opened.values() if str(server.path) in name or "pipe:" in name]
    assert str(Path(f"/proc/{worker}/cwd").readlink()) == "/"
    assert os.getsid(worker) == worker


def test_a_server_comes_back_on_its_port_while_the_worker_lives(server, working, receiver, run, tmp_path):
    """A child that holds the listening socket would keep the port."""
    receiver.answer(delay_s=8)
    clone = server.clone()
    clone.commit({"a.txt": "one\n"})
    log = tmp_path / "serve.log"
    with serving.hg_over_http(server.path, log) as url:
        clone.push(url)
        receiver.wait(1, timeout_s=30)
    port = url.rstrip("/").rpartition(":")[2]
    argv = ["hg", "serve", "-R", server.path, "--address", "127.0.0.1", "--port", port, "-d", "--pid-file", tmp_path / "pid"]
    started = run(argv, check=False)
    try:
        assert started.returncode == 0, started
    finally:
        if (tmp_path / "pid").exists():
            processes.end([int((tmp_path / "pid").read_text())])
