"""Repositories with Oberon's hook in place, as `oberon install` and an admin's `git config` or hgrc would leave them."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.git import GitServer
from tests.support.hg import HgServer

SCRIPTS = Path(sys.executable).parent
QUICK_RETRY = "0.2s, 0.3s, 0.5s, 1s, 1s, 2s, 2s, 5s"

MISBEHAVING = """
import os, sys, time
from brokers import BaseBroker, PermanentFailure


class Raises(BaseBroker):
    def handle(self, payload):
        raise RuntimeError("boom")


class Exits(BaseBroker):
    def handle(self, payload):
        sys.exit(3)


class Interrupts(BaseBroker):
    def handle(self, payload):
        raise KeyboardInterrupt


class Hangs(BaseBroker):
    def handle(self, payload):
        time.sleep(600)


class Prints(BaseBroker):
    def handle(self, payload):
        print("printed by a broker")
        print("complained by a broker", file=sys.stderr)


class Empties(BaseBroker):
    def handle(self, payload):
        payload["commits"].clear()
        payload["repository"].clear()
        payload.clear()


class Never(BaseBroker):
    def handle(self, payload):
        raise PermanentFailure("no such channel")
"""
"""A broker file, one class for each way to behave badly."""


def link_hook(server: GitServer) -> None:
    """`hooks/post-receive` -> the installed console script."""
    hook = server.path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.symlink_to(SCRIPTS / "oberon-post-receive")


def git_settings(server: GitServer, state_dir: Path, **settings: str) -> None:
    """`[oberon]` of a git repository: the state directory, quick retries, and `settings`."""
    for key, value in {"stateDir": str(state_dir), "retry": QUICK_RETRY, **settings}.items():
        server.config(f"oberon.{key}", value)


def hg_settings(server: HgServer, state_dir: Path, **settings: str) -> None:
    """The hook and `[oberon]` of an hg repository."""
    lines = "".join(f"{key} = {value}\n" for key, value in {"stateDir": str(state_dir), "retry": QUICK_RETRY, **settings}.items())
    server.hgrc(f"[hooks]\nchangegroup.oberon = python:hghooks.changegroup.hook\n[oberon]\n{lines}")


def broker_folder(tmp_path: Path, source: str = MISBEHAVING) -> Path:
    """A directory for `oberon.brokerPath` with one file of brokers."""
    folder = tmp_path / "brokers"
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / "own.py"
    path.write_text(source)
    path.chmod(0o644)
    return folder
