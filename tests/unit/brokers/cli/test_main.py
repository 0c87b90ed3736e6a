from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module

import pytest

from brokers.cli import main as module
from brokers.cli.main import COMMANDS, main
from brokers.delivery.database import NewerOutboxError, OutboxError
from brokers.errors import BrokerError, ConfigError, UnknownBrokerError
from payload.samples import UnknownSampleError

OURS = [name for name in COMMANDS if name != "demo"]


def parser_of(name):
    parser = argparse.ArgumentParser(prog=f"oberon {name}")
    import_module(COMMANDS[name][0]).add_arguments(parser)
    return parser


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_with_description_and_examples(name, oberon):
    ran = oberon(name, "--help")
    assert ran.code == 0
    parser = parser_of(name)
    assert parser.description
    assert f"oberon {name}" in (parser.epilog or "").partition("examples:")[2]


@pytest.mark.parametrize("name", OURS)
def test_a_description_is_wrapped(name):
    assert max(map(len, parser_of(name).description.splitlines())) <= 120


@pytest.mark.parametrize("name", OURS)
def test_every_option_tells_what_it_does(name):
    assert [action.dest for action in parser_of(name)._actions if not action.help] == []


@pytest.mark.parametrize(
    "name", ["deliveries", "show", "redeliver", "enable", "disable", "status", "services", "doctor", "test", "brokers"]
)
def test_what_prints_a_list_or_record_prints_it_as_json_too(name):
    assert "--json" in parser_of(name).format_help()


def test_the_overview_names_every_command(oberon):
    ran = oberon("--help")
    assert ran.code == 0
    assert all(f"  {name} " in ran.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name, oberon):
    ran = oberon("help", name)
    assert (ran.code, ran.out) == (0, oberon(name, "--help").out)
    assert oberon("help", "staus").code == 2
    assert oberon("help").out == oberon("--help").out


def test_the_help_of_install_shows_how_to_name_a_service(oberon):
    out = oberon("install", "--help").out
    for line in (
        "config service.ci.broker post",
        "config service.ci.url https://",
        "[services]",
        "ci.broker = post",
        "ci.url = h",
    ):
        assert line in out


def test_a_usage_error_shows_control_characters_as_escapes(oberon):
    for arguments in (["status", "--\x1b[2J"], ["show", "\x1b]0;owned\x07"], ["run", "--threads", "\x9b1\u202e"]):
        ran = oberon(*arguments)
        assert ran.code == 2
        assert ran.err.replace("\n", "").isprintable()


def test_no_command_is_a_usage_error(oberon):
    assert oberon().code == 2


def test_an_unknown_command_names_the_nearest(oberon):
    ran = oberon("staus")
    assert ran.code == 2
    assert "`oberon status`" in ran.err


def test_an_unknown_option_is_a_usage_error(oberon):
    ran = oberon("status", "--colour")
    assert ran.code == 2
    assert "--colour" in ran.err


def test_options_are_not_guessed_from_their_beginning(oberon):
    assert oberon("status", "--js").code == 2


def test_version(oberon):
    ran = oberon("--version")
    assert ran.code == 0
    assert ran.out.startswith("oberon ")


class Command:
    """A module of a sub-command that raises."""

    def __init__(self, error):
        self.error = error

    def add_arguments(self, parser):
        pass

    def run(self, arguments):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("wrong", setting="oberon.mode"), 2),
        (UnknownBrokerError("there is no broker 'x'"), 2),
        (UnknownSampleError("x", ["y"]), 2),
        (BrokerError("could not"), 1),
        (OutboxError("/srv/outbox", "is locked"), 1),
        (NewerOutboxError("/srv/outbox", "upgrade this one"), 2),
        (PermissionError(13, "Permission denied", "/var/lib/oberon"), 1),
        (ZeroDivisionError("division by zero"), 3),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 0),
        (SystemExit(2), 2),
        (SystemExit(None), 0),
    ],
)
def test_an_error_becomes_an_exit_code(monkeypatch, capsys, error, code):
    monkeypatch.setattr(module, "import_module", lambda name: Command(error))
    monkeypatch.setattr(module, "_let_stdout_go", lambda: None)  # it would take pytest's own away
    assert main(["status"]) == code
    told = capsys.readouterr().err
    assert ("Traceback" in told) == (code == 3)
    assert ("please report it" in told) == (code == 3)
    if code in (1, 2) and not isinstance(error, SystemExit):
        assert told.startswith("error: ")
        assert told.count("\n") == 1


def test_an_error_reaches_the_terminal_without_its_control_characters(monkeypatch, capsys):
    monkeypatch.setattr(module, "import_module", lambda name: Command(BrokerError("\x1b]0;owned\x07 \udcff\nsecond")))
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "error: \\x1b]0;owned\\x07 �\\x0asecond\n"


def test_a_command_imports_neither_the_others_nor_what_they_need():
    code = (
        "import sys\n"
        "from brokers.cli.main import main\n"
        "assert main(['--version']) == 0\n"
        "assert main(['status', '--state-dir', '/nowhere']) == 0\n"
        "names = {name for name in sys.modules if name.startswith('brokers.cli.')}\n"
        "heavy = sorted({'mercurial', 'dulwich', 'requests', 'brokers.loader'} & set(sys.modules))\n"
        "print(sorted(names), heavy, file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    for name in ("doctor", "services", "test", "payload", "install"):
        assert f"'brokers.cli.{name}'" not in told
    assert told.rstrip().endswith("[]")


def test_a_reader_that_goes_away_makes_no_noise():
    code = (
        "import sys; from brokers.cli import main as m\n"
        "class C:\n"
        "    add_arguments = staticmethod(lambda parser: None)\n"
        "    run = staticmethod(lambda arguments: [print('x' * 1000) for _ in range(1000)] and 0)\n"
        "m.import_module = lambda name: C\n"
        "sys.exit(m.main(['status']))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.read(10)
    child.stdout.close()
    told = child.stderr.read()
    child.stderr.close()
    assert child.wait() == 0
    assert told == b""
