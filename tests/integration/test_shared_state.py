"""One state directory for many unix users: real accounts, real pushes, a worker that is a third user."""

import json
import os
import shutil
import stat
import subprocess
from contextlib import contextmanager

import pytest

from tests.support.command import environment, run
from tests.support.git import GitServer
from tests.support.hg import HgServer
from tests.support.hooked import SCRIPTS
from tests.support.unix_users import users

UMASKS = (0o077, 0o022, 0o007, 0o000)

TRYING = """
import json, os, sys


def tried(deed):
    try:
        deed()
    except PermissionError:
        return "refused"
    except OSError as error:
        return str(error)
    return "done"


state, *paths = sys.argv[1:]
deeds = {f"list {name}": lambda name=name: os.listdir(os.path.join(state, name)) for name in ("", "spool", "spool/new", "spool/tmp")}
for path in paths:
    deeds |= {
        f"read {path}": lambda path=path: open(path, "rb"),
        f"write {path}": lambda path=path: open(path, "r+b"),
        f"rename {path}": lambda path=path: os.rename(path, path + ".mine"),
        f"replace {path}": lambda path=path: os.rename(own, path),
        f"remove {path}": lambda path=path: os.unlink(path),
    }
for name in ("outbox.sqlite3", "worker.lock", "a-new-file"):
    deeds[f"make {name}"] = lambda name=name: open(os.path.join(state, name), "a")
deeds["make in spool"] = lambda: os.mkdir(os.path.join(state, "spool", "mine"))
deeds["move new away"] = lambda: os.rename(os.path.join(state, "spool", "new"), os.path.join(state, "spool", "old"))
own = os.path.join(state, "spool", "tmp", "own")
open(own, "w").close()
said = {name: tried(deed) for name, deed in deeds.items()}
os.unlink(own)
print(json.dumps(said))
"""
"""What a pusher may try on the spool files named; prints what came of each. Their own file in tmp/ they may make and remove."""

FORGING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from brokers.delivery import spool
record = {
    "version": 1, "id": spool.new_id(), "scm": "git", "path": sys.argv[3], "time": 1774853731.0, "login": sys.argv[4],
    "source": "ssh", "refs": [[sys.argv[5], sys.argv[6], "refs/heads/main"]], "options": [], "environment": {},
    "broker": "email", "url": sys.argv[7], "service": {"url": sys.argv[7]}, "services": {"ci": {"url": sys.argv[7]}},
}
print(spool.write(sys.argv[2], record))
"""


@pytest.fixture(scope="module")
def people():
    """alice and bob, who push; worker, who delivers and reads the repositories as one of the group; eve, who is not in it."""
    if os.getuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("CI has to run this as root: it makes users")
        pytest.skip("only root makes users")
    with users("alice", "bob", "worker", "eve", group="devs", members=("alice", "bob", "worker")) as made:
        yield made


@pytest.fixture
def alice(people):
    return people[0]["alice"]


@pytest.fixture
def bob(people):
    return people[0]["bob"]


@pytest.fixture
def worker(people):
    return people[0]["worker"]


@pytest.fixture
def place(alice, tmp_path):
    """A folder of the test's own that every user can reach."""
    folder = alice.place / tmp_path.name
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def shared(people, worker, place):
    """A state directory as `oberon init --group` leaves it."""
    state_dir = place / "state"
    run([SCRIPTS / "oberon", "init", "--group", people[1], "--user", worker.name, "--state-dir", state_dir])
    return state_dir


def give_to(group, path):
    """Make a repository the group's alone, as an admin would."""
    run(["chgrp", "-R", group, path])
    run(["chmod", "-R", "g+rwX,o=", path])
    run(["find", path, "-type", "d", "-exec", "chmod", "g+s", "{}", "+"])


@pytest.fixture
def git_repository(people, place, shared, receiver):
    server = GitServer(place / "app.git")
    server.config("core.sharedRepository", "group")
    for key, value in {"oberon.stateDir": shared, "service.ci.broker": "post", "service.ci.url": receiver.url}.items():
        server.config(key, str(value))
    (server.path / "hooks" / "post-receive").symlink_to(place.parent / "bin" / "oberon-post-receive")
    give_to(people[1], server.path)
    return server


