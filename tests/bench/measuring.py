"""Whole processes, timed from fork to end, in turns: what is compared runs in the same round, so that a busy machine slows both."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Program:
    """What is run. `slow` ones run in the first round only."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    slow: bool = False
    cwd: Path | None = None
    stdin: Path = Path(os.devnull)


@dataclass(frozen=True)
class Run:
    """One run of a program."""

    wall_s: float
    cpu_s: float
    """Of it and of the children it waited for."""
    largest_mb: float
    """Peak resident memory of the largest of these processes, mapped files included."""
    told: Mapping[str, Any]
    """The JSON that it wrote to its standard error, as our readers do: `seconds`, `known_s`, `rss_mb`, `commits`, `p99`."""


class ProgramFailedError(Exception):
    """A program that is measured ended with a code other than 0."""


def in_turns(programs: Mapping[str, Program], rounds: int) -> dict[str, list[Run]]:
    """The runs of each program, by its label."""
    runs: dict[str, list[Run]] = {label: [] for label in programs}
    for number in range(rounds):
        for label, program in programs.items():
            if not (number and program.slow):
                runs[label].append(run(program))
    return runs


def ratio(runs: Sequence[Run], reference: Sequence[Run], figure: str = "wall_s", against: str | None = None) -> float:
    """The median over the rounds of one's `figure` against the other's `against`.

    None: the same; but what a program told of itself (`seconds`) is set against the other's `wall_s`.
    """
    return statistics.median(
        _figure(one, figure) / _figure(other, against or ("wall_s" if figure in one.told else figure))
        for one, other in zip(runs, reference, strict=False)
    )


def median(runs: Sequence[Run], figure: str = "wall_s") -> float:
    """The median of a figure."""
    return statistics.median(_figure(one, figure) for one in runs)


def run(program: Program) -> Run:
    """Run it. Raises ProgramFailedError."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "HG", "PYTHON"))}
    argv = [sys.executable, "-I", "-S", str(LAUNCHER), *program.argv]
    with program.stdin.open("rb") as stdin:
        done = subprocess.run(
            argv, env={**environment, **program.env}, cwd=program.cwd, stdin=stdin, capture_output=True, check=False, text=True
        )
    figures = json.loads(done.stdout) if done.stdout else {"code": done.returncode}
    if figures.pop("code"):
        raise ProgramFailedError(f"{' '.join(program.argv)}\nfailed:\n{done.stderr}")
    return Run(**figures, told=json.loads(done.stderr) if done.stderr.startswith("{") else {})


def _figure(one: Run, figure: str) -> float:
    return float(one.told[figure] if figure in one.told else getattr(one, figure))
