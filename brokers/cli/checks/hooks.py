"""Whether a repository's pushes reach the hook."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import Any

from brokers.cli.checks import Check, error, ok, warning
from brokers.cli.repository import Repository
from brokers.errors import BrokerError


def hook(repository: Repository) -> Iterator[Check]:
    """The hook of a git or Mercurial repository."""
    yield from {"git": _git, "hg": _hg}[repository.scm](repository)


def _git(repository: Repository) -> Iterator[Check]:
    from githooks import install

    quoted = shlex.quote(repository.path)
    found = install.look(repository.path)
    target = found.target
    if found.link is None or target is None:
        told = {
            install.Kind.NOTHING: f"there is no {found.hook}",
            install.Kind.FOREIGN: f"{found.hook} is another hook, and does not run ours as far as one can see",
        }.get(found.kind, f"{found.hook} runs what lies in {found.folder}, but ours is not there")
        chain = " --chain" if found.kind is install.Kind.FOREIGN else ""
        yield error("hook", told, f"oberon install{chain} {quoted}")
    elif not target.is_file():
        yield error("hook", f"{found.link} points to {target}, which is gone", f"oberon install {quoted}")
    elif not os.access(target, os.X_OK):
        yield error("hook", f"{target} is not executable", f"chmod +x {shlex.quote(str(target))}")
    elif not os.access(found.hook, os.X_OK):
        yield error("hook", f"{found.hook} is not executable, so git passes it over", f"chmod +x {shlex.quote(str(found.hook))}")
    else:
        shared = "; core.hooksPath names this folder" if found.shared else ""
        yield ok("hook", f"{found.link} -> {target}{shared}")


def _hg(repository: Repository) -> Iterator[Check]:
    from hghooks import HOOKS
    from hghooks import repository as opening

    try:
        ui = opening.open_at(repository.path).ui
    except BrokerError:
        return  # reading its configuration fails likewise, and is told
    mend = f"oberon install {shlex.quote(repository.path)}"
    (pushes, value), (bookmarks, bookmarks_value) = HOOKS.items()
    yield _hg_hook(ui, "hook", pushes, value) or error("hook", "no hgrc has it", mend)
    told = "no hgrc has it, so a push that moves bookmarks alone is not seen"
    yield _hg_hook(ui, "bookmark hook", bookmarks, bookmarks_value) or warning("bookmark hook", told, mend)


def _hg_hook(ui: Any, name: str, item: bytes, value: bytes) -> Check | None:
    """What `[hooks]` says of one hook; None: nothing."""
    shown = f"[hooks] {os.fsdecode(item)}"
    if ui.config(b"hooks", item, None) == value:
        return ok(name, f"{shown}, from {_source(ui, item, untrusted=False)}")
    if ui.config(b"hooks", item, None, untrusted=True) == value:
        told = f"Mercurial does not trust the owner of {_source(ui, item, untrusted=True)}, so the hook there does not run"
        return error(name, told, "name the owner in the hgrc of the server's user, as `[trusted] users = OWNER`")
    if (other := ui.config(b"hooks", item, None)) is not None:
        told = f"{shown} is {os.fsdecode(other)!r}, from {_source(ui, item, untrusted=False)}"
        return warning(name, told, f"unless that is meant, write {os.fsdecode(value)}")
    return None


def _source(ui: Any, item: bytes, *, untrusted: bool) -> str:
    return os.fsdecode(ui.configsource(b"hooks", item, untrusted=untrusted))
