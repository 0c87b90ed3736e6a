"""A real sshd on 127.0.0.1, with keys and a configuration of its own, for the user who runs the tests."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from brokers.testing.receiver import HOST
from tests.support.processes import end

PROGRAM = "/usr/sbin/sshd"  # it wants to be called by its whole path
READY_S = 20.0

# What of a test's environment a session gets; sshd itself gives it the account's home.
FORWARDED = re.compile(r"HOME|PATH|TMPDIR|TZ|LC_ALL|HGRCPATH|(GIT_CONFIG|XDG|COVERAGE)_.*")

CONFIGURATION = """\
Port {port}
ListenAddress {host}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
ForceCommand {folder}/session
"""

SESSION = """\
#!/bin/sh
. {folder}/environment
cd "$HOME" && exec sh -c "$SSH_ORIGINAL_COMMAND"
"""


class Sshd:
    """Runs while it is entered; its keys, configuration and log are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        (folder / "config").write_text(CONFIGURATION.format(folder=folder, host=HOST, port=self.port))
        (folder / "session").write_text(SESSION.format(folder=folder))
        (folder / "session").chmod(0o755)
        self.take_environment()

    def take_environment(self) -> None:
        """Sessions have, from now on, the home, the settings and the PATH of the present test."""
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in os.environ.items() if FORWARDED.fullmatch(name)]
        (self._folder / "environment").write_text("".join(lines))

    @property
    def command(self) -> str:
        """The client's, for GIT_SSH_COMMAND and hg's ui.ssh."""
        options = ["IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        argv = ["ssh", "-F", "none", "-i", str(self._folder / "user"), "-o", "BatchMode=yes"]
        return shlex.join([*argv, *(part for option in options for part in ("-o", option))])

    @property
    def git_environment(self) -> dict[str, str]:
        """For git: clone.push(url=sshd.url(server.path), env=sshd.git_environment)."""
        return {"GIT_SSH_COMMAND": self.command}

    @property
    def hg_options(self) -> Sequence[str]:
        """For hg: clone.push(sshd.url(server.path), options=sshd.hg_options)."""
        return ["--config", f"ui.ssh={self.command}"]

    def url(self, path: Path) -> str:
        """An absolute path has two slashes in hg's eyes; git does not mind."""
        return f"ssh://{getpass.getuser()}@{HOST}:{self.port}/{path}"

    def sockets(self) -> set[int]:
        """The inodes of those that the listening process holds."""
        assert self._process is not None
        entries = Path(f"/proc/{self._process.pid}/fd").iterdir()
        return {int(found[1]) for entry in entries if (found := re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())))}

    def restart(self) -> None:
        """End the process that listens, and start another on its port; sessions go on."""
        self.stop()
        self.start()

    def start(self) -> None:
        """Until it listens. Raises AssertionError with its log if it does not."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # without it sshd does not separate privileges, and ends
        log = self._folder / "log"
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                [PROGRAM, "-D", "-e", "-f", self._folder / "config"], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
            )
        deadline = time.monotonic() + READY_S
        while "Server listening" not in log.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"sshd does not listen:\n{log.read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """The process that listens."""
        if self._process is not None:
            end([self._process.pid])
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
