import os
from pathlib import Path

import pytest

from brokers.delivery import disk

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw
31 30 0:41 / /home/local rw - xfs /dev/vdb rw
32 22 0:42 / /mnt/with\\040blank rw - cifs //server/share rw
33 22 0:43 / /mnt/far rw - fuse.sshfs host:/ rw
34 22 8:1 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
35 22 0:44 / /over rw - nfs server:/ rw
36 35 8:2 / /over rw - ext4 /dev/sdc rw
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/oberon", None),
        ("/home", "nfs4"),
        ("/home/git/state", "nfs4"),
        ("/homestead", None),
        ("/home/local/state", None),
        ("/mnt/with blank/state", "cifs"),
        ("/mnt/far/state", "fuse.sshfs"),
        ("/mnt/ntfs/state", None),
        ("/over/state", None),  # what was mounted last is what is seen
    ],
)
def test_a_file_system_that_several_machines_share(path, kind):
    assert disk.remote_type(path, MOUNTS) == kind


def test_this_machine_s_own_mounts(tmp_path):
    assert disk.remote_type(str(tmp_path)) is None
    assert disk.remote_type("/", []) is None


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def test_the_ballast_takes_its_room(folder):
    assert disk.keep_ballast(str(folder))
    found = (folder / disk.BALLAST).stat()
    assert found.st_size == disk.BALLAST_BYTES
    assert found.st_blocks * 512 >= disk.BALLAST_BYTES
    assert found.st_mode & 0o077 == 0
    assert disk.keep_ballast(str(folder))
    assert disk.release_ballast(str(folder))
    assert not disk.release_ballast(str(folder))
    assert list(folder.iterdir()) == []


def test_a_ballast_that_was_not_finished_is_made_whole(folder):
    (folder / disk.BALLAST).write_bytes(b"0" * 10)
    assert disk.keep_ballast(str(folder))
    assert (folder / disk.BALLAST).stat().st_blocks * 512 >= disk.BALLAST_BYTES


def test_where_no_ballast_can_be_made_there_is_none(folder):
    assert not disk.keep_ballast(str(folder / "missing"))
    (folder / disk.BALLAST).symlink_to(folder / "elsewhere")
    assert not disk.keep_ballast(str(folder))
    assert not (folder / "elsewhere").exists()
    assert not os.path.lexists(folder / disk.BALLAST)
    assert not Path(folder / disk.BALLAST).exists()
