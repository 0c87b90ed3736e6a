from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from brokers.errors import ConfigError
from hghooks import install


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "repo" / ".hg").mkdir(parents=True)
    return tmp_path / "repo"


CHANGEGROUP = b"changegroup.oberon = python:hghooks.changegroup.hook\n"
BOOKMARK = b"txnclose-bookmark.oberon = python:hghooks.bookmarks.hook\n"
BOTH = b"\n[hooks]\n" + CHANGEGROUP + BOOKMARK

OTHERS = [
    b"",
    b"[web]\nname = x\n",
    b"[web]\nname = x",
    b"\xef\xbb\xbf[web]\r\nname = caf\xe9\r\n",
    b"[hooks]\nchangegroup.mail = python:hgext.notify.hook\n  continued\n",
    b"\n\n",
    b"# a comment that ends the file",
]


@pytest.mark.parametrize("before", OTHERS)
def test_every_other_byte_stays(repository, before):
    hgrc = repository / ".hg" / "hgrc"
    if before:
        hgrc.write_bytes(before)
    done = install.install(repository)
    assert (done.changed, done.hgrc) == (True, hgrc)
    with_hook = hgrc.read_bytes()
    assert with_hook.startswith(before)
    assert with_hook.count(BOTH) == 1
    again = install.install(repository)
    assert (again.changed, hgrc.read_bytes()) == (False, with_hook)
    undone = install.uninstall(repository)
    assert undone.changed
    assert (hgrc.read_bytes() if hgrc.exists() else b"") == before
    assert install.uninstall(repository).changed is False


@given(before=st.binary(max_size=60), added=st.binary(max_size=60))
@example(before=b"# oberon: begin", added=b"")
@example(before=b"# oberon: end\n", added=b"# oberon: begin\n")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_whatever_stands_before_and_after(repository, before, added):
    hgrc = repository / ".hg" / "hgrc"
    hgrc.write_bytes(before)
    install.install(repository)
    with_hook = hgrc.read_bytes()
    hgrc.write_bytes(with_hook + added)
    install.uninstall(repository)
    between = b"\n" if added and before and not before.endswith(b"\n") else b""
    assert (hgrc.read_bytes() if hgrc.exists() else b"") == before + between + added


def test_hg_takes_it(hg_server):
    server = hg_server()
    server.hgrc("[web]\nname = x")
    install.install(server.path)
    assert server.hg("config", "hooks.changegroup.oberon") == "python:hghooks.changegroup.hook"
    assert server.hg("config", "hooks.txnclose-bookmark.oberon") == "python:hghooks.bookmarks.hook"
    assert server.hg("config", "web.name") == "x"


def test_a_block_somebody_edited_is_put_right(repository):
    hgrc = repository / ".hg" / "hgrc"
    install.install(repository)
    right = hgrc.read_bytes()
    hgrc.write_bytes(right.replace(b"python:hghooks", b"python:hghoks"))
    assert install.install(repository).changed
    assert hgrc.read_bytes() == right


def test_lines_by_hand_are_left_alone(repository):
    hgrc = repository / ".hg" / "hgrc"
    hgrc.write_bytes(b"[hooks]\n" + (CHANGEGROUP + BOOKMARK).replace(b" ", b""))
    done = install.install(repository)
    assert (done.changed, "lines of your own" in done.told) == (False, True)
    undone = install.uninstall(repository)
    assert undone.told == (
        f"{hgrc} has no lines that `oberon install` wrote, but the hook still is in place, "
        f"in lines of your own ({hgrc}:2, {hgrc}:3): take out {hgrc}:2 and {hgrc}:3"
    )
    assert undone.changed is False


@pytest.mark.parametrize(("by_hand", "added"), [(CHANGEGROUP, BOOKMARK), (BOOKMARK, CHANGEGROUP)])
def test_the_line_that_is_missing_is_added(repository, by_hand, added):
    hgrc = repository / ".hg" / "hgrc"
    before = b"[hooks]\n" + by_hand
    hgrc.write_bytes(before)
    assert install.install(repository).changed
    with_hook = hgrc.read_bytes()
    assert (with_hook.count(by_hand), with_hook.count(added)) == (1, 1)
    assert install.install(repository).changed is False
    undone = install.uninstall(repository)
    assert (undone.changed, hgrc.read_bytes()) == (True, before)
    assert undone.told == (
        f"took our lines out of {hgrc}, but the hook still is in place, in lines of your own ({hgrc}:2): take out {hgrc}:2"
    )


