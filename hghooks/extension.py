"""What `[extensions] hghooks =` adds to Mercurial: the settings by name, and the hook in every repository.

hg finds both through `hghooks.__getattr__`, once per process.
"""

from __future__ import annotations

from typing import Any

from mercurial import registrar

from brokers.config import OBERON_OPTIONS

HOOK_NAME = b"changegroup.oberon"
HOOK = b"python:hghooks.changegroup.hook"

configtable: dict[bytes, dict[bytes, Any]] = {}
_declare = registrar.configitem(configtable)
for _option in OBERON_OPTIONS:
    _declare(b"oberon", _option.name.encode("ascii"), default=_option.default_text.encode("ascii") or None)
_declare(b"services", b".*", default=None, generic=True)


def reposetup(ui: Any, repo: Any) -> None:
    """Put the hook into `ui`, the settings of `repo`, under the name the hgrc line has: both together run it once.

    An hgrc that gives this hook another value, or an empty one to switch it off, has its way. Never raises Exception.
    """
    try:
        if repo.local() and ui.config(b"hooks", HOOK_NAME, None) is None:
            ui.setconfig(b"hooks", HOOK_NAME, HOOK, b"hghooks")
    except Exception as error:
        ui.debug(b"oberon: %s\n" % repr(error).encode("ascii", "backslashreplace"))
