"""What `[extensions] hghooks =` adds to Mercurial: the settings by name, and the hooks in every repository.

hg finds both through `hghooks.__getattr__`, once per process.
"""

from __future__ import annotations

from typing import Any

from mercurial import registrar

from brokers.config import OBERON_OPTIONS
from hghooks import HOOKS

configtable: dict[bytes, dict[bytes, Any]] = {}
_declare = registrar.configitem(configtable)
for _option in OBERON_OPTIONS:
    _declare(b"oberon", _option.name.encode("ascii"), default=_option.default_text.encode("ascii") or None)
_declare(b"services", b".*", default=None, generic=True)


def reposetup(ui: Any, repo: Any) -> None:
    """Put the hooks into `ui`, the settings of `repo`, under the names the hgrc lines have: both together run each once.

    An hgrc that gives a hook another value, or an empty one to switch it off, has its way. Never raises Exception.
    """
    try:
        for name, value in HOOKS.items() if repo.local() else ():
            if ui.config(b"hooks", name, None) is None:
                ui.setconfig(b"hooks", name, value, b"hghooks")
    except Exception as error:
        ui.debug(b"oberon: %s\n" % repr(error).encode("ascii", "backslashreplace"))
