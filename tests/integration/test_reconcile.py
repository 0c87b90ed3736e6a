"""Pushes whose hook is killed before it can write anything, to real repositories; and what only looks like one."""

import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from functools import partial

import pytest

from brokers.cli.main import main
from brokers.cli.sources import by_scm
from brokers.config import Settings
from brokers.delivery import spool, statedir
from brokers.delivery.intake import take_all_in
from brokers.delivery.outbox import Outbox
from brokers.delivery.reconcile import look, newest, record
from brokers.delivery.scheduler import Limits
from brokers.delivery.standing import KnownChangelog
from brokers.delivery.worker import Worker
from brokers.secrets import resolver
from payload.push import Event, RefUpdate
from tests.support.git import ZERO, GitClone
from tests.support.hg_hooked import no_worker, noted
from tests.support.hooked import git_settings, hg_settings

GIT_HOOK = f"""#!{sys.executable} -I
import os, signal
from brokers.delivery import spool
from githooks.post_receive import main

if os.path.exists("killed"):
    spool.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main()
"""
HG_KILLED = """
priority.changegroup.killed = 1
changegroup.killed = test ! -e .hg/killed || kill -9 $PPID
"""


@pytest.fixture
def git(git_server, state_dir, receiver):
    """A server whose hook is killed, right before it writes, while there is a file `killed` in it."""
    server = git_server("team/app.git")
    hook = server.path / "hooks" / "post-receive"
    hook.write_text(GIT_HOOK)
    hook.chmod(0o755)
    git_settings(server, state_dir)
    server.config("service.ci.broker", "post")
    server.config("service.ci.url", receiver.url)
    return server


@pytest.fixture
def hg(hg_server, state_dir, receiver):
    """Likewise."""
    server = hg_server("team/app")
    hg_settings(server, state_dir)
    server.hgrc(f"[hooks]{HG_KILLED}[services]\nci.broker = post\nci.url = {receiver.url}\n[push]\npushvars.server = yes\n")
    return server


def lose(server, push, *, status=0):
    """A push whose hook is killed."""
    killed = (server.path / ".hg" if (server.path / ".hg").exists() else server.path) / "killed"
    killed.touch()
    assert push(check=False).returncode == status
    killed.unlink()


def work(state_dir, receiver, expected, **limits):
    """A worker from its start until the receiver has got `expected` pushes in all, and a moment longer; the payloads."""
    worker = Worker(str(state_dir), by_scm(), resolver(os.environ), Limits(reconcile_s=0.3, **limits))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        receiver.wait(expected, 20)
        time.sleep(0.8)
    finally:
        worker.stop()
        thread.join()
    return [request.payload() for request in receiver.requests]


def reconciled(server, *options, capsys):
    assert main(["reconcile", str(server.path), "--wait", "0s", "--json", *options]) == 0
    told = json.loads(capsys.readouterr().out)
    return told, [(each["ref"], each["old"], each["new"]) for each in told["lost"]]


def missing_changesets(server, state_dir):
    """How many changesets were compared, and those that were missing, first and last of each push; recorded."""
    with Outbox.open(str(state_dir), time.time) as outbox:
        take_all_in(outbox, str(state_dir))
        like = newest(outbox, str(server.path))
        found = look(outbox, str(server.path), like, by_scm()["hg"])
        record(outbox, str(state_dir), str(server.path), found, found.lost)
        return found.compared, [(each.old, each.new) for each in found.lost]


@pytest.fixture
def reconcile(capsys):
    """`oberon reconcile --json` of a server: what it told, and (ref, old, new) of what was missing."""
    return partial(reconciled, capsys=capsys)


def nodes(payload):
    return [commit["raw_node"] for commit in payload["commits"]]


# ------------------------------------------------------------------------------------------------------------------- git


