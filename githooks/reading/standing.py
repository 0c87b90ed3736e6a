"""Where the refs of a git repository stand now, and what git's own reflog tells of how they came there."""

from __future__ import annotations

from pathlib import Path

from brokers.delivery.standing import Refs
from githooks.reading import layout
from githooks.reading.at_the_time import is_zero, ref_name
from githooks.reading.with_git import GitLane
from payload.push import Event

_PUSHED = b"push"  # what git receive-pack writes (builtin/receive-pack.c, `update`)
_LAST_BYTES = 16 * 1024  # of a reflog that are looked at


def standing(path: str, prefixes: tuple[str, ...]) -> Refs:
    """The refs of the repository with git directory `path` whose full names begin with one of `prefixes`. Raises ReadingError."""
    with GitLane(Event("", "git", path, 0.0, "", "local")) as lane:
        refs = lane.refs([ref_name(prefix) for prefix in prefixes])
    return Refs(
        nodes={_text(name): value.oid.decode("ascii") for name, value in refs.values.items()},
        moved={_text(name): value.moved for name, value in refs.values.items() if value.moved is not None},
        symbolic={_text(name): _text(target) for name, target in refs.symbolic.items()},
        moved_here=Reflog(layout.common_dir(path)).moved_here,
    )


class Reflog:
    """The reflogs of a repository whose refs are files; bare ones have none unless `core.logAllRefUpdates` says so."""

    def __init__(self, common_dir: str) -> None:
        self._folder = Path(common_dir, "logs")

    def moved_here(self, ref: str, node: str) -> bool:
        """Whether a command in the repository, and no push, last brought `ref` to `node` (zeros: removed it).

        A removed ref has no log: where logs are kept, that is taken to have been done here. Nothing known: False.
        """
        if is_zero(node):
            return self._folder.is_dir()
        last = None
        for line in self._last_lines(ref):
            facts, _, told = line.partition(b"\t")
            if facts.split(b" ", 2)[1:2] == [node.encode("ascii", "replace")]:
                last = told
        return last is not None and not last.startswith(_PUSHED)

    def _last_lines(self, ref: str) -> list[bytes]:
        """`OLD NEW NAME <MAIL> TIME ZONE<tab>MESSAGE` each, oldest first (gitrepository-layout(5))."""
        try:
            with Path(self._folder, ref).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - _LAST_BYTES))
                return file.read().splitlines()
        except OSError:
            return []


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
