"""Commands run for a test: text in, text and seconds out."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 60.0

Argument = str | os.PathLike[str]

# Root minds no modes; without these two capabilities it does (capabilities(7); setpriv(1) is in util-linux).
MINDING_MODES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--") if os.getuid() == 0 else ()
"""Put before a command that is to mind the modes of files, whoever runs the tests."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended. `stderr` and `stdout` were read until every holder closed them, as a pusher's client does."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"$ {shlex.join(self.args)}\nexit code {self.returncode} after {self.seconds:.2f} s"
            f"\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        )


class CommandFailedError(AssertionError):
    """A command ended with a code other than 0; the text has all that it said."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(f"\n{finished}")
        self.finished = finished


UNMEASURED: Mapping[str, None] = dict.fromkeys(("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"))
"""Laid over the environment of a Python program that runs none of our code: coverage would double the time it takes to start."""


def run(
    argv: Sequence[Argument],
    *,
    cwd: Argument | None = None,
    input: str | bytes | None = None,  # noqa: A002 - subprocess's name
    env: Mapping[str, str | None] | None = None,
    check: bool = True,
    timeout_s: float = TIMEOUT_S,
) -> Finished:
    """Run `argv` to its end. Bytes that are no UTF-8 come as surrogates; without `input`, stdin is empty.

    `env` is laid over the test's own environment, None removes a variable. Raises CommandFailedError (with `check`),
    subprocess.TimeoutExpired.
    """
    started = time.perf_counter()
    ended = subprocess.run(
        [os.fspath(argument) for argument in argv],
        cwd=cwd,
        input=_bytes(input),
        env=environment(env or {}),
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    finished = Finished(
        args=tuple(os.fspath(argument) for argument in argv),
        returncode=ended.returncode,
        stdout=ended.stdout.decode("utf-8", "surrogateescape"),
        stderr=ended.stderr.decode("utf-8", "surrogateescape"),
        seconds=time.perf_counter() - started,
    )
    if check and finished.returncode != 0:
        raise CommandFailedError(finished)
    return finished


def environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """This process's environment with `changes`; None removes."""
    return {name: value for name, value in {**os.environ, **changes}.items() if value is not None}


def write_files(folder: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Write `files` (path below `folder` -> content); None deletes."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_bytes(content))


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value or b""
