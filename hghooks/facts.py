"""The facts of one push, in the shape of `payload.push.Event.to_record`, from what Mercurial gives a changegroup hook.

On the hook's path: the standard library and nothing that reads the repository. Mercurial speaks bytes; what goes out is
text that keeps each byte (`surrogateescape`).
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Mapping
from typing import Any

from brokers.delivery import spool
from hghooks import forge

PUSHVAR = "USERVAR_"  # what bundle2 puts before a name of `hg push --pushvars` (mercurial/bundle2.py, bundle2getvars)
SKIP = "OBERON_SKIP"
_NO = ("", "0", "false", "no", "off", "never")


def text(raw: Any) -> str:
    """Bytes of Mercurial's as text that keeps each byte; '' for None."""
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else str(raw or "")


def pushvars(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Name in upper case -> value of each `--pushvars` among a hook's keyword arguments."""
    return {name.removeprefix(PUSHVAR): text(value) for name, value in arguments.items() if name.startswith(PUSHVAR)}


def is_silenced(variables: Mapping[str, str]) -> bool:
    """Whether the pusher asked for no delivery: OBERON_SKIP with any value but those that mean no."""
    return variables.get(SKIP, "").strip().lower() not in _NO


def record(ui: Any, repo: Any, node: Any, node_last: Any, url: Any, variables: Mapping[str, str]) -> dict[str, Any]:
    """The record of this push, with a new id and the present time."""
    return {
        "version": 1,
        "id": spool.new_id(),
        "scm": "hg",
        "path": text(repo.root),
        "time": time.time(),
        "login": _login(),
        "source": forge.source_of(text(url)),
        "refs": [],
        "first": text(node) or None,
        "last": text(node_last) or None,
        "options": [f"{name}={value}" for name, value in variables.items() if name != SKIP],
        "environment": forge.remembered(lambda name: _variable(ui, name), text(url)),
    }


def _login() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())  # a container's user without a name


def _variable(ui: Any, name: str) -> str | None:
    """A variable of the request (hgweb) or session (ssh), else of the process; None if it is not set.

    Under hgweb `ui.environ` is the WSGI environment: tuples, booleans and files among its values.
    Kallithea sets its variable in the process, RhodeCode a configuration item of its own.
    """
    value = ui.environ.get(name.encode("ascii"))
    if isinstance(value, bytes):
        return text(value)
    if name == "RC_SCM_DATA" and (configured := ui.config(b"rhodecode", b"RC_SCM_DATA", None)):
        return text(configured)
    return None if name == "REMOTE_USER" else os.environ.get(name)
