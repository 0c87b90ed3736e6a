"""Where the state goes, and that the folder is its user's alone."""

import os
import posix
import stat
import threading
from pathlib import Path

import pytest

from brokers.delivery import spool, statedir


@pytest.fixture(autouse=True)
def system_dir(tmp_path, monkeypatch):
    """The system's folder, not there yet, where a test may make it."""
    path = tmp_path / "var-lib-oberon"
    monkeypatch.setattr(statedir, "SYSTEM_DIR", str(path))
    return path


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_what_is_configured_is_taken(system_dir):
    system_dir.mkdir()
    assert statedir.choose("/srv/oberon", {"HOME": "/home/ada"}) == "/srv/oberon"


def test_a_home_may_be_configured(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert statedir.choose("~/oberon", {}) == "/home/ada/oberon"


def test_the_systems_folder_comes_first(system_dir, tmp_path):
    system_dir.mkdir()
    assert statedir.choose(None, {"HOME": str(tmp_path)}) == str(system_dir)


def test_the_systems_folder_is_taken_when_only_its_spool_is_open_to_us(system_dir, tmp_path, monkeypatch):
    new = system_dir / "spool" / "new"
    new.mkdir(parents=True)
    real = posix.access
    monkeypatch.setattr(posix, "access", lambda path, wanted: path != str(system_dir) and real(path, wanted))
    assert statedir.choose(None, {"HOME": str(tmp_path)}) == str(system_dir)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/STATE", "HOME": "/HOME"}, "/STATE/oberon"),
        ({"XDG_STATE_HOME": "/STATE"}, "/STATE/oberon"),
        ({"XDG_STATE_HOME": "/STATE/"}, "/STATE/oberon"),
        ({"HOME": "/HOME/"}, "/HOME/.local/state/oberon"),
        ({"HOME": "/HOME"}, "/HOME/.local/state/oberon"),
        ({"XDG_STATE_HOME": "", "HOME": "/HOME"}, "/HOME/.local/state/oberon"),
        # XDG Base Directory Specification: a path that is not absolute is to be ignored.
        ({"XDG_STATE_HOME": "state", "HOME": "/HOME"}, "/HOME/.local/state/oberon"),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_then_the_users(tmp_path, environ, expected, beside):
    environ = {name: str(tmp_path) + value if value.startswith("/") else value for name, value in environ.items()}
    chosen = statedir.choose(None, environ, str(tmp_path / "repo.git") if beside else None)
    assert chosen == str(tmp_path) + expected


@pytest.mark.parametrize(
    "environ", [{}, {"HOME": ""}, {"HOME": "nowhere"}, {"HOME": "/dev/null"}, {"XDG_STATE_HOME": "/dev/null/x"}]
)
def test_without_a_home_that_can_be_had_it_is_beside_the_repository(tmp_path, environ):
    assert statedir.choose(None, environ, str(tmp_path / "repo.git")) == str(tmp_path / "repo.git" / "oberon")


def test_beside_a_relative_git_directory_it_is_absolute(tmp_path, monkeypatch):
    # receive-pack runs hooks with GIT_DIR=. and the repository as the working directory: githooks(5).
    monkeypatch.chdir(tmp_path)
    assert statedir.choose(None, {}, ".") == str(tmp_path / "oberon")


def test_without_home_and_repository_it_is_the_systems(system_dir):
    assert statedir.choose(None, {}) == str(system_dir)


def test_choosing_makes_nothing(tmp_path):
    before = sorted(tmp_path.rglob("*"))
    statedir.choose(None, {"HOME": str(tmp_path / "new" / "home")}, str(tmp_path / "repo.git"))
    statedir.choose(None, {}, str(tmp_path / "repo.git"))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_prepare_makes_it_for_its_user_alone(tmp_path, umask):
    state = tmp_path / "deep" / "state"
    before = os.umask(umask)
    try:
        statedir.prepare(str(state))
    finally:
        os.umask(before)
    made = [state, *(state / "spool" / part for part in (".", "tmp", "new", "bad"))]
    assert {mode(path) for path in made} == {0o700}
    spool.write(str(state), {"id": spool.new_id()})


def test_prepare_takes_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    statedir.prepare("state")
    assert (tmp_path / "state" / "spool" / "new").is_dir()


def test_prepare_leaves_what_is_there_as_it_is(tmp_path):
    state = tmp_path / "state"
    for part in ("tmp", "new"):
        (state / "spool" / part).mkdir(parents=True)
    (state / "spool").chmod(0o3730)
    statedir.prepare(str(state))
    assert mode(state / "spool") == 0o3730
    assert not (state / "spool" / "bad").exists(), "a spool that is there is not looked into: that is the hooks' path"


def test_prepare_completes_what_was_begun(tmp_path):
    (tmp_path / "spool" / "tmp").mkdir(parents=True)
    statedir.prepare(str(tmp_path))
    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == ["bad", "new", "tmp"]


def test_many_hooks_at_once_may_prepare_it(tmp_path):
    state = str(tmp_path / "state")
    start = threading.Barrier(8)
    failures = []

    def hook():
        start.wait()
        try:
            statedir.prepare(state)
            spool.write(state, {"id": spool.new_id()})
        except OSError as error:
            failures.append(error)

    hooks = [threading.Thread(target=hook) for _ in range(8)]
    for thread in hooks:
        thread.start()
    for thread in hooks:
        thread.join()
    assert failures == []
    assert len(spool.waiting(state)) == 8


def test_prepare_raises_when_it_cannot(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(OSError, match="file"):
        statedir.prepare(str(file / "state"))


def test_the_documented_layout_is_the_one_used(tmp_path):
    statedir.prepare(str(tmp_path))
    documented = {line.split()[0] for line in statedir.__doc__.splitlines() if line.startswith("    ")}
    assert {f"spool/{path.name}/" for path in Path(tmp_path, "spool").iterdir()} <= documented


@pytest.mark.parametrize(
    ("modes", "expected"), [(0o3733, True), (0o700, False), (0o1733, False), (0o3730, False), (0o777, False)]
)
def test_it_is_shared_where_the_spool_is_a_drop_box(tmp_path, modes, expected):
    statedir.prepare(str(tmp_path))
    (tmp_path / "spool" / "new").chmod(modes)
    assert statedir.is_shared(str(tmp_path)) is expected


def test_what_is_not_there_is_not_shared(tmp_path):
    assert not statedir.is_shared(str(tmp_path / "state"))
    (tmp_path / "spool").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere").chmod(0o3733)
    (tmp_path / "spool" / "new").symlink_to(tmp_path / "elsewhere")
    assert not statedir.is_shared(str(tmp_path))