@pytest.fixture
def hg_repository(people, place, shared, receiver):
    server = HgServer(place / "tools")
    server.hgrc(
        f"[hooks]\nchangegroup.oberon = python:hghooks.changegroup.hook\n[oberon]\nstateDir = {shared}\n"
        f"[services]\nci.broker = post\nci.url = {receiver.url}\n"
    )
    give_to(people[1], server.path)
    return server


def git_push(user, server, umask=0o022):
    """One commit onto a branch of the user's; what they were told."""
    clone = user.home / f"{server.path.parent.name}-{server.path.name}"
    if not clone.exists():
        user.run("git", "clone", "-q", server.path, clone, umask=umask)
    user.run("git", "commit", "-q", "--allow-empty", "-m", "a change", cwd=clone, umask=umask)
    return user.run("git", "push", "-q", "origin", f"HEAD:refs/heads/{user.name}", cwd=clone, umask=umask).stderr


def hg_push(user, server, umask=0o022):
    """One commit more; what they were told."""
    clone = user.home / f"{server.path.parent.name}-{server.path.name}"
    user.run("hg", "clone", "-q", server.path, clone, umask=umask)
    (clone / user.name).write_text("x")
    user.run("hg", "commit", "-q", "-A", "-m", "a change", cwd=clone, umask=umask)
    said = user.run("hg", "push", cwd=clone, umask=umask)
    return said.stdout + said.stderr


def waiting(state_dir):
    """Spool files -> their status; as root, who may look."""
    return {path: path.stat() for path in (state_dir / "spool" / "new").iterdir()}


def drain(worker, state_dir, **options):
    return worker.run("oberon", "run", "--drain", "--state-dir", state_dir, **options)


@contextmanager
def running(worker, state_dir):
    """The worker as a service."""
    argv = worker.command("oberon", "run", "--state-dir", state_dir)
    with subprocess.Popen(argv, env=environment(worker.env), cwd="/", stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (state_dir / "oberon.sock").exists() or not (state_dir / "oberon.sock").stat().st_mode & stat.S_IWGRP:
                assert process.poll() is None, process.stderr.read()
                os.sched_yield()
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=20)


def test_pushes_of_many_users_under_any_umask(people, alice, bob, worker, shared, git_repository, hg_repository, receiver):
    told = []
    for number, umask in enumerate(UMASKS):
        told.append(git_push((alice, bob)[number % 2], git_repository, umask))
    told.append(hg_push(alice, hg_repository, 0o022))
    told.append(hg_push(bob, hg_repository, 0o077))
    assert all(f"no worker runs for {shared}" in each and "recorded" in each for each in told), told

    files = waiting(shared)
    own = {user.uid: [str(path) for path, found in files.items() if found.st_uid == user.uid] for user in (alice, bob)}
    assert [len(own[alice.uid]), len(own[bob.uid])] == [3, 3]
    assert {(stat.S_IMODE(found.st_mode), found.st_gid) for found in files.values()} == {(0o640, worker.gid)}
    assert list((shared / "spool" / "tmp").iterdir()) == []
    for user, other in ((alice, bob), (bob, alice)):
        said = user.run(alice.place / "python" / "bin" / "python3", "-I", "-c", TRYING, shared, *own[other.uid])
        tried = json.loads(said.stdout)
        assert len(tried) == 4 + 3 * 5 + 5
        assert {name: end for name, end in tried.items() if end != "refused"} == {}
    assert waiting(shared) == files

    assert "delivered 6" in drain(worker, shared).stdout
    pushed = sorted((request.payload()["user"], request.payload()["repository"]["scm"]) for request in receiver.requests)
    assert pushed == sorted([(user.name, scm) for user in (alice, bob) for scm in ("git", "git", "hg")])
    assert waiting(shared) == {}
    assert stat.S_IMODE((shared / "outbox.sqlite3").stat().st_mode) == 0o600

    with running(worker, shared):
        assert git_push(bob, git_repository, 0o077) == ""
        receiver.wait(7, timeout_s=4)  # sooner than the worker scans by itself
        found = (shared / "oberon.sock").stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o660, worker.uid)
        doctor = bob.run("oberon", "doctor", "--state-dir", shared)
    assert f"shared by the group {people[1]}, {worker.name} delivers; what waits" in doctor.stdout
    assert f"ok       worker: one runs for {shared}" in doctor.stdout


