"""What `oberon doctor` tells of a state directory's owners and modes, and in which the worker does not begin."""

import os
import pwd
import stat

import pytest

from brokers.cli.checks import rights
from brokers.delivery import layout, statedir
from tests.support.unix_users import GROUP, NOBODY, as_root

SHARE = ("--group", GROUP.gr_name, "--user", NOBODY.pw_name)
MINE = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def private(state_dir):
    statedir.prepare(str(state_dir))
    return state_dir


@pytest.fixture
def shared(oberon, state_dir):
    assert oberon("init", "--state-dir", state_dir, *SHARE).code == 0
    return state_dir


def found(state_dir):
    """(level, what was found, what mends it) of each check that is not ok, with DIR for the directory."""
    checks = [check for check in rights.from_inside(str(state_dir)) if check.level != "ok"]
    return [(check.level, *(text.replace(str(state_dir), "DIR") for text in (check.told, check.remedy))) for check in checks]


def test_a_private_one_that_is_well(private):
    [check] = rights.from_inside(str(private))
    assert (check.level, check.told) == ("ok", f"{private}, mode 700, {MINE}'s")
    layout.require_safe(str(private))


@as_root
@pytest.mark.parametrize(
    ("mode", "outbox", "owner", "group_remedy"),
    [
        # The ways in which several users are made to share one SQLite file, as they were measured; the drop box is the last.
        pytest.param(0o2770, 0o644, 0, True, id="setgid, and an outbox made under umask 022"),
        pytest.param(0o2770, 0o640, 0, True, id="setgid, and an outbox made under umask 007"),
        pytest.param(0o2770, 0o660, 0, True, id="setgid, and an outbox that the group may write"),
        pytest.param(0o700, 0o600, 12345, False, id="an outbox that another user opened first"),
        pytest.param(0o2750, 0o660, 0, True, id="an outbox that the group may write, in a directory that it may not"),
        pytest.param(0o770, 0o660, 0, True, id="a directory without setgid"),
    ],
)
def test_state_that_several_users_share_by_modes_alone(private, mode, outbox, owner, group_remedy):
    file = private / "outbox.sqlite3"
    file.write_text("")
    file.chmod(outbox)
    os.chown(file, owner, GROUP.gr_gid)
    os.chown(private, -1, GROUP.gr_gid)
    private.chmod(mode)
    shares = f"for hooks of many users: oberon init --group {GROUP.gr_name} --state-dir DIR; for those of one: chmod 700 DIR"
    wanted = [("warning", f"DIR has mode {mode:o}, and should have 700", shares)] if group_remedy else []
    told = (
        f"DIR/outbox.sqlite3 is {owner}'s, and the worker is root" if owner
        else f"DIR/outbox.sqlite3 has mode {outbox:o}, and should have 600"
    )  # fmt: skip
    assert found(private) == [*wanted, ("warning", told, "oberon init --state-dir DIR")]


@as_root
def test_the_drop_box_is_well(shared):
    checks = list(rights.from_inside(str(shared)))
    assert [(check.level, check.told) for check in checks] == [
        ("warning", f"{shared} is nobody's, and you are root"),
    ]
    assert checks[0].remedy == "run this as the user the worker runs as: su nobody"


