"""`hg push` from a repository of this machine to another one.

hg is told where the host is, as `allowHosts` has judged it, and the password, by an extension of ours: it can be told neither
in a way that other users do not see, and over http it would follow redirects anywhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from brokers.errors import DeliveryFailed
from brokers.transport import hg_extension, program
from brokers.transport.call import Call, current
from brokers.transport.remote import Remote

_NOTHING_NEW = 1  # `hg help push`: "Returns 0 if push was successful, 1 if nothing to push."
_NEW_HEADS = "push creates new remote head"
_BOOKMARK_IS_NOWHERE = 2  # neither here nor there; what is deleted may have been so already
_BOOKMARK_PUSHED = re.compile(r"^(?:exporting|updating|deleting remote) bookmark ", re.MULTILINE)
_HOST_IS_DOWN = re.compile(
    r"Connection (?:refused|reset|timed out|closed)|No route to host|Network is unreachable|timed out|HTTP Error 5\d\d"
)
"""What hg and ssh say then; anything else is between this repository and the other one."""


def push(repository: str, remote: Remote, bookmarks: Sequence[str] = ()) -> str:
    """Push all changesets of the repository at the path `repository`, then `bookmarks`; the note says what became of it.

    A bookmark that is no longer here is deleted there; those on both sides move along by themselves. New heads and branches are
    pushed, but never to an unrelated repository. Raises DeliveryFailed if hg fails, and as `Remote.addresses`.
    """
    call = current()
    addresses = remote.addresses(call)
    argv = [str(Path(sys.exec_prefix, "bin", "python3")), "-P", "-m", "mercurial", "push", "--noninteractive", "--new-branch"]
    argv += ["--repository", repository]
    argv += [part for name, value in _settings(remote, addresses, call).items() for part in ("--config", f"{name}={value}")]
    secret = {hg_extension.PASSWORD: remote.password, **({"http_proxy": call.proxy or ""} if remote.by_proxy(call) else {})}
    known = {
        "HGPLAIN": "1",
        hg_extension.PREFIX: remote.origin if remote.password else "",
        hg_extension.USER: remote.user,
        hg_extension.HOST: remote.host,
        hg_extension.ADDRESSES: " ".join(addresses),
    }

    def run(*options: str) -> program.Ended:
        return program.run([*argv, *options, "--", remote.url], environment=known, secret_environment=secret, name="hg")

    ended = run()
    if _NEW_HEADS in ended.stderr:  # it is related, then: hg has looked
        ended = run("--force")
    ends = [_judged(ended, 0, _NOTHING_NEW)]
    if bookmarks:
        named = run(*(f"--bookmark={name}" for name in bookmarks))
        ends.append(_judged(named, 0, _NOTHING_NEW, _BOOKMARK_IS_NOWHERE))
    anything = any(one.status == 0 or _BOOKMARK_PUSHED.search(one.stdout) for one in ends)
    return "pushed" if anything else "everything up to date"


def _judged(ended: program.Ended, *fine: int) -> program.Ended:
    if ended.status not in fine:
        try:
            program.check(ended)
        except DeliveryFailed as error:
            raise DeliveryFailed(str(error), endpoint_down=_HOST_IS_DOWN.search(ended.stderr) is not None) from error
    return ended


def _settings(remote: Remote, addresses: Sequence[str], call: Call) -> dict[str, str]:
    settings = {
        "extensions.oberon-push": hg_extension.__file__,
        "ui.ssh": remote.ssh(addresses, call),
        "http_proxy.host": "",
        "commands.push.require-revs": "no",
        "subrepos.allowed": "no",  # what is pushed there says where to
    }
    if remote.by_proxy(call):
        del settings["http_proxy.host"]
        settings["http_proxy.always"] = "yes"
    if call.ca_bundle:
        settings["web.cacerts"] = call.ca_bundle
    return settings
