from __future__ import annotations

import os
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from githooks import install, starter
from tests.support.hooked import SCRIPTS, git_settings

CONSOLE_SCRIPT = SCRIPTS / "oberon-post-receive"


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """Where the venv is, as far as `starter` can see; there is no starter yet."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    (tmp_path / "venv").mkdir()
    return tmp_path / "venv"


@pytest.fixture
def pushed(git_server, state_dir):
    """A server with a service and one commit more than it has been told of; its hook is to be put in."""
    server = git_server()
    git_settings(server, state_dir)
    server.config("service.ci.broker", "post")
    server.clone().commit()
    return server


def push(server, **settings):
    for key, value in settings.items():
        server.config(key.replace("_", "."), value)
    clone = server.path.parent / "clone"
    return subprocess.run(["git", "-C", clone, "push", "-q"], check=True, capture_output=True, text=True).stderr


def test_it_is_made_once_and_fit_for_every_user(prefix):
    before = os.umask(0o077)
    try:
        path = starter.script()
    finally:
        os.umask(before)
    assert path == prefix / "libexec" / "oberon-post-receive"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path)] == [0o755, 0o755]
    assert list(path.parent.iterdir()) == [path]
    made = path.stat()
    assert starter.script() == path
    assert path.stat().st_ino == made.st_ino


def test_another_installation_s_is_replaced(prefix):
    starter.script().write_text("#!/old/python -IS\n")
    assert starter.script().read_text().startswith(f"#!{sys.executable} -IS\n")


@pytest.mark.parametrize(
    ("python", "base"),
    [("/" + "x" * 200 + "/python3", "/usr"), ("/a b/python3", "/usr"), (sys.executable, None)],
    ids=["long", "space", "no venv"],
)
def test_where_it_cannot_be_hooks_link_to_the_console_script(prefix, monkeypatch, python, base):
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setattr(sys, "base_prefix", base or str(prefix))
    monkeypatch.setenv("PATH", str(SCRIPTS), prepend=os.pathsep)
    assert starter.script() == CONSOLE_SCRIPT
    assert not (prefix / "libexec").exists()


def test_where_it_cannot_be_written_hooks_link_to_the_console_script(prefix):
    (prefix / "libexec").write_text("")
    assert starter.script() == CONSOLE_SCRIPT


def test_it_records_a_push(prefix, pushed, state_dir):
    install.install(str(pushed.path))
    said = push(pushed, oberon_verbose="true")
    assert "recorded this push as" in said
    assert (pushed.path / "hooks/post-receive").readlink() == prefix / "libexec" / "oberon-post-receive"


def test_inline_it_finds_what_a_broker_needs(prefix, pushed, receiver):
    install.install(str(pushed.path))
    assert "error" not in push(pushed, oberon_mode="inline", service_ci_url=receiver.url)
    assert receiver.wait(1)


def test_what_it_cannot_import_the_console_script_can(prefix, pushed):
    path = starter.script()
    path.write_text(path.read_text().replace(repr(str(Path(install.__file__).parents[1])), repr(sysconfig.get_path("stdlib"))))
    install._put(pushed.path / "hooks/post-receive", lambda draft: draft.symlink_to(path))
    assert "recorded this push as" in push(pushed, oberon_verbose="true")
