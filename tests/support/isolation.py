"""What keeps a test from this machine's users, their settings, and the network."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

ZONE = "CET-1CEST,M3.5.0,M10.5.0/3"  # as Europe/Berlin: an error of zones shows, and no zone file is needed

# A forge's, a hook's, a client's and Oberon's variables: whoever runs the tests may have some of them.
FOREIGN = re.compile(
    r"(GIT|HG|SSH|GL|GITEA|FORGEJO|GITOLITE|GITLAB|GITHUB|GERRIT|XDG|OBERON)_.*|HG.*|EMAIL|REMOTE_USER|.*_PROXY|.*_CA_BUNDLE",
    re.IGNORECASE,
)

GITCONFIG = """\
[user]
    name = Test User
    email = test@example.org
[init]
    defaultBranch = main
[protocol "file"]
    allow = always
[gc]
    auto = 0
[maintenance]
    auto = false
"""

HGRC = """\
[ui]
username = Test User <test@example.org>
"""


def environment(tmp_path: Path, inherited: dict[str, str]) -> dict[str, str]:
    """The environment of a test that has `tmp_path`; makes the folders and files that it names."""
    kept = {name: value for name, value in inherited.items() if not FOREIGN.fullmatch(name)}
    folders = {
        "HOME": tmp_path / "home",
        "XDG_CACHE_HOME": tmp_path / "home" / ".cache",
        "XDG_CONFIG_HOME": tmp_path / "home" / ".config",
        "XDG_DATA_HOME": tmp_path / "home" / ".local" / "share",
        "XDG_STATE_HOME": tmp_path / "home" / ".local" / "state",
        "XDG_RUNTIME_DIR": tmp_path / "run",
        "TMPDIR": tmp_path / "tmp",
    }
    for folder in folders.values():
        folder.mkdir(mode=0o700, parents=True)
    gitconfig = folders["HOME"] / ".gitconfig"
    gitconfig.write_text(GITCONFIG)
    hgrc = folders["HOME"] / ".hgrc"
    hgrc.write_text(HGRC)
    return {
        **kept,
        **{name: str(folder) for name, folder in folders.items()},
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(gitconfig),
        "GIT_TERMINAL_PROMPT": "0",
        "HGRCPATH": str(hgrc),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "TZ": ZONE,
        "LC_ALL": "C.UTF-8",
    }


class OutsideConnectionError(AssertionError):
    """A test went for an address that is not on this machine."""


class NetworkGuard:
    """Stands before this process's sockets: they go to loopback and to unix sockets only, and only `localhost` has an address.

    It does not reach into child processes, and a name given straight to `connect` is looked up before it is asked. No audit hook:
    while one runs for a thread that sets its trace function, as coverage has each do, no other thread can set one (CPython 3.11).
    """

    def __init__(self) -> None:
        self.refused: list[str] = []
        """What was gone for since a test began; code under test may have swallowed the error."""

    def install(self) -> None:
        """From here on, for the process's life."""
        for name, place in CONNECTING.items():
            setattr(socket.socket, name, self._judged(getattr(socket.socket, name), place))
        for name in RESOLVING:
            setattr(socket, name, _answered_here(getattr(socket, name)))

    def _judged(self, method: Callable[..., Any], place: int) -> Callable[..., Any]:
        @wraps(method)
        def judged(channel: socket.socket, *arguments: Any) -> Any:
            address = arguments[place] if len(arguments) > max(place, 0) else None
            if channel.family in (socket.AF_INET, socket.AF_INET6) and address and not is_loopback(address[0]):
                self.refused.append(f"{address[0]}:{address[1]}")
                raise OutsideConnectionError(f"a test must not connect to {address[0]}:{address[1]}")
            return method(channel, *arguments)

        return judged


CONNECTING = {"connect": 0, "connect_ex": 0, "sendto": -1, "sendmsg": 3}
"""Method -> which of its arguments is the address."""
RESOLVING = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")


def _answered_here(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def answered(host: str | bytes | None, *arguments: Any, **named: Any) -> Any:
        if not is_answered_here(host):
            raise socket.gaierror(socket.EAI_NONAME, f"tests have no name server: {host!r}")
        return function(host, *arguments, **named)

    return answered


def is_loopback(host: str | bytes) -> bool:
    """Whether a connection to `host`, an address or a name, stays on this machine."""
    text = os.fsdecode(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def is_answered_here(host: str | bytes | None) -> bool:
    """Whether looking `host` up asks no name server: no host, an address of any kind, or `localhost`."""
    if not host:
        return True
    text = os.fsdecode(host)
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text.lower() == "localhost"
    return True