def test_the_next_worker_delivers_exactly_what_a_killed_hook_lost(git, state_dir, receiver, reconcile):
    clone = git.clone()
    with no_worker(state_dir):
        first = clone.commit({"a": "1"})
        clone.push()
        missing = [clone.commit({"a": "2"}), clone.commit({"a": "3"})]
        clone.git("tag", "v1")
        lose(git, partial(clone.push, "HEAD", "v1"))
        clone.git("checkout", "-q", "-b", "topic")
        later = clone.commit({"b": "1"})
        clone.push("topic")
    payloads = work(state_dir, receiver, 3)
    assert Counter(node for payload in payloads for node in nodes(payload)) == Counter([first, *missing, later])
    (found,) = (payload for payload in payloads if payload["user"] == "")
    assert nodes(found) == missing
    assert reconcile(git)[1] == []


def test_forced_back_and_forth_nothing_is_missing(git, state_dir, reconcile):
    clone = git.clone()
    with no_worker(state_dir):
        old = clone.commit({"a": "1"})
        clone.push()
        new = clone.commit({"a": "2"})
        for node in (new, old, new, old):
            clone.push(f"+{node}:refs/heads/main")
        clone.push(f"{new}:refs/heads/topic")
        clone.push(":refs/heads/topic")
        assert reconcile(git)[1] == []
        git.git("pack-refs", "--all")
        assert reconcile(git)[1] == []
        lose(git, partial(clone.push, f"+{new}:refs/heads/main"))
        lose(git, partial(clone.push, f"{new}:refs/heads/topic"))
        told, lost = reconcile(git, "--dry-run")
        assert lost == [("refs/heads/main", old, new), ("refs/heads/topic", ZERO, new)]
        assert (told["events"], told["worker"], spool.waiting(str(state_dir))) == ([], None, [])
        told, lost = reconcile(git)
        assert (len(lost), len(told["events"])) == (2, len(spool.waiting(str(state_dir))))
        assert reconcile(git)[1] == []
        lose(git, partial(clone.push, f"+{old}:refs/heads/main"))
        assert reconcile(git, "--accept")[0]["unwanted"]
        assert reconcile(git)[1] == []


def test_what_git_itself_did_in_a_work_tree_is_no_push(git_server, tmp_path):
    git_server("origin.git").clone("work")
    work = GitClone(tmp_path / "work")
    work.git("config", "receive.denyCurrentBranch", "ignore")
    first = work.commit({"a": "1"})
    other = GitClone(tmp_path / "other")
    work.git("clone", "-q", ".", other.path)
    pushed = other.commit({"a": "2"})
    other.push(f"HEAD:refs/heads/{work.git('branch', '--show-current')}", "HEAD:refs/heads/new")
    here = work.commit({"b": "1"})
    standing = by_scm()["git"].standing(str(work.path / ".git"), Settings(), KnownChangelog(None, "", ()))
    main_ref = next(ref for ref in standing.nodes if ref != "refs/heads/new")
    assert standing.nodes == {main_ref: here, "refs/heads/new": pushed}
    assert standing.moved.keys() == standing.nodes.keys()
    assert [standing.moved_here(main_ref, node) for node in (first, pushed, here)] == [True, False, True]
    assert not standing.moved_here("refs/heads/new", pushed)
    assert standing.moved_here("refs/heads/gone", ZERO)


def test_a_push_delivered_in_the_hook_is_known_where_the_outbox_is_not_for_it(git, state_dir, receiver):
    git.config("oberon.mode", "inline")
    statedir.prepare(str(state_dir))
    for part in ("new", "tmp"):
        (state_dir / "spool" / part).chmod(statedir.DROP_BOX_MODE)
    clone = git.clone()
    clone.commit({"a": "1"})
    clone.push()
    receiver.wait(1, 10)
    (path,) = spool.waiting(str(state_dir))
    assert spool.load(path)["only"] == []


# -------------------------------------------------------------------------------------------------------------- Mercurial


def test_hg_tells_exactly_what_a_killed_hook_lost(hg, state_dir, receiver):
    clone = hg.clone()
    with no_worker(state_dir):
        first = clone.commit({"a": "1"})
        clone.push()
        missing = [clone.commit({"a": "2"}), clone.commit({"a": "3"})]
        lose(hg, clone.push, status=-signal.SIGKILL)
        later = clone.commit({"a": "4"})
        clone.push()
    payloads = work(state_dir, receiver, 3)
    assert Counter(node for payload in payloads for node in nodes(payload)) == Counter([first, *missing, later])
    (found,) = (payload for payload in payloads if payload["user"] == "")
    assert nodes(found) == missing
    assert missing_changesets(hg, state_dir) == (4, [])