@pytest.mark.parametrize("line", [b"hghooks =", b"hgext.hghooks =", b"tell = /srv/oberon/hghooks"])
def test_the_extension_has_the_hook_in_place(repository, line):
    hgrc = repository / ".hg" / "hgrc"
    before = b"[extensions]\n" + line + b"\n"
    hgrc.write_bytes(before)
    done = install.install(repository)
    assert (done.changed, hgrc.read_bytes()) == (False, before)
    assert done.told == f"the hook is in place already, by the extension hghooks ({hgrc}:2)"
    undone = install.uninstall(repository)
    assert (undone.changed, hgrc.read_bytes()) == (False, before)
    assert undone.told.endswith(f"still is in place, by the extension hghooks ({hgrc}:2): take out {hgrc}:2")


def test_the_extension_came_after_our_lines(repository):
    hgrc = repository / ".hg" / "hgrc"
    install.install(repository)
    with hgrc.open("ab") as file:
        file.write(b"[extensions]\nhghooks =\n")
    assert "by the extension hghooks" in install.install(repository).told
    undone = install.uninstall(repository)
    assert (undone.changed, hgrc.read_bytes()) == (True, b"[extensions]\nhghooks =\n")
    assert undone.told.startswith(f"took our lines out of {hgrc}, but the hook still is in place, by the extension")


@pytest.mark.parametrize(
    ("shared", "off"),
    [
        (b"[extensions]\nhghooks =\n", b"[extensions]\nhghooks = !\n"),
        (b"[hooks]\n" + CHANGEGROUP + BOOKMARK, b"[hooks]\nchangegroup.oberon =\ntxnclose-bookmark.oberon =\n"),
    ],
)
def test_a_file_of_many_repositories(hg_server, tmp_path, monkeypatch, shared, off):
    server = hg_server()
    hgrc = server.path / ".hg" / "hgrc"
    (tmp_path / "all.rc").write_bytes(shared)
    monkeypatch.setenv("HGRCPATH", str(tmp_path / "all.rc"))
    assert "in place already" in install.install(server.path).told
    told = install.uninstall(server.path).told
    assert f"take out {tmp_path}/all.rc:2" in told
    for line in off.splitlines()[1:]:
        assert f"`{line.decode()}` under" in told
    with hgrc.open("ab") as file:
        file.write(off)
    assert install.uninstall(server.path).told == f"{hgrc} has no hook of ours"


@pytest.mark.parametrize("name", ["changegroup", "txnclose-bookmark"])
@pytest.mark.parametrize(
    ("value", "told"), [("/bin/echo hi", "another hook has this name: /bin/echo hi"), ("", "switches the hook off")]
)
@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("extension", ["", "[extensions]\nhghooks =\n"])
def test_another_hook_of_that_name_is_kept(repository, name, value, told, ours, extension):
    hgrc = repository / ".hg" / "hgrc"
    if ours:
        install.install(repository)
    with hgrc.open("a") as file:
        file.write(f"{extension}[hooks]\n{name}.oberon = {value}\n")
    before = hgrc.read_bytes()
    with pytest.raises(ConfigError, match=told) as refused:
        install.install(repository)
    assert hgrc.read_bytes() == before
    assert refused.value.setting == f"hooks.{name}.oberon"
    assert refused.value.origin == f"{hgrc}:{len(before.splitlines())}"
    assert "then install" in refused.value.remedy


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Mercurial does not close what it includes
def test_as_hg_reads_it(hg_server, tmp_path):
    server = hg_server()
    hgrc = server.path / ".hg" / "hgrc"
    (tmp_path / "hooks.rc").write_bytes(b"[hooks]\n" + CHANGEGROUP + BOOKMARK)
    server.hgrc(f"%include {tmp_path}/hooks.rc\n")
    assert f"{tmp_path}/hooks.rc:2, {tmp_path}/hooks.rc:3" in install.install(server.path).told
    server.hgrc("[hooks]\n%unset txnclose-bookmark.oberon\n")
    assert install.install(server.path).changed
    assert (hgrc.read_bytes().count(CHANGEGROUP), hgrc.read_bytes().count(BOOKMARK)) == (0, 1)
    assert server.hg("config", "hooks.txnclose-bookmark.oberon") == "python:hghooks.bookmarks.hook"


