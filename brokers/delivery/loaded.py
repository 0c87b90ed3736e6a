"""Which broker files the worker has loaded, and what is wrong with them: a file in the state directory, for `oberon brokers`."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from brokers import in_service, loader
from brokers.delivery import layout, record
from brokers.in_service import Version


@dataclass(frozen=True, slots=True)
class Loaded:
    """As the worker has told it last."""

    versions: tuple[Version, ...] = ()
    """By name, the newest of a name first: in service, replaced and still running, and the last that ended."""
    problems: tuple[tuple[str, str], ...] = ()
    """(Place, why it cannot be used as it is now); an earlier version of it may be in service."""


class Teller:
    """The worker's side."""

    def __init__(self, state_dir: str) -> None:
        self._path = Path(state_dir) / layout.LOADED
        self._told = -1
        """`in_service.change()` as of the last telling."""

    def tell(self) -> None:
        """Write it down if there is something new; if the disk does not let us, the next call tries again."""
        change = in_service.change()
        if change == self._told:
            return
        told = {
            "versions": [asdict(version) for version in in_service.known()],
            "problems": [(problem.place, problem.reason) for problem in loader.problems()],
        }
        with suppress(OSError):
            _replace(self._path, json.dumps(told))
            self._told = change


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="ascii") as file:
        file.write(text)
    fresh.replace(path)


def read(state_dir: str) -> Loaded | None:
    """What the worker that runs now has told; None if none runs, or what it has told is not for this user."""
    try:
        if not record.worker_runs(state_dir):
            return None
        told = json.loads((Path(state_dir) / layout.LOADED).read_bytes())
        return Loaded(tuple(Version(**version) for version in told["versions"]), tuple(map(tuple, told["problems"])))
    except (OSError, ValueError, TypeError, KeyError):  # not there yet, or of another Oberon
        return None
