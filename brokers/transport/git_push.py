"""`git push` from a repository of this machine to another one.

git is told where the host is, as `allowHosts` has judged it (http.curloptResolve, git 2.37; ssh's HostName), follows no
redirect, asks nobody, and runs neither a hook nor a helper of the repository's configuration. Logins are in its environment.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from brokers.errors import DeliveryFailed
from brokers.transport import program
from brokers.transport.call import Call, current
from brokers.transport.remote import FILE, Remote

BRANCHES_AND_TAGS = ("--prune", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
EVERYTHING = ("--mirror",)
_SETTINGS: Mapping[str, str] = {
    "core.askPass": "",
    "core.hooksPath": "/dev/null",
    "credential.helper": "",
    "http.followRedirects": "false",
    "http.sslVerify": "true",
    "push.gpgSign": "false",
    "push.recurseSubmodules": "no",
    "safe.bareRepository": "all",  # who owns it, is asked all the same
}
_NOTHING_NEW = "everything up to date"
_BOTH_EMPTY = "No refs in common and none specified"
"""What git fails with where neither side has any of the refs: all are deleted, there too."""
_HOST_IS_DOWN = re.compile(
    r"Failed to connect|Couldn't connect|Connection (?:refused|reset|timed out|closed)|No route to host|"
    r"Network is unreachable|Operation timed out|returned error: 5\d\d|Empty reply from server"
)
"""What git, curl and ssh say then; anything else is between this repository and the other one."""


def push(repository: str, remote: Remote, what: tuple[str, ...]) -> str:
    """Push from the repository at the path `repository`; the note says what became of it.

    `what`: BRANCHES_AND_TAGS or EVERYTHING. The owner of the repository must be one that git trusts (`safe.directory`).
    Raises DeliveryFailed if anything could not be pushed, and as `Remote.addresses`.
    """
    call = current()
    addresses = remote.addresses(call)
    settings, secret = _settings(remote, addresses, call)
    argv = ["git", *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]
    argv += ["push", "--no-progress", "--no-verify", *what[:1], "--", remote.url, *what[1:]]
    environment = {
        "GIT_ALLOW_PROTOCOL": remote.scheme,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_VARIANT": "ssh",
        "GIT_SSH_COMMAND": remote.ssh(addresses, call),
        "GIT_CONFIG_COUNT": str(len(secret)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in enumerate(secret)},
    }
    hidden = {f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(secret)}
    ended = program.run(argv, environment=environment, secret_environment=hidden, cwd=repository)
    if _BOTH_EMPTY in ended.stderr:
        return _NOTHING_NEW
    try:
        program.check(ended)
    except DeliveryFailed as error:
        raise DeliveryFailed(str(error), endpoint_down=_HOST_IS_DOWN.search(ended.stderr) is not None) from error
    return _NOTHING_NEW if "Everything up-to-date" in ended.stderr else "pushed"


def _settings(remote: Remote, addresses: list[str], call: Call) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Those for the command line, and (name, value) of those that nobody is to see."""
    known: dict[str, Any] = dict(_SETTINGS)
    secret = []
    if remote.scheme not in (FILE, "ssh"):
        known["http.proxy"] = ""
        if addresses:
            hosts = ",".join(f"[{one}]" if ":" in one else one for one in addresses)
            known["http.curloptResolve"] = f"{remote.host}:{remote.port}:{hosts}"
        if call.ca_bundle:
            known["http.sslCAInfo"] = call.ca_bundle
        if remote.by_proxy(call):
            secret.append(("http.proxy", call.proxy or ""))
            del known["http.proxy"]
        if remote.password:
            login = base64.b64encode(f"{remote.user}:{remote.password}".encode()).decode()
            secret.append((f"http.{remote.origin}.extraHeader", f"Authorization: Basic {login}"))
    return known, secret
