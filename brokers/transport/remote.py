"""Where a repository is pushed to, and how its host is reached: for `git push` and `hg push`."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from brokers.errors import PermanentFailure
from brokers.transport.call import Call
from brokers.transport.connect import check_proxied, resolve
from brokers.transport.deadline import Watchdog
from payload import text

DEFAULT_PORTS = {"ssh": 22, "http": 80, "https": 443}
FILE = "file"
"""The scheme of a path on this machine."""


@dataclass(frozen=True, slots=True)
class Remote:
    """The other repository."""

    scheme: str
    """A key of DEFAULT_PORTS, or FILE."""
    url: str
    """Of http and https without a login; of FILE the path."""
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    key: str = ""
    """Path of ssh's private key; '': those ssh finds by itself."""
    known_hosts: str = ""
    """Path of the file with the host's keys; '': those ssh looks into by itself."""

    @classmethod
    def parse(cls, url: str, *, user: str = "", password: str = "", key: str = "", known_hosts: str = "") -> Self:
        """`url` is of the type `repository url`, filled in. A login in it counts where `user` and `password` are ''.

        Raises PermanentFailure for a path with `..`.
        """
        if url.startswith("/"):
            if ".." in url.split("/"):
                raise PermanentFailure(f"the path would climb with `..`: {text.visible(url)}")
            return cls(FILE, url)
        parts = urlsplit(url)
        user, password = user or unquote(parts.username or ""), password or unquote(parts.password or "")
        place = parts.netloc.rpartition("@")[2]
        login = f"{quote(user, safe='')}@" if user and parts.scheme == "ssh" else ""
        bare = urlunsplit((parts.scheme, login + place, parts.path, parts.query, ""))
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        return cls(parts.scheme, bare, parts.hostname or "", port, user, password, key, known_hosts)

    @property
    def origin(self) -> str:
        """`https://host:port/`, with what stands before a path."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/"

    @property
    def endpoint(self) -> str:
        """`host:port`; '' for a path."""
        return f"{self.host}:{self.port}" if self.host else ""

    def addresses(self, call: Call) -> list[str]:
        """Those of the host that may be connected to; [] where nothing is looked up here: a path, a proxy's job, a dry run.

        Raises PermanentFailure if `allowHosts` bars it, DeliveryFailed if it is not found.
        """
        if self.scheme == FILE or call.dry_run:
            return []
        if self.by_proxy(call):
            check_proxied(self.host, call)
            return []
        return [where[0] for _, where in resolve(self.host, self.port, call, Watchdog(call.remaining_s()))]

    def by_proxy(self, call: Call) -> bool:
        """Whether the call's proxy is asked for it; ssh knows of none."""
        return call.proxy is not None and self.scheme in ("http", "https")

    def ssh(self, addresses: Sequence[str], call: Call) -> str:
        """A shell's line that runs ssh: asks nobody, goes to the first of `addresses` under the host's name, and heeds no configuration."""
        port = "" if self.port == DEFAULT_PORTS["ssh"] else f":{self.port}"
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "ConnectTimeout": str(max(1, math.ceil(call.remaining_s()))),
            **({"HostName": addresses[0], "HostKeyAlias": f"[{self.host}]{port}" if port else self.host} if addresses else {}),
            **({"IdentityFile": _ssh_path(self.key), "IdentitiesOnly": "yes"} if self.key else {}),
            **({"UserKnownHostsFile": _ssh_path(self.known_hosts)} if self.known_hosts else {}),
        }
        return shlex.join(["ssh", "-F", "none", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))])


def _ssh_path(path: str) -> str:
    """ssh_config(5): a space ends a file's name that is not quoted, and `%` begins a token."""
    return '"' + path.replace("%", "%%") + '"'
