"""oberon check-broker: whether a broker's file does what Oberon relies on."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brokers.cli import arguments as common
from brokers.cli import output, own_broker
from brokers.cli.main import DONE, FAILED
from brokers.errors import ConfigError
from brokers.testing.conformance.result import Verdict

LONGEST_S = 180.0  # each check has deadlines of its own; this one is for a file that never comes to its end when it is loaded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon check-broker`."""
    common.describe(
        parser,
        "Check the broker in a file, which need not be installed: whether it loads and declares its settings, ends as it should\n"
        "whatever was pushed, keeps its secrets out of addresses, logs, notes and reasons, comes to its end when the service\n"
        "does not, and may be called by 16 threads at once. It is called some fifty times, in a process and a folder of its own,\n"
        "with made-up settings and servers on this machine: an address given with --set keeps its path and loses its host, and\n"
        "connections of Python code to other machines are refused. What it does besides is done.",
        """
        oberon check-broker chat.py
        oberon check-broker chat.py --set room=builds --set token=env:TOKEN
        oberon check-broker mailer.py --set host=127.0.0.1 --set port=8025 --json
        """,
    )
    parser.add_argument("file", metavar="FILE", help="the broker's file")
    own_broker.settings(parser)
    common.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 if nothing failed, else 1. Raises ConfigError for a wrong --set."""
    own_broker.warn_of_rights(arguments.file)
    results = []
    for result in _results(str(Path(arguments.file).absolute()), dict(arguments.set)):
        results.append(result)
        if not arguments.json:
            _tell(result)
    if arguments.json:
        output.as_json({"file": arguments.file, "checks": [{**result, "remedy": result["remedy"] or None} for result in results]})
    return FAILED if any(result["verdict"] == Verdict.FAIL for result in results) else DONE


def _results(path: str, given: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What brokers.testing.conformance tells, as it tells it; and that it broke off, if it did."""
    argv = [sys.executable, "-P", "-m", "brokers.testing.conformance"]
    with (
        tempfile.TemporaryDirectory(prefix="oberon-check-", ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        timer = threading.Timer(LONGEST_S, child.kill)
        timer.daemon = True
        timer.start()
        child.stdin.write(json.dumps({"file": path, "settings": given}))
        child.stdin.close()
        begun = {"begin": "loads", "broker": ""}
        for line in child.stdout:
            told = json.loads(line)
            if "wrong" in told:
                raise ConfigError(told["wrong"])
            if "end" in told:
                timer.cancel()
                return
            if "begin" in told:
                begun = told
            else:
                yield told
        timer.cancel()
    yield {
        "broker": begun.get("broker", ""),
        "check": begun["begin"],
        "verdict": Verdict.FAIL,
        "told": f"the broker ended the process it ran in (exit code {child.returncode})",
        "remedy": "raise an error instead of os._exit; in the worker, and within hg, others run in the same process",
    }


def _tell(result: dict[str, Any]) -> None:
    output.say(f"{result['verdict']:<8} {result['check']}: {result['told']}")
    if result["remedy"]:
        output.say(f"{'':<8} {result['remedy']}")
