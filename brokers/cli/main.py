"""The command `oberon`: finds the sub-command, runs it, and turns every error into an exit code.

The console script calls `main`, and so does the worker that a hook starts. A sub-command is a module with
`add_arguments(parser)`, which also sets the parser's description and examples, and `run(arguments) -> int`; it is imported
when it is chosen, and no other.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

DONE, FAILED, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 130
"""The exit codes: done; something failed; usage or configuration; a fault of Oberon's; interrupted."""

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("brokers.cli.demo", "real pushes to a throwaway git and a throwaway hg repository: shows what arrives"),
    "init": ("brokers.cli.init", "prepare the state directory, for one user or for a group of them"),
    "install": ("brokers.cli.install", "put the hook into a repository, and keep what was there"),
    "uninstall": ("brokers.cli.uninstall", "take the hook out again"),
    "doctor": ("brokers.cli.doctor", "what is wrong, and the command that mends it"),
    "services": ("brokers.cli.services", "a repository's services, and where each setting comes from"),
    "payload": ("brokers.cli.payload", "what a push would tell the brokers: a dry run of reading"),
    "test": ("brokers.cli.test", "send a sample or the last push to one service, or a broker's file, and show the exact request"),
    "status": ("brokers.cli.status", "how many deliveries wait, failed or died"),
    "deliveries": ("brokers.cli.deliveries", "the deliveries, newest first"),
    "show": ("brokers.cli.show", "one delivery with every attempt"),
    "redeliver": ("brokers.cli.redeliver", "send deliveries again"),
    "enable": ("brokers.cli.enable", "switch a service on again, and let go what was held back for it"),
    "disable": ("brokers.cli.disable", "switch a service off, and keep what is for it"),
    "reconcile": ("brokers.cli.reconcile", "find the pushes of a repository that no hook could record"),
    "prune": ("brokers.cli.prune", "forget what is done, and what is dead and has been seen to"),
    "run": ("brokers.cli.run", "the worker: delivers what the hooks have recorded"),
    "brokers": ("brokers.cli.brokers", "the brokers there are, and their settings"),
    "new-broker": ("brokers.cli.new_broker", "write a broker of one's own, and its test, to begin with"),
    "check-broker": ("brokers.cli.check_broker", "whether a broker's file does what Oberon relies on"),
    "metrics": ("brokers.cli.metrics", "what waits, failed and was tried, in numbers for Prometheus"),
}
"""Name -> (module, help in one line), in the order of `oberon --help`."""

USAGE_TEXT = "usage: oberon COMMAND [ARGUMENT ...]"
EXIT_CODES = (
    "exit codes: 0 done, 1 something failed, 2 usage or configuration, 3 a fault of Oberon's own, 130 interrupted\n"
    "`oberon COMMAND --help` tells more about a command, with examples."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `oberon ARGV` (None: this process's arguments); the exit code. Never raises Exception."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _stand_in_for_closed_streams()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except SystemExit as end:  # argparse, after --help or a usage error
        return end.code if isinstance(end.code, int) else DONE
    except BrokenPipeError:
        _let_stdout_go()
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        return _failed(error)
    return code


class _Parser(argparse.ArgumentParser):
    """Its errors name arguments, in which anything may stand."""

    def error(self, message: str) -> NoReturn:
        """End with a usage error."""
        from brokers.cli.output import repaired

        super().error(repaired(message))


def _run(arguments: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal whose encoding lacks a character is no reason to fail
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_overview())
        return DONE if arguments else USAGE
    if arguments[0] in ("--version", "-V"):
        from brokers.cli.versions import own_version

        print(f"oberon {own_version()}")
        return DONE
    name, *rest = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        way_out = f"did you mean `oberon {near[0]}`?" if near else "`oberon --help` lists the commands"
        print(f"{USAGE_TEXT}\noberon: there is no command {name!a}; {way_out}", file=sys.stderr)
        return USAGE
    module = import_module(COMMANDS[name][0])
    parser = _Parser(prog=f"oberon {name}", formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    module.add_arguments(parser)
    code: int = module.run(parser.parse_args(rest))
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {told}" for name, (_, told) in COMMANDS.items()]
    options = ["  --version  the version", "  --help     this text"]
    first = "Service integration for self-hosted Git and Mercurial: every push reaches your services."
    return "\n".join((USAGE_TEXT, "", first, "", "commands:", *rows, "", "options:", *options, "", EXIT_CODES))


def _failed(error: Exception) -> int:
    """Say what went wrong on stderr; the exit code. The one place where errors become codes."""
    from brokers.cli.output import repaired
    from brokers.delivery.database import NewerOutboxError
    from brokers.errors import BrokerError, ConfigError
    from payload.samples import UnknownSampleError

    codes: dict[type[Exception], int] = {
        ConfigError: USAGE,
        UnknownSampleError: USAGE,
        NewerOutboxError: USAGE,  # to start a worker again does not help
        BrokerError: FAILED,
        OSError: FAILED,
    }
    code = next((code for kind, code in codes.items() if isinstance(error, kind)), BUG)
    if code == BUG:
        import traceback

        from brokers.cli.versions import own_version

        trace = "".join(traceback.format_exception(error)).splitlines()
        print("\n".join(map(repaired, trace)), file=sys.stderr)
        told = f"this is a fault in Oberon {own_version()}, not in your set-up; please report it with the lines above"
        print(f"error: {told}", file=sys.stderr)
    else:
        print(f"error: {repaired(str(error) or type(error).__name__)}", file=sys.stderr)
    return code


def _stand_in_for_closed_streams() -> None:
    """Open those of the standard streams that our caller has closed; their numbers would go to the next files we open."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - it stays open to the end


def _let_stdout_go() -> None:
    """Whoever read our output has gone; Python would complain when it flushes at exit."""
    if sys.__stdout__ is None:
        return
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())
    except (OSError, ValueError):
        pass  # stdout is no file: nothing is flushed into it


if __name__ == "__main__":
    sys.exit(main())
