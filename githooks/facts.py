"""The facts of one push, in the shape of `payload.push.Event.to_record`, from what git and a forge give the hook.

On the hook's path: no `os` (see `brokers.delivery`).
"""

import posix
from pwd import getpwuid
from time import time

from brokers.delivery.spool import new_id
from githooks.forge import remembered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def record(path: str, updates: list[list[str]], environ: "Mapping[str, str]") -> "dict[str, Any]":
    """The event as the spool holds it, with a new id and the present time."""
    return {
        "version": 1,
        "id": new_id(),
        "scm": "git",
        "path": path,
        "time": time(),
        "login": login(),
        "source": source(environ),
        "refs": updates,
        "options": options_of(environ),
        "environment": remembered(environ),
    }


def source(environ: "Mapping[str, str]") -> str:
    """How the push came: `ssh`, `http` or `local`."""
    if "SSH_CONNECTION" in environ or "SSH_CLIENT" in environ:
        return "ssh"
    return "http" if "GATEWAY_INTERFACE" in environ or "REQUEST_METHOD" in environ else "local"


def options_of(environ: "Mapping[str, str]") -> list[str]:
    """The push options, in order; [] where the server does not advertise them (`receive.advertisePushOptions`)."""
    count = environ.get("GIT_PUSH_OPTION_COUNT", "0")
    names = (f"GIT_PUSH_OPTION_{number}" for number in range(int(count) if count.isdigit() else 0))
    return [environ[name] for name in names if name in environ]


def login() -> str:
    """The unix user's name, or number where it has none."""
    try:
        return getpwuid(posix.getuid()).pw_name
    except KeyError:
        return str(posix.getuid())
