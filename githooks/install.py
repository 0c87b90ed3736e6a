"""Put the hook into a git repository, and take it out again.

Four things may stand at `hooks/post-receive`; nothing that is not ours is ever lost:

    nothing         it becomes a link to the script `oberon-post-receive`
    a delegate      (Gitea, Forgejo, or any script that runs what lies in `post-receive.d`) our link goes into that folder
    another hook    refused; with `chain` it is kept as `post-receive.d/00-post-receive`, and a small script takes its place that
                    runs each executable there, our link among them
    ours            nothing to do, or, if it points elsewhere (an Oberon that was moved), it is put right

At every moment in between a push finds the old hook or the new one. `core.hooksPath` is honoured (git-config(1)).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path

from brokers.delivery.surroundings import child_environment
from brokers.errors import ConfigError
from githooks.starter import SCRIPT, script

LINK = "oberon"
KEPT = "00-post-receive"
MARK = b"oberon-dispatcher"
_LOOKED_AT_BYTES = 64 * 1024


class Kind(StrEnum):
    """What stands at `hooks/post-receive`."""

    NOTHING = "nothing"
    OURS = "ours"  #: a link to oberon-post-receive
    DISPATCHER = "dispatcher"  #: our script for several hooks
    DELEGATE = "delegate"  #: a script of another's that runs what lies in post-receive.d
    FOREIGN = "foreign"  #: any other hook


@dataclass(frozen=True, slots=True)
class Found:
    """What is there."""

    kind: Kind
    hook: Path
    """`hooks/post-receive`, wherever git looks for it."""
    shared: bool
    """Whether `core.hooksPath` says where, so that other repositories may use it too."""
    link: Path | None
    """Our link, wherever it stands; None if there is none."""

    @property
    def folder(self) -> Path:
        """For several hooks."""
        return self.hook.with_name(self.hook.name + ".d")

    @property
    def target(self) -> Path | None:
        """What our link points to; None if there is none."""
        return None if self.link is None else self.link.parent / self.link.readlink()


@dataclass(frozen=True, slots=True)
class Change:
    """What was done."""

    changed: bool
    """False: it was already as wanted."""
    told: str
    """The same for people, in one line."""


# ---------------------------------------------------------------------------------------------------------------- looking


def look(git_dir: str) -> Found:
    """What stands where git looks for the hook of the repository whose git directory is `git_dir`. Raises OSError."""
    hooks, shared = _hooks_folder(git_dir)
    hook = hooks / "post-receive"
    folder = hook.with_name(hook.name + ".d")
    kind = _kind(hook, folder)
    links = [hook] if kind is Kind.OURS else [folder / LINK] if kind in (Kind.DISPATCHER, Kind.DELEGATE) else []
    return Found(kind, hook, shared, next((link for link in links if _is_ours(link)), None))


def _hooks_folder(git_dir: str) -> tuple[Path, bool]:
    """Where git looks, and whether `core.hooksPath` says so; a relative one counts from where the hook runs, the git directory."""
    environment = {**child_environment(os.environ), "GIT_DIR": git_dir}
    command = ("git", "config", "--null", "--type=path", "--get", "core.hooksPath")
    asked = subprocess.run(command, env=environment, cwd=git_dir, capture_output=True, check=False)
    configured = os.fsdecode(asked.stdout).removesuffix("\0")
    return (Path(git_dir) / configured, True) if configured else (Path(git_dir) / "hooks", False)


def _kind(hook: Path, folder: Path) -> Kind:
    if not os.path.lexists(hook):
        return Kind.NOTHING
    if _is_ours(hook):
        return Kind.OURS
    try:
        with hook.open("rb") as opened:
            content = opened.read(_LOOKED_AT_BYTES)
    except FileNotFoundError:
        return Kind.FOREIGN  # a link to what is gone: somebody's all the same
    if MARK in content:
        return Kind.DISPATCHER
    # Gitea and Forgejo write `${hookname}.d`; a hand-made one names the folder.
    runs_folder = b"post-receive.d" in content or b"hookname}.d" in content
    return Kind.DELEGATE if runs_folder and folder.is_dir() else Kind.FOREIGN


def _is_ours(link: Path) -> bool:
    return link.is_symlink() and link.readlink().name == SCRIPT


# --------------------------------------------------------------------------------------------------------------- installing


def install(git_dir: str, *, chain: bool = False) -> Change:
    """Make pushes call the hook. `chain`: also where there is another hook, which is kept and still run.

    Raises ConfigError, with the way out, where another hook is in the way; OSError.
    """
    found = look(git_dir)
    found.hook.parent.mkdir(parents=True, exist_ok=True)
    steps: dict[Kind, Callable[[Found], Change]] = {
        Kind.NOTHING: lambda found: _link(found.hook),
        Kind.OURS: lambda found: _link(found.hook),
        Kind.DISPATCHER: lambda found: _link(found.folder / LINK),
        Kind.DELEGATE: lambda found: _link(found.folder / LINK),
        Kind.FOREIGN: _chain if chain else _refuse,
    }
    change = steps[found.kind](found)
    if found.shared:
        return Change(change.changed, f"{change.told}; core.hooksPath names this folder, so every repository with it is served")
    return change


def _link(place: Path) -> Change:
    target = script()
    if os.path.lexists(place) and not _is_ours(place):
        raise ConfigError("this name is ours, but the file is not", origin=str(place), remedy="move it away")
    before = place.readlink() if place.is_symlink() else None
    if before == target:
        return Change(changed=False, told=f"{place} is there already")
    _put(place, lambda draft: draft.symlink_to(target))
    if before is None:
        return Change(changed=True, told=f"linked {place} to {target}")
    return Change(changed=True, told=f"{place} pointed to {before}; linked it to {target}")


def _refuse(found: Found) -> Change:
    raise ConfigError(
        "there is another hook",
        origin=str(found.hook),
        remedy=f"`oberon install --chain REPO` keeps it as {found.folder.name}/{KEPT} and runs both; "
        f"or call {shlex.quote(str(script()))} in it, with the same stdin",
    )


def _chain(found: Found) -> Change:
    would_run = [path.name for path in sorted(found.folder.iterdir())] if found.folder.is_dir() else []
    foreign = [
        name
        for name in would_run
        if not (name == LINK and _is_ours(found.folder / LINK))
        and not (name == KEPT and _is_same(found.hook, found.folder / KEPT))  # from a --chain that was interrupted
    ]
    if foreign:
        raise ConfigError(
            f"{', '.join(foreign)} there would be run from now on", origin=str(found.folder), remedy="move away what must not run"
        )
    found.folder.mkdir(exist_ok=True)
    _link(found.folder / LINK)
    kept = found.folder / KEPT
    _copy(found.hook, kept, deeper=True)
    content = resources.files("brokers").joinpath("resources", "post-receive.sh").read_bytes()
    _put(found.hook, lambda draft: _write_script(draft, content))
    return Change(changed=True, told=f"kept the hook that was there as {kept}; {found.hook} now runs it and then ours")


def _write_script(draft: Path, content: bytes) -> None:
    draft.write_bytes(content)
    draft.chmod(0o755)  # whoever pushes runs it


# ------------------------------------------------------------------------------------------------------------- taking out


def uninstall(git_dir: str) -> Change:
    """Take out what `install` put in, and put a kept hook back; what is not ours stays. Raises OSError."""
    found = look(git_dir)
    change = _take_out(found)
    if found.shared and change.changed:
        return Change(
            change.changed, f"{change.told}; core.hooksPath names this folder, so every repository with it lost the hook"
        )
    return change


def _take_out(found: Found) -> Change:
    if found.kind is not Kind.DISPATCHER:
        if found.link is None:
            return Change(changed=False, told=f"{found.hook}: there is no hook of ours")
        found.link.unlink()
        return Change(changed=True, told=f"removed {found.link}")
    if found.link is not None:
        found.link.unlink()
    kept = found.folder / KEPT
    others = sorted(path.name for path in found.folder.iterdir() if path != kept) if found.folder.is_dir() else []
    if others:
        told = f"removed our link from {found.folder}; {found.hook} stays, for it runs {', '.join(others)} too"
        return Change(changed=found.link is not None, told=told)
    if os.path.lexists(kept):
        _copy(kept, found.hook, deeper=False)
        kept.unlink()
        told = f"put the hook that was there before back as {found.hook}"
    else:
        found.hook.unlink()
        told = f"removed {found.hook}"
    try:
        found.folder.rmdir()
    except OSError:
        pass  # not there, or somebody put a file into it this moment
    return Change(changed=True, told=told)


# ------------------------------------------------------------------------------------------------------------------ files


def _put(place: Path, make: Callable[[Path], None]) -> None:
    """Make something beside `place` and move it over, so that there is no moment without."""
    draft = place.with_name(f".{place.name}.oberon.{os.getpid()}")
    try:
        make(draft)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


def _copy(hook: Path, place: Path, *, deeper: bool) -> None:
    """The same hook at `place`, one folder deeper or higher; a relative link still points to the same file."""
    if not hook.is_symlink():
        _put(place, lambda draft: _link_or_copy(hook, draft))
        return
    target = os.readlink(hook)  # noqa: PTH115 - to the byte: Path would take a `./` away
    if not target.startswith("/"):
        target = f"../{target}" if deeper else target.removeprefix("../")
    _put(place, lambda draft: draft.symlink_to(target))


def _link_or_copy(hook: Path, draft: Path) -> None:
    try:
        os.link(hook, draft)
    except PermissionError:
        shutil.copy2(hook, draft)  # another user's file, where links to such are forbidden (proc_sys_fs(5), protected_hardlinks)


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second) or first.read_bytes() == second.read_bytes()
    except OSError:
        return False