def test_what_a_spool_file_says_of_its_writer_and_of_services_is_not_believed(
    alice, bob, worker, shared, git_repository, receiver, place
):
    git_push(bob, git_repository)
    [real] = waiting(shared)
    real.unlink()
    new = git_repository.node(f"refs/heads/{bob.name}")
    elsewhere = f"{receiver.url}elsewhere"
    forged = (place.parent / "lib", shared, git_repository.path, bob.name, "0" * len(new), new, elsewhere)
    alice.run(alice.place / "python" / "bin" / "python3", "-I", "-c", FORGING, *forged)
    assert "delivered 1" in drain(worker, shared).stdout
    [request] = receiver.requests
    assert (request.path, request.payload()["user"]) == ("/", alice.name)


def test_the_settings_of_a_repository_whose_owner_git_does_not_trust_do_not_hold(alice, worker, shared, git_repository, receiver):
    git_push(alice, git_repository)  # its owner is root
    trusting_nobody = {"GIT_CONFIG_GLOBAL": os.devnull}
    assert "pushes not read 1" in drain(worker, shared, env=trusting_nobody).stdout
    doctor = worker.run("oberon", "doctor", git_repository.path, env=trusting_nobody, check=False)
    for said in (doctor.stdout, worker.run("oberon", "deliveries", "--state-dir", shared).stdout):
        assert "git does not trust the owner of this repository" in said
        assert f"git config --system --add safe.directory {git_repository.path}" in said
    assert receiver.requests == []
    [push] = json.loads(worker.run("oberon", "deliveries", "--state-dir", shared, "--json").stdout)["unread"]
    worker.run("oberon", "redeliver", push["event"], "--state-dir", shared)
    assert "delivered 1" in drain(worker, shared).stdout
    assert len(receiver.requests) == 1


def test_what_members_put_there_in_place_of_events_holds_up_nobody(alice, bob, worker, shared, git_repository, receiver):
    new = shared / "spool" / "new"
    alice.run(
        "sh",
        "-c",
        f"mkdir -p {new}/folder/full && ln -s /etc/shadow {new}/link && mkfifo {new}/fifo && umask 077 && echo > {new}/closed",
    )
    git_push(bob, git_repository)
    drained = drain(worker, shared)
    assert "delivered 1" in drained.stdout
    assert "left in the spool: " in drained.stderr  # a folder of another user that is not empty: only root can move it
    assert {path.name for path in waiting(shared)} == {"folder"}
    assert {path.name.split(".")[0] for path in (shared / "spool" / "bad").iterdir()} == {"link", "fifo", "closed"}


def test_inline_without_the_outbox(alice, worker, shared, git_repository, receiver):
    git_repository.config("oberon.mode", "inline")
    told = git_push(alice, git_repository)
    assert "ci: delivered" in told
    assert "warning" not in told
    assert "delivered 0" in drain(worker, shared).stdout, "what is done is not done again"
    receiver.answer(503)
    told = git_push(alice, git_repository)
    assert "cannot write" not in told
    assert f"remote: warning: oberon: kept for another try, and waits: no worker runs for {shared}; see `oberon doctor`" in told
    assert len(waiting(shared)) == 1, "what failed waits for the worker"
    assert "delivered 1" in drain(worker, shared).stdout
    assert [request.payload()["user"] for request in receiver.requests] == [alice.name] * 3


