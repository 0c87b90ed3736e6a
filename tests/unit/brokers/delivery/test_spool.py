"""The spool: an event is there whole, or it is not there; what is no event never stops what is."""

import contextlib
import errno
import json
import os
import resource
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.delivery import spool, statedir
from payload.push import Event
from tests.support.command import MINDING_MODES
from tests.support.unix_users import GROUP, NOBODY, as_root

ROOT = Path(spool.__file__).parents[2]


def record(**changes):
    made = {
        "version": 1,
        "id": spool.new_id(),
        "scm": "git",
        "path": "/srv/git/caf\udce9.git",
        "time": 1774853731.25,
        "login": "git",
        "source": "ssh",
        "refs": [["0" * 40, "a" * 40, "refs/heads/Grüße\udcff"]],
        "first": None,
        "last": None,
        "options": ['quote " and \\', "\n\0\x1b"],
        "environment": {"GL_USER": "ädа"},  # noqa: RUF001 - a Cyrillic letter, on purpose
    }
    return {**made, **changes}


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "state"
    statedir.prepare(str(path))
    return str(path)


def folder(state, name):
    return Path(state, "spool", name)


def listing(state):
    return {name: sorted(entry.name for entry in folder(state, name).iterdir()) for name in ("tmp", "new", "bad")}


def open_descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def put(state, name, data):
    path = folder(state, "new") / name
    path.write_bytes(data)
    return str(path)


# ------------------------------------------------------------------------------------------------------------ the round trip


def test_an_event_comes_back_as_it_was_written(state):
    written = record()
    path = spool.write(state, written)
    assert path == str(folder(state, "new") / written["id"])
    assert spool.waiting(state) == [path]
    assert spool.load(path) == written
    assert Event.from_record(spool.load(path)).refs[0].ref == "refs/heads/Grüße\udcff"
    assert listing(state) == {"tmp": [], "new": [written["id"]], "bad": []}


def test_the_file_is_a_header_and_ascii_json(state):
    written = record()
    header, body = Path(spool.write(state, written)).read_bytes().split(b"\n", 1)
    magic, version, length, digest = header.split(b" ")
    assert (magic, version, int(length), len(digest)) == (b"oberon-event", b"1", len(body), 64)
    assert body.isascii()
    assert json.loads(body) == written


# What `surrogateescape` makes of arbitrary bytes: every string that a hook can see.
escaped = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | escaped,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(escaped, inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(escaped, values, max_size=5))
def test_any_record_comes_back_as_it_was(state, extra):
    written = {**extra, "id": spool.new_id()}
    path = spool.write(state, written)
    assert spool.load(path) == written
    spool.remove(path)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), 1j])
def test_what_json_has_no_word_for_is_refused_before_anything_is_written(state, value):
    with pytest.raises(TypeError, match=f"an event holds no {type(value).__name__}"):
        spool.write(state, record(options=[value]))
    assert listing(state) == {"tmp": [], "new": [], "bad": []}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_has_no_word_for_are_refused_too(state, value):
    with pytest.raises(TypeError, match="an event holds no"):
        spool.write(state, record(time=value))


def test_ids_are_events_ids_and_differ():
    ids = {spool.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(made) == 32 and int(made, 16) >= 0 for made in ids)


def test_events_written_within_one_tick_of_the_file_system_keep_their_order(state):
    paths = [spool.write(state, record()) for _ in range(20)]
    for path in paths:
        os.utime(path, (1.7e9, 1.7e9))
    assert spool.waiting(state) == paths


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_is_its_users_alone_whatever_the_umask(state, umask):
    before = os.umask(umask)
    try:
        path = spool.write(state, record())
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


# --------------------------------------------------------------------------------------------------- when it cannot be written


def test_without_a_spool_nothing_is_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        spool.write(str(tmp_path), record())


def test_a_draft_that_is_there_is_not_written_over(state):
    written = record()
    draft = folder(state, "tmp") / f"{written['id']}.{os.getpid()}"
    draft.write_text("another's")
    with pytest.raises(FileExistsError):
        spool.write(state, written)
    assert draft.read_text() == "another's"


def test_a_link_in_the_place_of_the_draft_is_not_followed(state, tmp_path):
    written = record()
    victim = tmp_path / "victim"
    (folder(state, "tmp") / f"{written['id']}.{os.getpid()}").symlink_to(victim)
    with pytest.raises(FileExistsError):
        spool.write(state, written)
    assert not victim.exists()


