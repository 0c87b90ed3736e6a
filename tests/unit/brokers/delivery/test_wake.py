"""Waking the worker or starting one, with what a real process finds itself in."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from brokers.delivery import statedir, surroundings, wake

# Stands where the worker would: it writes down what it was given, and waits until it is let go.
TELLTALE = """
import json, os, sys, time
target, go = sys.argv[1:]
descriptors = {}
for name in os.listdir("/proc/self/fd"):
    try:
        descriptors[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        pass  # the listing's own
told = {
    "pid": os.getpid(),
    "session": os.getsid(0),
    "group": os.getpgid(0),
    "descriptors": descriptors,
    "environment": dict(os.environ),
    "directory": os.getcwd(),
}
with open(target + ".draft", "w") as file:
    json.dump(told, file)
os.rename(target + ".draft", target)
while not os.path.exists(go):
    time.sleep(0.01)
"""


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "state"
    statedir.prepare(str(path))
    return str(path)


def open_descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def listening(state):
    """The worker's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"{state}/{wake.SOCKET}")
        channel.settimeout(5)
        yield channel


@pytest.fixture
def locked(state):
    """The worker's lock, held."""
    with Path(state, wake.LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


@pytest.fixture
def started(monkeypatch):
    """The starts that were asked for; none happens."""
    calls = []
    monkeypatch.setattr(wake, "start", lambda state_dir, environ: calls.append((state_dir, dict(environ))))
    return calls


class Telltale:
    """A process that `wake.start` starts in the worker's place, and what it told."""

    def __init__(self, folder):
        self.told_at, self.go = folder / "told.json", folder / "go"
        self._told = None

    def command(self, _state_dir, *_options):
        return [sys.executable, "-I", "-S", "-c", TELLTALE, str(self.told_at), str(self.go)]

    @property
    def told(self):
        deadline = time.monotonic() + 20
        while not self.told_at.exists():
            assert time.monotonic() < deadline, "the process never spoke"
            time.sleep(0.01)
        return json.loads(self.told_at.read_text())

    def leave(self):
        self.go.touch()


@pytest.fixture
def telltale(tmp_path, monkeypatch):
    made = Telltale(tmp_path)
    monkeypatch.setattr(wake, "command", made.command)
    yield made
    made.leave()
    if made.told_at.exists():
        try:
            os.waitpid(made.told["pid"], 0)
        except ChildProcessError:
            pass  # wake took it, or it was another process's child


# ----------------------------------------------------------------------------------------------------------------- waking


def test_a_worker_that_listens_is_woken(state, listening, started):
    assert wake.wake(state, {}) == "woken"
    assert listening.recv(16) == b"new"
    assert started == []


def test_a_worker_behind_a_long_path_is_woken(tmp_path, started):
    # unix(7): a socket's path may have 107 bytes; a repository's folder has no such limit.
    state = tmp_path / ("d" * 120) / "state"
    statedir.prepare(str(state))
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(wake.address(str(state), folder))
            assert wake.wake(str(state), {}) == "woken"
            assert channel.recv(16) == b"new"
    finally:
        os.close(folder)
    assert started == []


def test_a_worker_whose_queue_is_full_counts_as_woken_and_nobody_waits(state, listening, started):
    begun = time.monotonic()
    # net.unix.max_dgram_qlen is 10 on some machines and 512 on others.
    assert {wake.wake(state, {}) for _ in range(2000)} == {"woken"}
    assert time.monotonic() - begun < 10
    assert started == []


def test_a_held_lock_means_a_worker_that_will_look_by_itself(state, locked, started):
    assert wake.wake(state, {}) == "left"
    assert started == []


def test_a_socket_that_nobody_reads_any_more_wakes_nobody(state, started):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"{state}/{wake.SOCKET}")
    assert wake.wake(state, {"HOME": "/home/ada"}) == "started"
    assert started == [(state, {"HOME": "/home/ada"})]


@pytest.mark.parametrize(
    "make", [lambda path: path.touch(), lambda path: path.mkdir(), os.mkfifo], ids=["file", "folder", "pipe"]
)
def test_what_is_no_socket_wakes_nobody(state, started, make):
    make(Path(state, wake.SOCKET))
    assert wake.wake(state, {}) == "started"


@pytest.fixture
def shared(state):
    """As `oberon init --group` leaves the spool."""
    Path(state, "spool", "new").chmod(statedir.DROP_BOX_MODE)
    return state


def test_in_a_shared_state_directory_none_is_started(shared, started):
    assert wake.wake(shared, {}) == "absent"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"{shared}/{wake.SOCKET}")
        assert wake.wake(shared, {}) == "woken"
    assert wake.wake(shared, {}) == "absent"
    Path(shared, wake.SOCKET).unlink()
    Path(shared, wake.SOCKET).mkdir()
    assert wake.wake(shared, {}) == "absent"
    assert started == []