@pytest.mark.parametrize("before", OTHERS)
def test_the_block_of_before_there_was_a_hook_for_bookmarks(repository, before):
    """`oberon install` once more puts the new line in; `oberon uninstall` takes out an old block too."""
    hgrc = repository / ".hg" / "hgrc"
    hgrc.write_bytes(before)
    install.install(repository)
    new = hgrc.read_bytes()
    old = new.replace(BOOKMARK, b"")
    hgrc.write_bytes(old)
    assert install.install(repository).changed
    assert hgrc.read_bytes() == new
    hgrc.write_bytes(old)
    assert install.uninstall(repository).changed
    assert (hgrc.read_bytes() if hgrc.exists() else b"") == before


def test_the_hg_folder_itself_will_do(repository):
    assert install.install(repository / ".hg").hgrc == repository / ".hg" / "hgrc"


def test_no_repository(tmp_path):
    for function in (install.install, install.uninstall):
        with pytest.raises(ConfigError, match="no Mercurial repository"):
            function(tmp_path)


def test_mode_and_links_are_kept(repository, tmp_path):
    real = tmp_path / "shared.rc"
    real.write_bytes(b"[web]\nname = x\n")
    real.chmod(0o640)
    (repository / ".hg" / "hgrc").symlink_to(real)
    install.install(repository)
    assert (repository / ".hg" / "hgrc").is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert b"changegroup.oberon" in real.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if "oberon." in path.name] == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("there", [True, False])
def test_the_owner_is_kept_so_that_hg_trusts_it(repository, there):
    hgrc = repository / ".hg" / "hgrc"
    if there:
        hgrc.write_bytes(b"[web]\n")
        os.chown(hgrc, 12345, 12346)
    else:
        os.chown(hgrc.parent, 12345, 12346)
    install.install(repository)
    assert (hgrc.stat().st_uid, hgrc.stat().st_gid) == (12345, 12346)


# ------------------------------------------------------------------------------------------------------ the server's own hg


def test_the_python_of_the_hg_on_path():
    assert Path(install.hg_python()).samefile(sys.executable)


@pytest.mark.parametrize(
    "script",
    [
        f"#!{sys.executable}\n",
        f"#!{sys.executable} -I\nimport x\n",
        f"#!/usr/bin/env {Path(sys.executable).name}\n",
        f"#!/usr/bin/env -S {sys.executable} -I\n",
        f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n",
        '#!/bin/sh\n[ "$1" = debuginstall ] && echo ' + sys.executable + "\n",
    ],
)
def test_shapes_of_hg(tmp_path, script):
    hg = tmp_path / "hg"
    hg.write_text(script)
    hg.chmod(0o755)
    found = install.hg_python(str(hg))
    assert found is not None
    assert Path(found).samefile(sys.executable)


def test_no_hg_and_none_that_tells(tmp_path):
    assert install.hg_python("hg-that-is-not-there") is None
    hg = tmp_path / "hg"
    hg.write_text("#!/bin/sh\nexit 1\n")
    hg.chmod(0o755)
    assert install.hg_python(str(hg)) is None


def test_whether_a_python_can_run_the_hook(tmp_path, monkeypatch):
    import brokers

    monkeypatch.setenv("PYTHONPATH", str(Path(brokers.__file__).parent.parent))
    assert install.imports_in(sys.executable) is None
    bare = tmp_path / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    assert "No module named" in install.imports_in(str(bare))
    assert "no-python" in install.imports_in(str(tmp_path / "no-python"))
