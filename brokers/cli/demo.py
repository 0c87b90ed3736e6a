"""oberon demo: a throwaway git and a throwaway hg repository, real pushes through the installed hooks, and what arrives.

Everything is real - git, hg, the hooks, the worker, an HTTP server and a mail server on 127.0.0.1 - and in one temporary
folder, with settings and a home of its own, that is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from brokers.cli import arguments as common
from brokers.cli import output
from brokers.delivery import wake
from brokers.errors import BrokerError, ConfigError
from brokers.testing import Mailbox, NothingCameError, Receiver

WAIT_S = 15.0
STOP_S = 5.0

GITCONFIG = "[user]\n\tname = Ada Lovelace\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n"
HGRC = "[ui]\nusername = Ada Lovelace <ada@example.org>\n"


class DemoFailed(BrokerError):
    """A step of the demo did not do what it shows; the text says which, and what was said."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon demo`."""
    common.describe(
        parser,
        "Push to a throwaway git and a throwaway hg repository through the installed hooks, and print for each what the pusher\n"
        "saw, the payload and the mail as they arrived at servers on 127.0.0.1, and the record of the deliveries.\n"
        "Needs git and hg on PATH, and aiosmtpd (pip install 'oberon-brokers[demo]').",
        """
        oberon demo
        oberon demo --keep /tmp/oberon-demo
        """,
    )
    parser.add_argument(
        "--keep", metavar="DIR", type=Path, help="make everything in DIR, which must not exist, and leave it there"
    )


def run(arguments: argparse.Namespace) -> int:
    """0; raises DemoFailed, or ConfigError if something that it needs is not there."""
    for program in ("git", "hg"):
        if _found(program) is None:
            raise ConfigError(f"the demo needs {program}, which is not on PATH", remedy=f"install {program}")
    began = time.monotonic()
    with _folder(arguments.keep) as folder:
        stage = _Stage(folder, _environment(folder))
        try:
            with _servers() as (receiver, mailbox):
                for scene in (_git, _hg):
                    _play(scene(stage, receiver, mailbox), stage, receiver, mailbox)
        finally:
            _stop_worker(stage.state_dir)
        output.say(f"Done in {time.monotonic() - began:.1f} s." + (f" All of it is in {folder}." if arguments.keep else ""))
    return 0


# ------------------------------------------------------------------------------------------------------------- the stage