def test_who_is_not_in_the_group(people, worker, shared, place, receiver):
    eve = people[0]["eve"]
    server = GitServer(place / "hers.git")
    for key, value in {"oberon.stateDir": shared, "service.ci.broker": "post", "service.ci.url": receiver.url}.items():
        server.config(key, str(value))
    (server.path / "hooks" / "post-receive").symlink_to(place.parent / "bin" / "oberon-post-receive")
    run(["chown", "-R", eve.name, server.path])
    told = git_push(eve, server)
    assert f"warning: oberon: cannot write to {shared}: Permission denied; see `oberon doctor`" in told
    assert len(receiver.requests) == 1, "delivered inline instead"
    doctor = eve.run("oberon", "doctor", "--state-dir", shared, check=False)
    assert doctor.returncode == 1
    assert f"usermod --append --groups {people[1]} {eve.name}" in doctor.stdout


def test_doctor_where_no_worker_runs(alice, worker, shared):
    for user in (alice, worker):
        doctor = user.run("oberon", "doctor", "--state-dir", shared, check=False)
        assert doctor.returncode == 1
        [line] = [line for line in doctor.stdout.splitlines() if " worker: " in line]
        assert line.startswith("error")
        assert "systemctl enable --now oberon-worker.service" in line
    assert "shared by the group" in doctor.stdout
    status = worker.run("oberon", "status", "--state-dir", shared)
    assert "none runs, and in a shared state directory hooks start none" in status.stdout


def test_who_may_only_push_is_told_whom_to_ask(alice, worker, shared):
    told = f"it is shared: {alice.name} can add pushes to it, and not see what becomes of them"
    remedy = f"run this as the worker's user, `sudo -u {worker.name} oberon ...`, or ask your admin"
    for command in (("status",), ("deliveries",), ("show", "1")):
        refused = alice.run("oberon", *command, "--state-dir", shared, check=False)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == f"error: {shared}: {told}; {remedy}\n"


def test_two_workers_of_different_users(alice, worker, shared):
    refused = alice.run("oberon", "run", "--drain", "--state-dir", shared, check=False)
    assert refused.returncode == 1
    assert "and the worker is" in refused.stderr
    assert sorted(path.name for path in shared.iterdir()) == ["spool"]
    assert drain(worker, shared).returncode == 0


def test_a_private_spool_of_another_user_is_not_written_to(alice, bob, worker, place, git_repository, receiver, people):
    private = place / "private"
    bob.run("oberon", "init", "--state-dir", bob.home / "state")
    (bob.home / "state").rename(private)
    run(["chmod", "-R", "g+rwX", private])
    run(["chgrp", "-R", people[1], private])
    git_repository.config("oberon.stateDir", str(private))
    told = git_push(alice, git_repository)
    assert f"cannot write to {private}: {private}/spool/new is another user's, and not shared" in told
    assert waiting(private) == {}
    assert len(receiver.requests) == 1


def test_who_may_not_prepare_one(alice, bob, people, place):
    eve = people[0]["eve"]
    place.chmod(0o777)
    for user, arguments, told in (
        (alice, ("--user", bob.name), f"{alice.name} cannot prepare what is to be {bob.name}'s; run this as root"),
        (eve, ("--group", people[1]), f"{eve.name} is not in the group {people[1]}"),
        (eve, ("--state-dir", "/srv/oberon"), "Permission denied"),
    ):
        ran = user.run("oberon", "init", "--state-dir", place / "theirs", *arguments, check=False)
        assert ran.returncode in (1, 2)
        assert told in ran.stderr
    assert not (place / "theirs").exists()


def test_a_member_may_prepare_one_for_themselves(alice, bob, people, place):
    place.chmod(0o777)
    state_dir = place / "hers"
    ran = alice.run("oberon", "init", "--group", people[1], "--state-dir", state_dir)
    assert f"made {state_dir}/spool/new: mode 3733, {alice.name}:{alice.name}" in ran.stdout
    assert "shared by the group" in bob.run("oberon", "doctor", "--state-dir", state_dir, check=False).stdout
