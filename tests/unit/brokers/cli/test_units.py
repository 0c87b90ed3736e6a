import argparse
import configparser
import os
import shlex
from importlib import resources
from pathlib import Path

import pytest

from brokers.cli import run as command
from brokers.cli import units
from brokers.delivery import statedir
from brokers.delivery.scheduler import STOP_S
from brokers.errors import ConfigError
from tests.support.hooked import SCRIPTS


class Unit(configparser.RawConfigParser):
    """As systemd reads it, but that a key which stands twice is an error: none does in ours."""

    def __init__(self, text):
        super().__init__(delimiters="=", comment_prefixes=("#", ";"))
        self.optionxform = str
        self.read_string(text)


def shipped(name):
    return resources.files("brokers").joinpath("resources", name).read_text("utf-8")


SERVICES = (units.WORKER, units.DRAIN)


def test_each_shipped_unit_can_be_printed():
    folder = resources.files("brokers").joinpath("resources")
    there_are = [found.name for found in folder.iterdir() if not found.name.endswith((".sh", ".txt"))]
    assert sorted(units.NAMES) == sorted(there_are)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_starts_is_a_command_of_ours(name, state_dir):
    program, subcommand, *options = shlex.split(Unit(shipped(name))["Service"]["ExecStart"])
    assert (Path(program).name, subcommand) == ("oberon", "run")
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    command.add_arguments(parser)
    assert parser.parse_args(options).state_dir == statedir.SYSTEM_DIR


def test_the_worker_has_time_to_wind_up_and_is_watched():
    service = Unit(shipped(units.WORKER))["Service"]
    assert float(service["TimeoutStopSec"]) > STOP_S + 5
    wanted = {"Type": "notify", "WatchdogSec": "30", "KillMode": "mixed", "Restart": "always", "RestartPreventExitStatus": "2"}
    assert {key: service[key] for key in wanted} == wanted
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_both_services_are_confined_alike():
    confined = {}
    for name in SERVICES:
        service = dict(Unit(shipped(name))["Service"])
        own = {
            "Type",
            "ExecStart",
            "ExecReload",
            "Restart",
            "RestartSec",
            "RestartPreventExitStatus",
            "WatchdogSec",
            "TimeoutStartSec",
        }
        confined[name] = {key: value for key, value in service.items() if key not in own}
    assert confined[units.WORKER] == confined[units.DRAIN]
    assert confined[units.WORKER]["ProtectSystem"] == "strict"
    assert confined[units.WORKER]["ReadWritePaths"] == statedir.SYSTEM_DIR
    assert {"StateDirectory", "PrivateUsers", "DynamicUser"}.isdisjoint(confined[units.WORKER]), "they would change owners"


def test_the_timer_starts_what_drains():
    timer = Unit(shipped(units.TIMER))
    assert Path(units.TIMER).stem == Path(units.DRAIN).stem, "by its name"
    assert timer["Timer"]["OnUnitInactiveSec"] == "1min"
    assert timer["Install"]["WantedBy"] == "timers.target"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_printed_has_this_installation_s_paths(name, state_dir, run):
    statedir.prepare(str(state_dir))
    printed = run([SCRIPTS / "oberon", "run", "--print-unit", name, "--state-dir", state_dir]).stdout
    unit = Unit(printed)
    assert shlex.split(unit["Service"]["ExecStart"])[0] == str(SCRIPTS / "oberon")
    assert unit["Service"]["ReadWritePaths"] == unit["Unit"]["AssertPathIsDirectory"] == str(state_dir)
    assert unit["Service"]["User"] == os.environ.get("USER", "root")
    assert statedir.SYSTEM_DIR not in printed
    assert "/usr/bin/oberon" not in printed


def test_before_there_is_a_state_directory_the_user_is_oberon(state_dir):
    assert Unit(units.text(units.WORKER, str(state_dir)))["Service"]["User"] == "oberon"


@pytest.mark.parametrize("path", ["/srv/two words", "/srv/100%", '/srv/"', "/srv/\n[Service]\nUser=root"])
def test_a_path_that_a_unit_would_read_otherwise_is_refused(path):
    with pytest.raises(ConfigError, match="cannot stand in a unit"):
        units.text(units.WORKER, path)
