"""The process in which a broker is checked; see the package."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from brokers import loader
from brokers.base import BaseBroker
from brokers.errors import BrokerLoadError, ConfigError
from brokers.testing.conformance.checks import Given, deadline, fields, payloads, secrets
from brokers.testing.conformance.result import Result, Verdict
from brokers.testing.conformance.threads import threads

LOADS = "loads"
CHECKS: dict[str, Callable[[type[BaseBroker], Given], Result]] = {
    "fields": fields,
    "payloads": payloads,
    "secrets": secrets,
    "deadline": deadline,
    "threads": threads,
}


def main() -> None:
    """Read what to check from stdin, and tell what was found on stdout."""
    asked = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the broker, or a program that it starts, prints
    try:
        _check(asked["file"], asked["settings"], out)
    except ConfigError as error:
        _tell(out, {"wrong": str(error)})
    _tell(out, {"end": True})
    out.close()
    sys.stderr.flush()
    os._exit(0)  # threads that are left behind would have to be waited for


def _check(path: str, given: Given, out: TextIO) -> None:
    _tell(out, {"begin": LOADS})
    try:
        classes = loader.load_file(path)
    except BrokerLoadError as error:
        remedy = "mend the file; a broker is a subclass of brokers.BaseBroker with a method handle(self, payload)"
        _tell(out, dataclasses.asdict(Result("", LOADS, Verdict.FAIL, str(error), remedy)))
        for name in CHECKS:
            _tell(out, dataclasses.asdict(Result("", name, Verdict.SKIPPED, "the file does not load")))
        return
    for broker in classes.values():
        _tell(out, dataclasses.asdict(Result(broker.name, LOADS, Verdict.PASS, f"{broker.name}, version {broker.version}")))
        for name, check in CHECKS.items():
            _tell(out, {"begin": name, "broker": broker.name})
            _tell(out, dataclasses.asdict(check(broker, given)))


def _tell(out: TextIO, line: dict[str, Any]) -> None:
    print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
