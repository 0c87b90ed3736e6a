"""Which state directory a command is about."""

from __future__ import annotations

import os

from brokers.cli.arguments import STATE_VARIABLE
from brokers.config import Configuration, Settings
from brokers.delivery import statedir
from brokers.errors import ConfigError


def of_machine(given: str | None) -> str:
    """For commands about no one repository: `given` (--state-dir), OBERON_STATE_DIR, git's global oberon.stateDir, the default."""
    chosen = given or os.environ.get(STATE_VARIABLE)
    return os.path.abspath(chosen) if chosen else statedir.choose(machine_settings().state_dir, os.environ)  # noqa: PTH100 - links stay


def machine_settings() -> Settings:
    """What git's system and global configuration say; the defaults where there is no git, or its configuration is broken."""
    return machine_configuration().settings


def machine_configuration() -> Configuration:
    """The same with what is wrong in it."""
    from githooks import config

    try:
        return config.load(None)
    except ConfigError as error:
        return Configuration(Settings(), (), (error,))