@dataclass(frozen=True)
class _Stage:
    folder: Path
    environment: Mapping[str, str]

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def call(self, *command: str | Path, cwd: Path | None = None, show: bool = False) -> str:
        """Run a command, shown as one would type it if `show`; what it said, both streams. Raises DemoFailed."""
        words = [str(word) for word in command]
        if show:
            output.say("    $ " + shlex.join(words))
        done = subprocess.run(
            [_found(words[0]) or words[0], *words[1:]],
            cwd=cwd or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            check=False,
        )
        if done.returncode:
            raise DemoFailed(f"`{' '.join(words)}` ended with {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def show(self, *command: str | Path, cwd: Path | None = None) -> None:
        """Run a command and print it with what it said."""
        said = self.call(*command, cwd=cwd, show=True)
        if said.strip():
            output.block(said.rstrip("\n"))


@dataclass(frozen=True)
class _Scene:
    """One push: its title, how the pusher makes it, how many deliveries there were before."""

    title: str
    prepare: Callable[[], None]
    push: tuple[str, ...]
    work: Path


def _play(scene: _Scene, stage: _Stage, receiver: Receiver, mailbox: Mailbox) -> None:
    output.say(f"== {scene.title} ==")
    output.say()
    output.say("Setting up, as an admin would:")
    scene.prepare()
    receiver.clear()
    mailbox.clear()
    output.say()
    output.say("What the pusher sees:")
    stage.show(*scene.push, cwd=scene.work)
    try:
        (request, *_), (mail, *_) = receiver.wait(1, WAIT_S), mailbox.wait(1, WAIT_S)
    except NothingCameError as error:
        log = stage.state_dir / "worker.log"
        raise DemoFailed(f"{error}\n{log.read_text('utf-8') if log.exists() else ''}") from error
    output.say()
    output.say(f"The payload as it arrived ({request.method} {request.path}, {request.headers['Content-Type']}):")
    output.as_json_block(request.payload())
    output.say()
    output.say("The mail as it arrived:")
    for name in ("From", "To", "Subject", "Date", "Message-ID"):
        output.say(f"    {name}: {mail.message[name]}")
    output.say()
    output.block(mail.message.get_content().rstrip("\n"))
    output.say()
    output.say("The record of the deliveries:")
    _await_record(stage)
    stage.show("oberon", "deliveries", "--limit", "2", "--state-dir", stage.state_dir)
    output.say()


def _git(stage: _Stage, receiver: Receiver, mailbox: Mailbox) -> _Scene:
    server, work = stage.folder / "team" / "hello.git", stage.folder / "hello"

    def prepare() -> None:
        stage.show("git", "init", "-q", "--bare", server)
        stage.show("oberon", "install", server)
        for key, value in _settings(stage, receiver, mailbox):
            stage.show("git", "-C", server, "config", key, value)
        stage.call("git", "clone", "-q", server, work)
        for name, words, message in _COMMITS:
            (work / name).write_text(words, "utf-8")
            stage.call("git", "add", "--all", cwd=work)
            stage.call("git", "commit", "-q", "-m", message, cwd=work)

    return _Scene("A git push", prepare, ("git", "push", "origin", "main"), work)


def _hg(stage: _Stage, receiver: Receiver, mailbox: Mailbox) -> _Scene:
    server, work = stage.folder / "team" / "hello-hg", stage.folder / "hello-hg"

    def prepare() -> None:
        stage.show("hg", "init", server)
        stage.show("oberon", "install", server)
        lines = ["[oberon]"]
        services = ["[services]"]
        for key, value in _settings(stage, receiver, mailbox):
            section, _, name = key.partition(".")
            (lines if section == "oberon" else services).append(f"{name} = {value}")
        hgrc = server / ".hg" / "hgrc"
        output.say(f"    added to {hgrc}:")
        output.block("\n".join(lines + services), "        ")
        with hgrc.open("a", encoding="utf-8") as file:
            file.write("\n".join(["", *lines, *services, ""]))
        stage.call("hg", "clone", "-q", server, work)
        for name, words, message in _COMMITS:
            (work / name).write_text(words, "utf-8")
            stage.call("hg", "commit", "-q", "-A", "-m", message, cwd=work)

    return _Scene("An hg push", prepare, ("hg", "push"), work)


_COMMITS = (
    ("hello.txt", "Hello, world!\n", "say hello"),
    ("hello.txt", "Hello, world! Grüße!\n", "say it in German too, issue #206 fixed"),
)


def _settings(stage: _Stage, receiver: Receiver, mailbox: Mailbox) -> list[tuple[str, str]]:
    return [
        ("oberon.stateDir", str(stage.state_dir)),
        ("oberon.verbose", "true"),
        ("service.web.broker", "post"),
        ("service.web.url", receiver.url + "hook"),
        ("service.mail.broker", "email"),
        ("service.mail.to", "team@example.org"),
        ("service.mail.from", "Commits <commits@example.org>"),
        ("service.mail.host", mailbox.host),
        ("service.mail.port", str(mailbox.port)),
    ]


# ------------------------------------------------------------------------------------------------------------ its scenery


@contextmanager
def _servers() -> Iterator[tuple[Receiver, Mailbox]]:
    try:
        mailbox = Mailbox().start()
    except ModuleNotFoundError as error:
        raise ConfigError(str(error)) from error
    try:
        with Receiver() as receiver:
            yield receiver, mailbox
    finally:
        mailbox.stop()


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        try:
            kept.mkdir(parents=True)
        except FileExistsError:
            raise ConfigError(f"{kept} is there already", setting="--keep", remedy="name a folder that is not") from None
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="oberon-demo-", ignore_cleanup_errors=True) as made:
        yield Path(made).resolve()


def _environment(folder: Path) -> dict[str, str]:
    """Home and settings of the demo's own, so that nobody's are read or written."""
    home = folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(GITCONFIG, "utf-8")
    (home / ".hgrc").write_text(HGRC, "utf-8")
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME") if name in os.environ}
    return {
        "LC_ALL": "C.UTF-8",
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".state"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "HGRCPATH": str(home / ".hgrc"),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
    }


def _found(program: str) -> str | None:
    """Where a program is: beside this Python (a virtual environment's hg and oberon), else on PATH."""
    return shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)


def _await_record(stage: _Stage) -> None:
    """Until the worker has written down what the servers have seen already."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        said = stage.call("oberon", "deliveries", "--json", "--state-dir", stage.state_dir)
        if all(one["state"] == "delivered" for one in json.loads(said)["deliveries"]):
            return
        time.sleep(0.1)
    raise DemoFailed("the worker has not recorded its deliveries")


def _stop_worker(state_dir: Path) -> None:
    """End the worker that the hook started; it would leave by itself after a minute."""
    try:
        number = int((state_dir / wake.LOCK).read_text("ascii"))
        os.kill(number, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        while time.monotonic() < until:
            os.kill(number, 0)
            time.sleep(0.02)
    except (OSError, ValueError):
        return  # it has ended, or there was none
