"""Importing inside Mercurial's process, whose modules load when first touched (`hgdemandimport`).

Two threads that first touch the same lazy module at once get half of it, up to Python 3.12 (CPython gh-114763): with 16
tasks on 8 threads, 15 failed. `hgdemandimport.deactivated()` does not help, for another request's thread that leaves it
switches laziness on again.
"""

from __future__ import annotations

import sys


def settle() -> None:
    """Load what is lazy and switch laziness off for this process; call it before threads start. Costs 65 ms, once.

    Mercurial's own modules are left as they are (another 130 ms): no thread of ours touches them.
    """
    try:
        import hgdemandimport
    except ImportError:
        return
    from importlib import util

    hgdemandimport.disable()
    lazy = util._LazyModule  # type: ignore[attr-defined] # noqa: SLF001 - there is no other way to know one
    for name, module in list(sys.modules.items()):
        if type(module) is lazy and not name.startswith(("mercurial", "hgext")):
            try:
                module.__doc__  # noqa: B018 - any attribute loads it
            except Exception:
                pass  # it fails for whoever needs it, as it would have