def test_when_the_rename_fails_no_draft_is_left(state):
    folder(state, "new").rmdir()
    with pytest.raises(FileNotFoundError):
        spool.write(state, record())
    assert list(folder(state, "tmp").iterdir()) == []


# RLIMIT_FSIZE stands in for a full disk: a write comes back short, and the next one fails.
WRITE_WITH_LITTLE_ROOM = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from brokers.delivery import spool
record = {"id": spool.new_id(), "options": ["x" * 5000]}
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
try:
    spool.write(sys.argv[2], record)
except OSError as error:
    print(type(error).__name__, error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, before)  # coverage writes at exit
"""


def test_on_a_full_disk_it_raises_and_leaves_nothing(state):
    command = [sys.executable, "-I", "-c", WRITE_WITH_LITTLE_ROOM, str(ROOT), state]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["OSError", str(errno.EFBIG)]
    assert listing(state) == {"tmp": [], "new": [], "bad": []}


@pytest.mark.parametrize("make", ["a file", "a link"])
def test_what_stands_in_the_place_of_the_spool_is_not_written_to(state, tmp_path, make):
    folder(state, "new").rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder(state, "new").symlink_to(tmp_path / "elsewhere") if make == "a link" else folder(state, "new").touch()
    with pytest.raises(NotADirectoryError, match="is not a directory, or a symbolic link"):
        spool.write(state, record())
    assert list(folder(state, "tmp").iterdir()) == []
    assert list((tmp_path / "elsewhere").iterdir()) == []


# -------------------------------------------------------------------------------------------------- where many users share it


@pytest.fixture
def shared(state):
    """As `oberon init --group` leaves the spool, in this user's hands."""
    for name in ("tmp", "new"):
        folder(state, name).chmod(statedir.DROP_BOX_MODE)
    return state


@pytest.mark.parametrize("umask", [0o000, 0o007, 0o022, 0o077])
def test_a_shared_file_is_readable_for_the_directorys_group_whatever_the_umask(shared, umask):
    if os.getuid() == 0:
        os.chown(folder(shared, "tmp"), -1, GROUP.gr_gid)
    before = os.umask(umask)
    try:
        found = Path(spool.write(shared, record())).stat()
    finally:
        os.umask(before)
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert found.st_gid == folder(shared, "tmp").stat().st_gid


@as_root
@pytest.mark.parametrize(("uid", "login"), [(NOBODY.pw_uid, "nobody"), (4_000_000, "4000000"), (0, "ann")])
def test_in_a_shared_spool_the_login_of_a_pushers_file_is_its_owner(shared, uid, login):
    written = record(login="ann")
    path = spool.write(shared, written)
    os.chown(path, uid, -1)
    assert spool.load(path) == written
    assert spool.load(path, shared=True) == {**written, "login": login}  # what is the worker's own is what it knew of others


def test_what_more_a_record_says_makes_no_event(shared):
    more = {"broker": "email", "url": "http://127.0.0.1/", "service": {"token": "x"}, "services": {"ci": {}}, "secret": "x"}
    plain = record()
    assert Event.from_record({**plain, **more}) == Event.from_record(plain)


@as_root
def test_what_root_pushes_is_readable_for_the_spools_user(state):
    for name in ("tmp", "new"):
        os.chown(folder(state, name), NOBODY.pw_uid, -1)
    found = Path(spool.write(state, record())).stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY.pw_uid, 0o600)


WRITE_AND_TELL_THE_ORDER = """
import os, posix, sys
sys.path.insert(0, sys.argv[1])
from brokers.delivery import spool

fsync, rename = posix.fsync, posix.rename
posix.fsync = lambda file: (print("fsync", os.readlink(f"/proc/self/fd/{file}").split("/")[-2]), fsync(file))
posix.rename = lambda old, new: (print("rename"), rename(old, new))
spool.write(sys.argv[2], {"id": spool.new_id()})
"""


@as_root
def test_where_the_directory_cannot_be_opened_the_renaming_is_written_out_with_the_file(shared):
    for path in (Path(shared), folder(shared, "")):
        path.chmod(0o711)
    for name in ("tmp", "new"):
        os.chown(folder(shared, name), NOBODY.pw_uid, NOBODY.pw_gid)
        folder(shared, name).chmod(statedir.DROP_BOX_MODE)
    command = [*MINDING_MODES, sys.executable, "-I", "-c", WRITE_AND_TELL_THE_ORDER, str(ROOT), shared]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["fsync tmp", "rename", "fsync new"]


# -------------------------------------------------------------------------------------------------------- what is no event