def test_what_came_to_an_hg_repository_without_a_push_is_known(hg, hg_server, state_dir):
    elsewhere = hg_server("elsewhere")
    clone = hg.clone()
    with no_worker(state_dir):
        clone.commit({"a": "1"})
        clone.push()
        clone.commit({"a": "2"})
        clone.push(options=["--pushvars", "OBERON_SKIP=1"])
        clone.commit({"a": "3"})
        clone.push(str(elsewhere.path))
        hg.hg("pull", "-q", str(elsewhere.path))
        hg.hg("update", "-q")
        (hg.path / "b").write_text("1")
        hg.hg("commit", "-q", "-A", "-m", "here", "-u", "ann")
        assert len(noted(state_dir)) == 2
        assert missing_changesets(hg, state_dir) == (4, [])
        node = clone.commit({"c": "1"})
        lose(hg, partial(clone.push, options=["--force"]), status=-signal.SIGKILL)
        assert missing_changesets(hg, state_dir) == (5, [(node, node)])
        assert missing_changesets(hg, state_dir) == (5, [])
        node = clone.commit({"c": "2"})
        lose(hg, partial(clone.push, options=["--force"]), status=-signal.SIGKILL)
        hg.hg("--config", "extensions.strip=", "--config", "ui.merge=:local", "debugstrip", "--no-backup", "3")
        assert missing_changesets(hg, state_dir) == (5, [])


# ------------------------------------------------------------------------------------------------------- command and worker


def test_for_people_it_tells_what_is_missing(git, state_dir, capsys):
    assert main(["reconcile", str(git.path)]) == 0
    assert capsys.readouterr().out == "no push of it was recorded yet: there is nothing to compare it with\n"
    clone = git.clone()
    with no_worker(state_dir):
        old = clone.commit({"a": "1"})
        clone.push()
        assert main(["reconcile", str(git.path)]) == 0
        assert capsys.readouterr().out == "compared 1 ref: nothing is missing\n"
        new = clone.commit({"a": "2"})
        lose(git, clone.push)
        assert main(["reconcile", str(git.path), "--wait", "0s"]) == 0
        told = capsys.readouterr().out.splitlines()
        assert told[:2] == ["compared 1 ref: 1 missing", f"  refs/heads/main: {old[:12]}..{new[:12]}"]
        assert told[2].startswith("recorded as 1 push; ")
        assert main(["reconcile", str(git.path), "--accept"]) == 0
        assert capsys.readouterr().out == "not compared: the present is taken for known\n"
    assert main(["reconcile", str(git.path), "--accept", "--dry-run"]) == 2


def test_a_repository_that_cannot_be_read_is_logged_once_and_holds_up_no_other(
    git, git_server, state_dir, receiver, caplog, monkeypatch
):
    monkeypatch.setattr("brokers.delivery.rounds.EVERY_S", 0.1)
    broken, gone = git_server("a/broken.git"), git_server("a/gone.git")
    statedir.prepare(str(state_dir))
    with Outbox.open(str(state_dir), time.time) as outbox:
        for server in (broken, gone):
            update = RefUpdate("refs/heads/main", ZERO, "a" * 40)
            outbox.add_event(Event(spool.new_id(), "git", str(server.path), time.time(), "ann", "ssh", (update,)), only=[])
    (broken.path / "config").write_text("[oberon\n")
    shutil.rmtree(gone.path)
    clone = git.clone()
    with no_worker(state_dir), caplog.at_level(logging.WARNING, "oberon.worker"):
        clone.commit({"a": "1"})
        clone.push()
        clone.commit({"a": "2"})
        lose(git, clone.push)
    work(state_dir, receiver, 2)
    complaints = [record.getMessage() for record in caplog.records if "is not compared" in record.getMessage()]
    assert len([told for told in complaints if "broken.git" in told]) == 1
    assert not [told for told in complaints if "app.git" in told]