def test_whether_a_worker_runs_behind_a_socket_that_is_closed_to_us_is_not_told(shared, started):
    if os.getuid() == 0:
        pytest.skip("root minds no modes")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"{shared}/{wake.SOCKET}")
        Path(shared, wake.SOCKET).chmod(0)
        assert wake.wake(shared, {}) == "left"
    assert started == []


def test_without_a_worker_one_is_started(state, started):
    assert wake.wake(state, {}) == "started"
    assert len(started) == 1


def test_a_lock_that_nobody_holds_any_more_is_no_worker(state, locked, started):
    locked.close()
    assert wake.wake(state, {}) == "started"


def test_looking_at_the_lock_does_not_keep_it(state, locked):
    locked.close()
    assert not wake.is_held(f"{state}/{wake.LOCK}")
    with Path(state, wake.LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_waking_leaves_no_descriptor(state, listening, locked, started):
    before = open_descriptors()
    wake.wake(state, {})
    Path(state, wake.SOCKET).unlink()
    wake.wake(state, {})
    assert open_descriptors() == before


# --------------------------------------------------------------------------------------------------------------- starting


def test_the_worker_is_a_process_of_its_own(state, telltale):
    wake.start(state, {})
    told = telltale.told
    assert told["pid"] != os.getpid()
    assert told["session"] == told["group"] == told["pid"]
    assert told["session"] != os.getsid(0)


def test_the_worker_holds_dev_null_three_times_and_nothing_of_the_hooks(state, telltale, tmp_path):
    reader, writer = os.pipe()  # close-on-exec, as Python makes them
    inherited = [os.dup(reader), os.dup(writer), os.open(tmp_path, os.O_RDONLY)]
    for descriptor in inherited:
        os.set_inheritable(descriptor, True)  # as those that a server's C code left open
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    try:
        wake.start(state, {})
        told = telltale.told
    finally:
        for descriptor in (reader, writer, *inherited):
            os.close(descriptor)
        listener.close()
    assert told["descriptors"] == {"0": os.devnull, "1": os.devnull, "2": os.devnull}


def test_one_who_reads_the_hooks_output_is_not_kept_waiting(state, telltale):
    """As receive-pack does: read until everybody who holds the pipe has closed it."""
    hook = (
        "import sys; sys.path.insert(0, sys.argv[1]); from brokers.delivery import wake; "
        "wake.command = lambda *_: sys.argv[3:]; wake.start(sys.argv[2], {}); print('done')"
    )
    root = str(Path(wake.__file__).parents[2])
    command = [sys.executable, "-I", "-c", hook, root, state, *telltale.command(state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")
    assert Path(f"/proc/{telltale.told['pid']}").exists(), "it outlived the hook, and nobody waited for it"


def test_the_workers_environment_is_the_kept_part_of_what_was_given(state, telltale, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/from/os/environ")
    given = {
        "HOME": "/home/git",
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "XDG_STATE_HOME": "/state",
        "GIT_DIR": ".",
        "GIT_QUARANTINE_PATH": "/q",
        "GIT_PUSH_OPTION_0": "x",
        "PYTHONPATH": "/pushed",
        "PYTHONSTARTUP": "/pushed/start.py",
        "LD_PRELOAD": "",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "SSH_AUTH_SOCK": "/agent",
        "GL_ADMIN_TOKEN": "secret",
    }
    wake.start(state, given)
    # LC_CTYPE is Python's own doing: PEP 538.
    kept = {name: value for name, value in telltale.told["environment"].items() if name != "LC_CTYPE"}
    assert kept == {"HOME": "/home/git", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "XDG_STATE_HOME": "/state"}


def test_no_kept_variable_points_git_or_python_at_what_was_pushed():
    refused = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"}
    refused |= {"GIT_EXEC_PATH", "GIT_SSH_COMMAND", "LD_PRELOAD", "LD_LIBRARY_PATH", "HGPLAIN", "HGENCODING"}
    assert not refused & set(surroundings.KEPT_VARIABLES)
    assert not [name for name in surroundings.KEPT_VARIABLES if name.startswith("PYTHON") or name.lower().endswith("_proxy")]


def test_a_worker_that_cannot_be_started_raises(state, monkeypatch):
    monkeypatch.setattr(wake, "command", lambda *_: ["/no/such/python"])
    with pytest.raises(OSError, match="No such file"):
        wake.start(state, {})


def zombies():
    """This process's children that have ended and that nobody has waited for."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state == "Z" and int(parent) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def test_workers_that_have_left_do_not_pile_up_in_a_server_that_stays(state, telltale, monkeypatch):
    """A web server that runs hg in its own process starts a worker with each push that finds none."""
    before = set(zombies())
    monkeypatch.setattr(wake, "command", lambda *_: ["/bin/true"])
    for _ in range(5):
        wake.start(state, {})
        deadline = time.monotonic() + 10
        while not set(zombies()) - before and time.monotonic() < deadline:
            time.sleep(0.005)
    assert len(set(zombies()) - before) <= 1
    wake._reap()
    assert set(zombies()) - before == set()


def test_another_childs_exit_status_is_left_to_who_waits_for_it(state, telltale, monkeypatch):
    monkeypatch.setattr(wake, "command", lambda *_: ["/bin/true"])
    others = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    time.sleep(0.1)
    wake.start(state, {})
    wake.start(state, {})
    assert others.wait(timeout=10) == 7
    while wake._started:
        wake._reap()
        time.sleep(0.01)


# ---------------------------------------------------------------------------------------------------------------- the command


def test_the_command_names_everything_by_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = wake.command("state")
    assert command[0] == sys.executable
    assert command[1] == "-I"
    assert command[-3:] == ["run", "--state-dir", str(tmp_path / "state")]


def test_the_command_finds_oberon_where_this_process_has_it(tmp_path):
    """`python -I` sees neither the working directory nor PYTHONPATH; the command brings the place itself."""
    command = wake.command(str(tmp_path))
    assert Path(wake.import_path(), "brokers", "delivery", "wake.py").samefile(wake.__file__)
    bootstrap = command[3].partition("from brokers")[0] + "import brokers; print(brokers.__file__); print(sys.argv[1:])"
    told = subprocess.run([*command[:3], bootstrap, *command[4:]], cwd="/", capture_output=True, text=True, check=True)
    place, arguments = told.stdout.splitlines()
    assert Path(place).is_relative_to(wake.import_path())
    assert arguments == repr(command[5:])


def test_nothing_in_the_working_directory_is_imported(tmp_path):
    (tmp_path / "brokers").mkdir()
    (tmp_path / "brokers" / "__init__.py").write_text("raise SystemExit('what was pushed ran')")
    command = wake.command(str(tmp_path))
    bootstrap = command[3].partition("from brokers")[0] + "import brokers"
    subprocess.run([*command[:3], bootstrap, *command[4:]], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True)
