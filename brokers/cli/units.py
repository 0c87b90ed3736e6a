"""The units for systemd in `brokers/resources`, with the paths and the user of this installation put in."""

from __future__ import annotations

import re
import sys
from importlib import resources
from pathlib import Path

from brokers.delivery import layout, statedir
from brokers.delivery.layout import name_of
from brokers.errors import ConfigError

WORKER = "oberon-worker.service"
DRAIN = "oberon-drain.service"
TIMER = "oberon-drain.timer"
NAMES = (WORKER, DRAIN, TIMER)

# What stands in the files: they hold for an installation of the system's, and are valid as they are.
_PROGRAM, _STATE_DIR, _USER = "/usr/bin/oberon", statedir.SYSTEM_DIR, "User=oberon"
_PLAIN = re.compile(r"[\w/.+:@=,-]+", re.ASCII)


def text(name: str, state_dir: str) -> str:
    """The unit `name`, for the worker of `state_dir`: it runs this `oberon`, as the user whose the state directory is.

    Where that is not there yet, the user is `oberon`. Raises ConfigError for a path that a unit could not hold unquoted.
    """
    unit = resources.files("brokers").joinpath("resources", name).read_text("utf-8")
    program = _program()
    for path in (program, state_dir):
        if not _PLAIN.fullmatch(path):
            told = f"{path!r} cannot stand in a unit as it is"
            raise ConfigError(
                told, remedy="name a state directory, or install Oberon, where a path has letters, digits and /.+:@=,-_"
            )
    user = name_of(layout.worker_uid(state_dir)) if Path(state_dir).exists() else "oberon"
    return unit.replace(_STATE_DIR, state_dir).replace(_PROGRAM, program).replace(_USER, f"User={user}")


def _program() -> str:
    """The `oberon` that runs now, or, called otherwise, the one beside this Python."""
    called = Path(sys.argv[0]).absolute()
    return str(called if called.name == "oberon" and called.is_file() else Path(sys.executable).with_name("oberon"))
