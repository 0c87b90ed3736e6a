"""`oberon init`: what it makes, what it mends, and what it refuses. That the modes do what they are for: tests/integration/test_shared_state.py."""

import fcntl
import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from brokers.delivery import layout, spool, statedir
from tests.support.unix_users import GROUP, NOBODY, as_root

SHARED = {"": 0o2710, "spool": 0o710, "spool/tmp": 0o3733, "spool/bad": 0o700, "spool/new": 0o3733}
SHARE = ("--group", GROUP.gr_name, "--user", NOBODY.pw_name)


def modes(state_dir):
    return {part.name: stat.S_IMODE((state_dir / part.name).stat().st_mode) for part in layout.PARTS}


def owners(state_dir):
    return {part.name: ((found := (state_dir / part.name).stat()).st_uid, found.st_gid) for part in layout.PARTS}


@pytest.fixture
def me():
    return pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_private(oberon, state_dir, me, umask):
    before = os.umask(umask)
    try:
        ran = oberon("init", "--state-dir", state_dir, "--user", me)
    finally:
        os.umask(before)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0] == f"made {state_dir}: mode 700, {me}"
    assert f"oberon doctor --state-dir {state_dir}" in ran.out
    assert "usermod" not in ran.out
    assert set(modes(state_dir).values()) == {0o700}
    assert not statedir.is_shared(str(state_dir))
    spool.write(str(state_dir), {"id": spool.new_id()})
    again = oberon("init", "--state-dir", state_dir, "--user", me)
    assert again.out.splitlines()[0] == f"{state_dir} is as it should be"


def test_a_dry_run_makes_nothing(oberon, state_dir, me):
    ran = oberon("init", "--state-dir", state_dir, "--user", me, "--dry-run")
    assert ran.out.splitlines()[:5] == [
        f"would make {state_dir}{part}: mode 700, {me}" for part in ("", "/spool", "/spool/tmp", "/spool/bad", "/spool/new")
    ]
    assert not state_dir.exists()


@as_root
def test_shared(oberon, state_dir):
    dry = oberon("init", "--state-dir", state_dir, *SHARE, "--dry-run")
    assert not state_dir.exists()
    before = os.umask(0o077)
    try:
        ran = oberon("init", "--state-dir", state_dir, *SHARE)
    finally:
        os.umask(before)
    assert ran.code == 0, ran.err
    assert dry.out == ran.out.replace("made", "would make")
    assert modes(state_dir) == SHARED
    pushers, own = (NOBODY.pw_uid, GROUP.gr_gid), (NOBODY.pw_uid, NOBODY.pw_gid)
    assert owners(state_dir) == {"": pushers, "spool": pushers, "spool/tmp": own, "spool/bad": own, "spool/new": own}
    assert statedir.is_shared(str(state_dir))
    assert list(layout.flaws(str(state_dir), NOBODY.pw_uid)) == []
    assert f"usermod --append --groups {GROUP.gr_name} USER" in ran.out
    assert "systemctl enable --now oberon-worker.service" in ran.out
    assert f"git config --system oberon.stateDir {state_dir}" in ran.out
    assert "may not pass" in ran.err, "pytest's folders are for their user alone"


@as_root
def test_what_is_there_is_mended(oberon, state_dir):
    statedir.prepare(str(state_dir))
    event = spool.write(str(state_dir), {"id": spool.new_id()})
    outbox, secret = state_dir / "outbox.sqlite3", state_dir.parent / "secret"
    outbox.write_text("")
    outbox.chmod(0o664)
    secret.write_text("")
    (state_dir / "worker.lock").symlink_to(secret)
    os.link(secret, state_dir / "worker.log")
    with (state_dir / "worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = oberon("init", "--state-dir", state_dir, *SHARE)
    assert modes(state_dir) == SHARED
    assert f"mended {outbox}: mode 600, nobody" in ran.out
    assert f"mended 1 files in {state_dir}/spool/new: readable for nobody" in ran.out
    assert "is to be restarted" in ran.out
    assert ((found := outbox.stat()).st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY.pw_uid, 0o600)
    assert Path(event).stat().st_uid == NOBODY.pw_uid
    assert secret.stat().st_uid == 0, "what a link leads to, or has another name, is not given away"


@as_root
@pytest.mark.parametrize(
    "broken", [("spool/new", 0o1733), ("spool/new", 0o770), ("", 0o755), ("spool", 0o711), ("spool/tmp", 0o777)]
)
def test_a_shared_one_stays_so(oberon, state_dir, broken):
    oberon("init", "--state-dir", state_dir, *SHARE)
    name, mode = broken
    (state_dir / name).chmod(mode)
    file = state_dir / "spool" / "new" / "pushed"
    file.write_text("")
    os.chown(file, 12345, 0)
    ran = oberon("init", "--state-dir", state_dir)
    assert ran.out.splitlines()[0] == (
        f"mended {state_dir / name}: mode {SHARED[name]:o}, nobody:{(GROUP.gr_name if name in ('', 'spool') else 'nogroup')}"
    )
    assert modes(state_dir) == SHARED
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, NOBODY.pw_gid), "the owner says who pushed"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--group", "no-such-group"), "there is no group 'no-such-group'; groupadd no-such-group"),
        (("--user", "no-such-user"), "there is no user 'no-such-user'; useradd --system --user-group"),
        (("--state-dir", "/dev/null/state"), "/dev/null/state: cannot be looked at: Not a directory"),
    ],
)
def test_what_is_not_there(oberon, state_dir, arguments, told):
    ran = oberon("init", "--state-dir", state_dir, *arguments)
    assert ran.code == 2
    assert told in ran.err
    assert not state_dir.exists()


@as_root
def test_root_has_to_say_whose_it_is(oberon, state_dir):
    ran = oberon("init", "--state-dir", state_dir)
    assert ran.code == 2
    assert "--user git" in ran.err
    assert "useradd --system --user-group --no-create-home oberon" in ran.err
    state_dir.mkdir()
    os.chown(state_dir, NOBODY.pw_uid, -1)
    assert f"made {state_dir}/spool: mode 700, nobody" in oberon("init", "--state-dir", state_dir).out


@as_root
def test_pushers_in_the_workers_own_group_are_refused(oberon, state_dir):
    ran = oberon("init", "--state-dir", state_dir, "--group", grp.getgrgid(NOBODY.pw_gid).gr_name, "--user", "nobody")
    assert ran.code == 2
    assert "is nobody's own group, so its members could read each other's pushes" in ran.err
    assert "usermod --gid oberon-worker nobody" in ran.err
    assert not state_dir.exists()


@pytest.mark.parametrize("name", ["", "spool", "spool/new"])
def test_what_is_no_directory_is_refused(oberon, state_dir, tmp_path, me, name):
    statedir.prepare(str(state_dir))
    elsewhere = tmp_path / "elsewhere"
    (state_dir / name).rename(elsewhere)
    (state_dir / name).symlink_to(elsewhere)
    ran = oberon("init", "--state-dir", state_dir, "--user", me)
    assert ran.code == 2
    assert f"{state_dir / name}: is a symbolic link" in ran.err
    (state_dir / name).unlink()
    (state_dir / name).write_text("")
    ran = oberon("init", "--state-dir", state_dir, "--user", me)
    assert ran.code == 2
    assert f"{state_dir / name}: is not a directory" in ran.err


def test_the_folder_above_has_to_be_there(oberon, tmp_path, me):
    ran = oberon("init", "--state-dir", tmp_path / "no" / "state", "--user", me)
    assert ran.code == 2
    assert f"there is no directory {tmp_path}/no" in ran.err
