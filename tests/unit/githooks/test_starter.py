from __future__ import annotations

import marshal
import os
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from githooks import bundle, install, starter
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
    beside = path.with_suffix(".bundle")
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path, beside)] == [0o755, 0o755, 0o644]
    assert sorted(path.parent.iterdir()) == [path, beside]
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


def test_what_it_imports_it_has_from_the_bundle(prefix, pushed, tmp_path):
    install.install(str(pushed.path))
    path = starter.script()
    told = tmp_path / "told"
    tell = (
        f"open({str(told)!r}, 'w').write(' '.join(n for n, m in sys.modules.items() if type(m.__loader__).__name__ == '_Loader'))"
    )
    path.write_text(path.read_text().replace("posix._exit(main())", f"main()\n{tell}"))
    assert "recorded this push as" in push(pushed, oberon_verbose="true")
    assert set(told.read_text().split()) == set(bundle.MODULES)


def _nothing(_content):
    return b""


def _of_another_python(content):
    return b"\0\0\r\n" + content[4:]


def _cut_off(content):
    return content[:1000]


def _of_other_sources(content):
    code, modules = marshal.loads(content[4:])
    changed = {name: (source, time - 1, size, b"no code") for name, (source, time, size, _) in modules.items()}
    return content[:4] + marshal.dumps((code, changed))


def _impossible(content):
    return content[:7] + b"\xff\xff\xff\xff" + content[11:]  # how many arguments the first code has


SPOILT = [_nothing, _of_another_python, _cut_off, _of_other_sources, _impossible]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_bundle_that_does_not_fit_is_passed_over(prefix, pushed, spoil):
    install.install(str(pushed.path))
    spoilt = starter.script().with_suffix(".bundle")
    spoilt.write_bytes(spoil(spoilt.read_bytes()))
    assert "recorded this push as" in push(pushed, oberon_verbose="true")


def test_where_code_in_it_is_damaged_the_console_script_is_asked(prefix, pushed):
    install.install(str(pushed.path))
    damaged = starter.script().with_suffix(".bundle")
    content = damaged.read_bytes()
    code, modules = marshal.loads(content[4:])
    damaged.write_bytes(content[:4] + marshal.dumps((code, {name: (*made, b"no code") for name, (*made, _) in modules.items()})))
    assert "recorded this push as" in push(pushed, oberon_verbose="true")


def test_without_a_bundle_it_works_too(prefix, pushed):
    install.install(str(pushed.path))
    starter.script().with_suffix(".bundle").unlink()
    assert "recorded this push as" in push(pushed, oberon_verbose="true")


@pytest.mark.parametrize("spoil", SPOILT)
def test_after_an_upgrade_the_worker_makes_it_anew(prefix, spoil):
    beside = starter.script().with_suffix(".bundle")
    made = beside.stat()
    starter.renew()
    assert beside.stat().st_ino == made.st_ino, "there was no need"
    fresh = beside.read_bytes()
    beside.write_bytes(spoil(fresh))
    starter.renew()
    assert beside.read_bytes() == fresh
    assert stat.S_IMODE(beside.stat().st_mode) == 0o644


def test_after_a_move_the_worker_makes_the_script_anew_too(prefix, pushed):
    path = starter.script()
    fresh = path.read_text()
    path.write_text(fresh.replace(repr(str(Path(install.__file__).parents[1])), repr(sysconfig.get_path("stdlib"))))
    beside = path.with_suffix(".bundle")
    beside.write_bytes(_of_other_sources(beside.read_bytes()))
    starter.renew()
    assert path.read_text() == fresh
    install._put(pushed.path / "hooks/post-receive", lambda draft: draft.symlink_to(path))
    assert "recorded this push as" in push(pushed, oberon_verbose="true")


def test_a_source_that_is_not_whole_yet_does_not_stop_the_worker(prefix, tmp_path, monkeypatch):
    beside = starter.script().with_suffix(".bundle")
    before = beside.read_bytes()
    (tmp_path / "half_written.py").write_text("def half(")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bundle, "MODULES", ("half_written",))
    starter.renew()
    assert beside.read_bytes() == before


def test_where_there_is_none_it_is_not_made(prefix):
    starter.renew()
    assert list(prefix.iterdir()) == []
