"""Real unix users, and a Python with Oberon that they can run wherever the one of the tests is (root's home, say)."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Argument, Finished, run

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives files to another user")
NOBODY = pwd.getpwnam("nobody")
GROUP = next(group for group in grp.getgrall() if group.gr_gid not in (0, NOBODY.pw_gid) and not group.gr_mem)
"""One that neither root nor nobody is in."""

ROOT = Path(__file__).parents[2]
PACKAGES = ("brokers", "githooks", "hghooks", "payload")
NEEDED = ("mercurial", "hgext", "hgdemandimport", "dulwich", "requests", "urllib3", "certifi", "idna", "charset_normalizer")
NOT_NEEDED = {"test", "tests", "site-packages", "dist-packages", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo"}
SETTINGS = {
    "gitconfig": "[user]\n\tname = Test User\n\temail = test@example.org\n[safe]\n\tdirectory = *\n[gc]\n\tauto = 0\n",
    "hgrc": "[ui]\nusername = Test User <test@example.org>\n[trusted]\nusers = root\n",
}


@dataclass(frozen=True)
class User:
    """One of the machine's users; `place` is a folder that all of them can reach."""

    name: str
    place: Path

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    @property
    def gid(self) -> int:
        """Of their own group."""
        return pwd.getpwnam(self.name).pw_gid

    @property
    def home(self) -> Path:
        return self.place / "home" / self.name

    def command(self, *argv: Argument, umask: int = 0o022) -> list[Argument]:
        """`argv` as this user, in the groups of the group file."""
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups", "--"]
        return [*become, "sh", "-c", f'umask {umask:04o}; exec "$@"', "sh", *argv]

    @property
    def env(self) -> dict[str, str | None]:
        """To be laid over the test's."""
        mine = {
            "HOME": str(self.home),
            "LOGNAME": self.name,
            "USER": self.name,
            "TMPDIR": str(self.home),
            "GIT_CONFIG_GLOBAL": str(self.place / "gitconfig"),
            "HGRCPATH": str(self.place / "hgrc"),
            "PATH": f"{self.place}/bin:/usr/local/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": str(self.place / "python" / "lib"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return {**mine, **dict.fromkeys(name for name in os.environ if name.startswith("XDG_"))}

    def run(
        self,
        *argv: Argument,
        umask: int = 0o022,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> Finished:
        """Run a command as this user; `options` as for tests.support.command.run."""
        return run(self.command(*argv, umask=umask), cwd=cwd or self.home, env={**self.env, **(env or {})}, **options)


@contextmanager
def users(*names: str, group: str, members: Sequence[str]) -> Iterator[tuple[Mapping[str, User], str]]:
    """Users of those names, and a group with `members`; removed afterwards. Yields name -> User and the group's name.

    Each has a group of its own. For root. The machine's names are others: `ob`, this process's number, the name.
    """
    place = Path(tempfile.mkdtemp(prefix="oberon-users-", dir="/tmp"))
    real = {name: f"ob{os.getpid()}{name}" for name in (*names, group)}
    try:
        place.chmod(0o755)
        _python(place)
        for name, content in SETTINGS.items():
            (place / name).write_text(content)
        run(["groupadd", real[group]])
        made = {}
        for name in names:
            extra = ["--groups", real[group]] if name in members else []
            run(["useradd", "--no-create-home", "--user-group", *extra, real[name]])
            made[name] = User(real[name], place)
            made[name].home.mkdir(mode=0o700, parents=True)
            os.chown(made[name].home, made[name].uid, made[name].gid)
        (place / "home").chmod(0o755)
        yield made, real[group]
    finally:
        for name in names:
            subprocess.run(["userdel", real[name]], capture_output=True, check=False)
        subprocess.run(["groupdel", real[group]], capture_output=True, check=False)
        shutil.rmtree(place)


def _python(place: Path) -> None:
    """`bin/oberon`, `bin/oberon-post-receive` and `bin/hg` below `place`, with all that they import."""
    python = place / "python"
    base, stdlib = Path(sys.base_prefix), Path(sysconfig.get_paths()["stdlib"])
    _linked(Path(sys._base_executable).resolve(), python / "bin" / "python3")  # type: ignore[attr-defined]
    _linked(stdlib, python / "lib" / stdlib.name)
    for library in (base / "lib").glob("libpython*.so*"):
        _linked(library, python / "lib" / library.name)
    packages = Path(sysconfig.get_paths()["platlib"])
    for name in NEEDED:
        _linked(packages / name, place / "lib" / name)
    for name in PACKAGES:
        _linked(ROOT / name, place / "lib" / name)
    for name, module in (("oberon", "brokers.cli.main"), ("oberon-post-receive", "githooks.post_receive")):
        _script(place, name, f"from {module} import main\nsys.exit(main())\n")
    _script(place, "hg", "from mercurial import dispatch\ndispatch.run()\n")


def _script(place: Path, name: str, source: str) -> None:
    script = place / "bin" / name
    script.parent.mkdir(mode=0o755, exist_ok=True)
    script.write_text(f"#!{place}/python/bin/python3 -I\nimport sys\nsys.path.insert(0, {str(place / 'lib')!r})\n{source}")
    script.chmod(0o755)


def _linked(source: Path, target: Path) -> None:
    """The same files again, as hard links where that can be: quick, and no room taken."""
    if source.is_dir():
        target.mkdir(mode=0o755, parents=True)
        for entry in source.iterdir():
            if entry.name not in NOT_NEEDED:
                _linked(entry, target / entry.name)
        return
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        if source.stat().st_mode & 0o004:
            os.link(source.resolve(), target)
            return
    except OSError:
        pass  # another file system
    shutil.copyfile(source, target)
    target.chmod(source.stat().st_mode | 0o444)