CHECKED = spool.encode({"id": "x", "options": ["caf\udce9"]})


def test_a_file_torn_at_any_byte_is_refused(state):
    path = put(state, "torn", b"")
    for length in range(len(CHECKED)):
        Path(path).write_bytes(CHECKED[:length])
        with pytest.raises(spool.BadSpoolFile, match="torn or not an event"):
            spool.load(path)
    Path(path).write_bytes(CHECKED)
    assert spool.load(path) == {"id": "x", "options": ["caf\udce9"]}


def test_a_bit_that_flips_in_any_byte_of_the_body_is_seen(state):
    path = put(state, "flipped", b"")
    for place in range(CHECKED.index(b"\n"), len(CHECKED)):
        Path(path).write_bytes(CHECKED[:place] + bytes([CHECKED[place] ^ 1]) + CHECKED[place + 1 :])
        with pytest.raises(spool.BadSpoolFile):
            spool.load(path)


def sealed(body, magic=spool.MAGIC, length=None, digest=None):
    """A spool file around any body, its checksum right."""
    return f"{magic} {len(body) if length is None else length} {digest or spool._sha256(body)}\n".encode() + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "torn or not an event"),
        (b"\n", "torn or not an event"),
        (b"nonsense", "torn or not an event"),
        (b"\xff\xfe \xff \xff\n{}", "torn or not an event"),
        (CHECKED + b" ", "torn or not an event"),
        (sealed(b"{}", magic="oberon-event 2"), "torn or not an event"),
        (sealed(b"{}", length=3), "torn or not an event"),
        (sealed(b"{}", length=-2), "torn or not an event"),
        (sealed(b"{}", length="9" * 5000), "torn or not an event"),
        (sealed(b"{}", digest="0" * 64), "torn or not an event"),
        (sealed(b"{"), "is not JSON"),
        (sealed(b"\xff"), "is not JSON"),
        (sealed(b"nan"), "is not JSON"),
        (sealed(b"9" * 5000), "is not JSON"),
        (sealed(b"[" * 100_000), "is not JSON"),
        (sealed(b'{"id":' * 100_000), "is not JSON"),
        (sealed(b"[]"), "is not an event"),
        (sealed(b"null"), "is not an event"),
        (sealed(b'"text"'), "is not an event"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_does_not_check_is_refused(state, data, reason):
    path = put(state, "wrong", data)
    with pytest.raises(spool.BadSpoolFile) as caught:
        spool.load(path)
    assert reason in caught.value.reason
    assert (caught.value.path, str(caught.value)) == (path, f"{path}: {caught.value.reason}")


def a_pipe(path):
    os.mkfifo(path)


def a_directory(path):
    Path(path).mkdir()


def a_link_to_an_event(path):
    target = Path(path).parents[2] / "event"
    target.write_bytes(CHECKED)
    Path(path).symlink_to(target)


def a_dangling_link(path):
    Path(path).symlink_to("/nowhere")


def a_link_to_itself(path):
    Path(path).symlink_to(path)


def a_socket(path):
    # Its name in the folder, since a socket's address may have 107 bytes only.
    with contextlib.chdir(Path(path).parent), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(Path(path).name)


def a_huge_file(path):
    with Path(path).open("wb") as file:
        file.truncate(spool.MAX_BYTES + 1)


KINDS = [
    (a_pipe, "not a regular file"),
    (a_directory, "not a regular file"),
    (a_link_to_an_event, "cannot be opened"),
    (a_dangling_link, "cannot be opened"),
    (a_link_to_itself, "cannot be opened"),
    (a_socket, "cannot be opened"),
    (a_huge_file, "is larger than"),
]


@pytest.mark.parametrize(("make", "reason"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_file_of_ours_is_refused_at_once_and_can_be_set_aside(state, make, reason):
    path = str(folder(state, "new") / "odd")
    make(path)
    good = spool.write(state, record())
    before = open_descriptors()
    with pytest.raises(spool.BadSpoolFile, match=reason):
        spool.load(path)
    assert open_descriptors() == before, "no descriptor is left open"
    assert path in spool.waiting(state)
    aside = spool.set_aside(state, path)
    assert os.path.lexists(aside)
    assert spool.waiting(state) == [good]


def test_what_another_process_took_is_no_bad_file(state):
    with pytest.raises(FileNotFoundError):
        spool.load(str(folder(state, "new") / "gone"))


def test_a_process_without_descriptors_does_not_take_an_event_for_a_bad_file(state):
    path = spool.write(state, record())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="Too many open files") as caught:
            spool.load(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert caught.value.errno == errno.EMFILE
    assert spool.load(path)


# ---------------------------------------------------------------------------------------------------- the worker's housekeeping


def test_the_oldest_comes_first(state):
    paths = [spool.write(state, record()) for _ in range(5)]
    for age, path in enumerate(paths):
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    assert spool.waiting(state) == list(reversed(paths))


def test_waiting_without_a_spool_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        spool.waiting(str(tmp_path))


def test_remove(state):
    path = spool.write(state, record())
    spool.remove(path)
    spool.remove(path)
    assert spool.waiting(state) == []


@pytest.mark.parametrize(
    "name",
    ["plain", "-rf", "new\nline", "esc\x1b[2J", "x" * 255, "ä" * 127, "\U0001d400" * 63, "caf\udce9", "...", "..hidden"],
    ids=ascii,
)
def test_set_aside_gives_a_name_of_its_own(state, name):
    path = str(folder(state, "new") / name)
    Path(path).write_bytes(b"nonsense")
    other = put(state, "other", b"nonsense")
    moved = [spool.set_aside(state, path), spool.set_aside(state, other)]
    assert spool.waiting(state) == []
    assert all(Path(made).parent == folder(state, "bad") for made in moved)
    assert all(Path(made).name.isprintable() and Path(made).name.isascii() for made in moved)
    assert Path(moved[0]).read_bytes() == b"nonsense"


def test_two_bad_files_of_one_name_are_both_kept(state):
    for content in (b"one", b"two"):
        spool.set_aside(state, put(state, "same", content))
    assert sorted(path.read_bytes() for path in folder(state, "bad").iterdir()) == [b"one", b"two"]


def test_sweep_takes_the_drafts_that_no_hook_can_still_be_writing(state):
    now = 2_000_000_000.0
    ages = {"fresh": 0.0, "young": spool.STALE_S - 60, "stale": spool.STALE_S + 60, "old": 10 * spool.STALE_S, "future": -3600.0}
    for name, age_s in ages.items():
        path = folder(state, "tmp") / name
        path.write_bytes(b"half")
        os.utime(path, (now - age_s, now - age_s))
    assert sorted(map(os.path.basename, spool.sweep(state, now))) == ["old", "stale"]
    assert listing(state)["tmp"] == ["fresh", "future", "young"]


def test_sweep_passes_over_what_it_cannot_remove(state):
    for name in ("a-directory", "b-draft"):
        path = folder(state, "tmp") / name
        path.mkdir() if name == "a-directory" else path.write_bytes(b"half")
        os.utime(path, (0, 0))
    assert list(map(os.path.basename, spool.sweep(state, 2_000_000_000.0))) == ["b-draft"]
    assert listing(state)["tmp"] == ["a-directory"]


def test_sweep_passes_over_what_is_gone_meanwhile(state):
    for name in ("one", "two"):
        path = folder(state, "tmp") / name
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    sweeping = spool.sweep(state, 2_000_000_000.0)
    first = next(sweeping)
    for path in folder(state, "tmp").iterdir():
        path.unlink()  # another worker on an old lock
    assert list(sweeping) == []
    assert not Path(first).exists()


# ------------------------------------------------------------------------------------------------------------ what it costs

WRITE_AND_TELL = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
from brokers.delivery import spool, statedir, wake
statedir.prepare(sys.argv[2])
spool.write(sys.argv[2], {"id": spool.new_id(), "options": ["caf\\udce9"], "time": 1.5, "refs": [["0", "1", "r"]]})
wake._send(sys.argv[2])
wake.is_held(sys.argv[2] + "/worker.lock")
print(*sorted(set(sys.modules) - before))
"""


def test_a_hook_that_writes_an_event_loads_nothing_that_costs(tmp_path):
    statedir.prepare(str(tmp_path / "state"))
    command = [sys.executable, "-I", "-S", "-c", WRITE_AND_TELL, str(ROOT), str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert {"brokers.delivery.spool", "brokers.delivery.statedir", "brokers.delivery.wake"} <= loaded
    costly = {"json", "re", "hashlib", "dataclasses", "typing", "subprocess", "socket", "importlib.metadata", "pathlib"}
    costly |= {"collections", "enum", "inspect", "logging", "sqlite3", "ssl", "threading", "tempfile", "urllib", "payload"}
    costly |= {"os", "stat", "__future__"}
    assert {name for name in loaded if name.split(".")[0] in costly or name in costly} == set()
    assert len(listing(str(tmp_path / "state"))["new"]) == 1
