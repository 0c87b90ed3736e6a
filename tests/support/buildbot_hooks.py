"""Buildbot's own change hooks, listening on 127.0.0.1 in a process of their own; the master behind them writes down each change.

with serving(tmp_path / "changes") as hooks:
    ...                                  # POST to hooks.url + "github"
    [change] = hooks.changes()
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from brokers.testing.receiver import HOST

DIALECTS: Mapping[str, Any] = {"base": True, "bitbucket": True, "github": {}, "gitlab": {}}


@dataclass(frozen=True, slots=True)
class Hooks:
    """A running server."""

    url: str
    """Ends with `/change_hook/`; behind it comes the dialect, as `github`."""
    log: Path

    def changes(self) -> list[dict[str, Any]]:
        """All that the hooks have handed to the master, in order: the arguments of its `addChange` as they were given.

        A change is there before its request is answered.
        """
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()] if self.log.exists() else []

    def forget(self) -> None:
        """Begin again without any."""
        self.log.unlink(missing_ok=True)


@contextmanager
def serving(log: Path, dialects: Mapping[str, Any] = DIALECTS) -> Iterator[Hooks]:
    """The hooks of `dialects` (name -> options, as `change_hook_dialects` of a master.cfg has them); `log`: a file for the changes."""
    with subprocess.Popen(
        [sys.executable, __file__, str(log), json.dumps(dict(dialects))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise AssertionError(f"Buildbot's hooks did not come up:\n{process.communicate()[1]}")
            yield Hooks(f"http://{HOST}:{port}/change_hook/", log)
        finally:
            process.kill()
            process.communicate()


def _listen(log: Path, dialects: dict[str, Any]) -> None:
    from buildbot.data.changes import Change
    from buildbot.www.change_hook import ChangeHookResource
    from twisted.internet import defer, reactor
    from twisted.web import resource, server

    real = signature(Change.addChange)

    def add_change(**arguments: Any) -> defer.Deferred[int]:
        real.bind(None, **arguments)  # TypeError for what the real one would not take
        with log.open("a", encoding="utf-8") as changes:
            changes.write(json.dumps(arguments) + "\n")
        return defer.succeed(1)

    master = SimpleNamespace(
        www=SimpleNamespace(resourceNeedsReconfigs=lambda _: None),
        data=SimpleNamespace(updates=SimpleNamespace(addChange=add_change)),
    )
    root = resource.Resource()
    root.putChild(b"change_hook", ChangeHookResource(master, dialects))
    port = reactor.listenTCP(0, server.Site(root), interface=HOST)
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    _listen(Path(sys.argv[1]), json.loads(sys.argv[2]))
