"""Which lines of Mercurial's configuration have it call the hook, and which stand in its way: what `install` asks before it writes.

Read with Mercurial's own parser (`%include`, `%unset`, files in its order), without opening the repository, so that no
extension is loaded. Whom hg trusts does not matter: the server's user may be another.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brokers.errors import ConfigError
from hghooks import HOOKS

_EXTENSION = (b"hghooks", b"hgext.hghooks")


@dataclass(frozen=True, slots=True)
class InForce:
    """What the configuration says of the hook."""

    lines: Mapping[bytes, str]
    """Hook's name -> file and line that sets it as `HOOKS` does."""
    foreign: Sequence[ConfigError]
    """One for each hook that has the name of ours, and another value."""
    extension: str
    """File and line that load the extension, which sets the hooks that nothing else does; '': nothing loads it."""

    def __bool__(self) -> bool:
        """Whether hg calls the hook at all."""
        return bool(self.lines or self.extension)

    @property
    def told(self) -> str:
        """Where it stands, for people."""
        lines = f"in lines of your own ({', '.join(self.lines.values())})" if self.lines else ""
        extension = f"by the extension hghooks ({self.extension})" if self.extension else ""
        return " and ".join(filter(None, (lines, extension)))

    def way_out(self, hgrc: Path) -> str:
        """How it is taken out. What another file than the repository's `hgrc` says may be meant for others too."""
        own = f"{hgrc}:"
        off = [f"`{name.decode()} =` under [hooks]" for name, place in self.lines.items() if not place.startswith(own)]
        if self.extension and not self.extension.startswith(own):
            off.append("`hghooks = !` under [extensions]")
        places = " and ".join(filter(None, (*self.lines.values(), self.extension)))
        return f"take out {places}" + (f", or for this repository alone write {' and '.join(off)} into {hgrc}" if off else "")


def look(hgrc: Path, content: bytes) -> InForce:
    """By the system's and the user's files, and `content` as that of `hgrc`, the repository's."""
    held = _configuration(hgrc, content)
    hooks = {name: value for name, value in held.items(b"hooks") if name in HOOKS}
    loaded = (
        _place(held, b"extensions", name)
        for name, value in held.items(b"extensions")
        if (name in _EXTENSION or b"hghooks" in value.split(b"/")) and not value.startswith(b"!")
    )
    return InForce(
        lines={name: _place(held, b"hooks", name) for name, value in hooks.items() if value == HOOKS[name]},
        foreign=[_in_the_way(name, value, _place(held, b"hooks", name)) for name, value in hooks.items() if value != HOOKS[name]],
        extension=next(loaded, ""),
    )


def _in_the_way(name: bytes, value: bytes, place: str) -> ConfigError:
    shown = name.decode()
    setting = f"hooks.{shown}"
    if not value:
        return ConfigError("it switches the hook off", setting=setting, origin=place, remedy="take the line out, then install")
    remedy = f"name it otherwise, as {shown.partition('.')[0]}.other, or take it out, then install"
    return ConfigError(f"another hook has this name: {os.fsdecode(value)}", setting=setting, origin=place, remedy=remedy)


def _configuration(hgrc: Path, content: bytes) -> Any:
    """As hg has it. What it cannot parse ends that file here too: `oberon doctor` tells of it."""
    from mercurial import config, error
    from mercurial import ui as uimod

    held = config.config()
    with suppress(error.ConfigError):
        ui = uimod.ui.load()
        for section in (b"hooks", b"extensions"):
            for name, value in ui.configitems(section):
                held.set(section, name, value, ui.configsource(section, name))
    own = config.config()
    with suppress(error.ConfigError):
        own.read(os.fsencode(hgrc), io.BytesIO(content))
    held.update(own)
    return held


def _place(held: Any, section: bytes, name: bytes) -> str:
    return os.fsdecode(held.source(section, name))
