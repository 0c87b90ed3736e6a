"""The facts of one push, in the shape of `payload.push.Event.to_record`, from what Mercurial gives our hooks.

On the hook's path: the standard library and nothing that reads the repository. Mercurial speaks bytes; what goes out is
text that keeps each byte (`surrogateescape`).
"""

from __future__ import annotations

import os
import pwd
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from brokers.delivery import spool
from hghooks import forge

PUSHVAR = "USERVAR_"  # what bundle2 puts before a name of `hg push --pushvars` (mercurial/bundle2.py, bundle2getvars)
SKIP = "OBERON_SKIP"
NO_NODE = "0" * 40  # git's word for none, in an event's `refs`
_NO = ("", "0", "false", "no", "off", "never")

_told: deque[Any] = deque(maxlen=1000)
"""Ids of the transactions whose bookmarks were told, the newest: a server may have many under way at once."""


def text(raw: Any) -> str:
    """Bytes of Mercurial's as text that keeps each byte; '' for None."""
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else str(raw or "")


def pushvars(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Name in upper case -> value of each `--pushvars` among a hook's keyword arguments."""
    return {name.removeprefix(PUSHVAR): text(value) for name, value in arguments.items() if name.startswith(PUSHVAR)}


def is_silenced(variables: Mapping[str, str]) -> bool:
    """Whether the pusher asked for no delivery: OBERON_SKIP with any value but those that mean no."""
    return variables.get(SKIP, "").strip().lower() not in _NO


def bookmark_moves(arguments: Mapping[str, Any]) -> list[list[str]]:
    """`[old, new, name]` of each bookmark that the transaction moved, sorted by name; zeros for none.

    `arguments` are a hook's; hg gives each hook of a transaction all of its `changes` (mercurial/localrepo.py,
    `transaction`). The first hook that asks gets them, the others nothing: one event tells of a move.
    """
    moves = (arguments.get("changes") or {}).get(b"bookmarks")
    transaction = arguments.get("txnid")
    if not moves or transaction in _told:
        return []
    _told.append(transaction)
    return [[_hex(old), _hex(new), _bookmark(name)] for name, (old, new) in sorted(moves.items())]


def _hex(node: bytes | None) -> str:
    return node.hex() if node else NO_NODE


def _bookmark(name: bytes) -> str:
    """The name as hg stores it, UTF-8, whatever the locale."""
    from mercurial import encoding

    try:
        return text(encoding.fromlocal(name))
    except Exception:
        return text(name)  # a name that cannot be told right must not cost the event


def record(
    ui: Any,
    repo: Any,
    node: Any,
    node_last: Any,
    url: Any,
    variables: Mapping[str, str],
    moves: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """The record of this push, with a new id and the present time. `moves` are those of `bookmark_moves`."""
    return {
        "version": 1,
        "id": spool.new_id(),
        "scm": "hg",
        "path": text(repo.root),
        "time": time.time(),
        "login": _login(),
        "source": forge.source_of(text(url)),
        "refs": [list(move) for move in moves],
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
    """A variable of the request (hgweb) or session (ssh), else of the process, or a setting `section.key`; None if it is not set.

    Under hgweb `ui.environ` is the WSGI environment: tuples, booleans and files among its values.
    Kallithea sets its variable in the process, RhodeCode a configuration item of its own.
    """
    section, dot, key = name.partition(".")
    if dot:
        return text(ui.config(section.encode("ascii"), key.encode("ascii"), None)) or None
    value = ui.environ.get(name.encode("ascii"))
    if isinstance(value, bytes):
        return text(value)
    if name == "RC_SCM_DATA" and (configured := ui.config(b"rhodecode", b"RC_SCM_DATA", None)):
        return text(configured)
    return None if name in forge.OF_REQUEST else os.environ.get(name)
