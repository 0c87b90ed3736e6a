"""Open a Mercurial repository with its configuration, as the `hg` command would."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

from brokers.errors import RepositoryGone, RepositoryUnreadable

_opening = threading.Lock()  # hg keeps its extensions in tables of the process


def open_at(path: str) -> Any:
    """The repository whose root is `path` (text that keeps each byte): a new `localrepository`, for this thread alone.

    Its `ui` has read the system's, the user's and the repository's hgrc, with hg's rules of trust. Extensions are loaded
    (a repository may need some to be read: lfs, narrow). Raises RepositoryGone or RepositoryUnreadable.
    """
    from mercurial import extensions, hg
    from mercurial import ui as uimod

    root = path.encode("utf-8", "surrogateescape")

    class Ui(uimod.ui):  # type: ignore[misc] # Mercurial's has no types
        """Whose copies are such ones too, the repository's among them."""

        def configitems(self, section: bytes, *args: Any, **options: Any) -> Any:
            """Mercurial asks for its extensions before it loads any. Where there are none, this spares 5 MB."""
            found = super().configitems(section, *args, **options)
            if section == b"extensions" and found:
                _initialize()
            return found

    with _opening:
        try:
            ui = Ui.load()
            with suppress(ImportError):  # part of `revset` before 7.2
                from mercurial import revset_predicates  # noqa: F401 - Mercurial itself asks by revset now and then
            ui.setconfig(b"ui", b"interactive", b"no", b"oberon")
            ui.setconfig(b"ui", b"report_untrusted", b"no", b"oberon")  # `config.effective` reports it, with the remedy
            # Else each chunk of a revlog is kept for a while; read once and in order, that costs more than it saves.
            ui.setconfig(b"usage", b"resources.memory", b"low", b"oberon")
            extensions.loadall(ui)
            opened = hg.repository(ui, root)
        except Exception as reason:  # an extension that the hgrc names may raise anything
            if not os.path.isdir(os.path.join(root, b".hg")):  # noqa: PTH112, PTH118 - pathlib takes no bytes
                raise RepositoryGone(path, "there is no Mercurial repository here") from reason
            raise RepositoryUnreadable(path, f"cannot be opened: {told(reason)}") from reason
        local = opened.local()
        if not local:
            raise RepositoryGone(path, "is not a repository on this machine")
        return local


def _initialize() -> None:
    """Load what extensions hook into, as the `hg` command does first; without it lfs and largefiles cannot be set up."""
    try:
        from mercurial import initialization
    except ImportError:  # before 7.2, where these are all of it
        from mercurial import commands  # noqa: F401
    else:
        initialization.init()


def told(reason: Exception) -> str:
    """What an error of Mercurial's says, as text; of an hgrc that cannot be parsed with the line it stands in."""
    from mercurial.utils import stringutil

    said = stringutil.forcebytestr(reason).decode("utf-8", "replace")
    place = getattr(reason, "location", None)  # mercurial.error.ConfigError
    return f"{place.decode('utf-8', 'replace')}: {said}" if isinstance(place, bytes) else said