@as_root
@pytest.mark.parametrize(
    ("part", "mode", "told"),
    [
        ("spool/new", 0o1733, "may be written by everybody (mode 1733)"),  # no setgid: the worker could not read
        ("spool/new", 0o2733, "may be written by everybody (mode 2733)"),  # not sticky: others could remove
        ("spool/new", 0o3777, "may be written by everybody (mode 3777)"),  # others could list
        ("spool/new", 0o700, "has mode 700, and should have 3733"),
        ("spool", 0o755, "has mode 755, and should have 710"),
        ("", 0o2711, "has mode 2711, and should have 2710"),
        ("spool/bad", 0o755, "has mode 755, and should have 700"),
        ("outbox.sqlite3", 0o644, "has mode 644, and should have 600"),
    ],
)
def test_what_is_wrong_with_a_shared_one(shared, oberon, part, mode, told):
    (shared / "outbox.sqlite3").write_text("")
    os.chown(shared / "outbox.sqlite3", NOBODY.pw_uid, -1)
    (shared / part).chmod(mode)
    place = f"DIR/{part}".rstrip("/")
    errors = [check for check in found(shared) if check[0] == "error"]
    assert errors[0] == ("error", f"{place} {told}", f"oberon init --group {GROUP.gr_name} --state-dir DIR")
    assert oberon("init", "--state-dir", shared, *SHARE).code == 0
    assert [check for check in found(shared) if check[0] == "error"] == []


@as_root
def test_a_gate_that_is_open_lets_everybody_add(shared):
    shared.chmod(0o2711)
    (shared / "spool").chmod(0o711)
    told = [check[1] for check in found(shared)]
    assert "DIR/spool/new may be written by everybody (mode 3733)" in told
    assert [flaw.path for flaw in layout.flaws(str(shared), NOBODY.pw_uid) if flaw.unsafe] == [
        str(shared / "spool" / part) for part in ("tmp", "new")
    ]


@as_root
def test_a_shared_one_of_the_wrong_groups(shared):
    os.chown(shared / "spool" / "new", -1, GROUP.gr_gid)
    os.chown(shared / "spool", -1, 0)
    (shared / "spool" / "new").chmod(0o3733)
    told = [check[1] for check in found(shared)]
    assert f"DIR/spool is of the group root, and should be of {GROUP.gr_name}" in told
    assert f"DIR/spool/new is of the group {GROUP.gr_name}, which could read what lies there" in told
    assert f"{GROUP.gr_name} is nobody's own group, so its members could read each other's pushes" in told


@pytest.mark.parametrize("part", ["spool", "spool/new", "spool/tmp", "spool/bad"])
def test_no_worker_begins_where_a_link_stands_for_a_directory(private, tmp_path, oberon, oberon_apart, part):
    elsewhere = tmp_path / "elsewhere"
    (private / part).rename(elsewhere)
    (private / part).symlink_to(elsewhere)
    ran = oberon_apart("run", "--drain", "--state-dir", private)
    assert ran.code == 1
    assert f"{private / part} is a symbolic link; see `oberon doctor --state-dir {private}`" in ran.err
    doctor = oberon("doctor", "--state-dir", private)
    assert doctor.code == 1
    assert f"mv {private / part} {private / part}.old && oberon init --state-dir {private}" in doctor.out
    assert f"{private / part} is a symbolic link" in oberon("status", "--state-dir", private).out


@as_root
def test_no_worker_begins_in_the_spool_of_another(private, oberon_apart):
    os.chown(private / "spool" / "new", 12345, -1)
    ran = oberon_apart("run", "--drain", "--state-dir", private)
    assert ran.code == 1
    assert "spool/new is 12345's, and the worker is root" in ran.err


@pytest.mark.parametrize("part", ["", "spool", "spool/new", "spool/tmp"])
def test_no_worker_begins_where_everybody_may_write(private, oberon, oberon_apart, part):
    (private / part).chmod(0o777)
    ran = oberon_apart("run", "--drain", "--state-dir", private)
    assert ran.code == 1
    assert "may be written by everybody (mode 777)" in ran.err
    assert oberon("init", "--state-dir", private, "--user", MINE).code == 0
    assert oberon_apart("run", "--drain", "--state-dir", private).code == 0
    assert stat.S_IMODE((private / part).stat().st_mode) == 0o700


@as_root
def test_what_lies_in_a_directory_of_root_is_the_workers(private):
    for part in ("spool", "spool/new", "spool/tmp", "spool/bad"):
        os.chown(private / part, 12345, -1)
    assert [flaw.unsafe for flaw in layout.flaws(str(private), 12345)] == [False]
