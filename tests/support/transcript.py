"""Runs the transcripts of a Markdown file: what is typed after `$ `, and what it answers.

A line `...` of the answer stands for any lines, `...` within a line for any characters, `~` for the home directory; how much
white space stands between words does not matter.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_LISTENING = re.compile(r"python -m brokers\.testing (\d+).*&$")
_IS_AT_REST = """
import json, sys
found = json.load(sys.stdin)
sys.exit(any(found[kind].get(state) for kind in ("spool", "pushes", "deliveries") for state in ("waiting", "leased")))
"""
TIMEOUT_S = 90


@dataclass
class Step:
    """A command and the lines that are to come of it."""

    command: str
    expected: list[str] = field(default_factory=list)


def steps(markdown: str, name: str) -> list[Step]:
    """The commands of the console blocks from `<!-- transcript: NAME -->` to the next heading, in order."""
    text = markdown.split(f"<!-- transcript: {name} -->", 1)[1].split("\n## ", 1)[0]
    found: list[Step] = []
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:]))
            elif line.startswith("> "):
                found[-1].command += "\n" + line[2:]
            else:
                found[-1].expected.append(line)
    return found


def run(todo: list[Step], cwd: Path) -> list[list[str]]:
    """What each command answered, both streams, all in one shell that begins in `cwd`.

    Nobody types as fast as that: what is started to listen at a port does before the next command, and after a `sleep` nothing is
    left to deliver, however slow the machine is.
    """
    mark = "@@ end of step @@"
    script = "".join(f"{step.command}\n{_settled(step.command)}echo; echo '{mark}'\n" for step in todo)
    script += "kill $(jobs -p) 2>/dev/null\n"
    done = subprocess.run(
        ["bash"],
        cwd=cwd,
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    parts = done.stdout.split(f"\n{mark}\n")
    assert len(parts) == len(todo) + 1, done.stdout
    return [part.splitlines() for part in parts[:-1]]


def _settled(command: str) -> str:
    """Shell commands that say nothing, and end when what `command` began has come about."""
    if found := _LISTENING.search(command):
        return f"until (: < /dev/tcp/127.0.0.1/{found[1]}) 2>/dev/null; do sleep 0.05; done\n"
    if command.startswith("sleep "):
        return f"until oberon status --json | '{sys.executable}' -c '{_IS_AT_REST}'; do sleep 0.2; done\n"
    return ""


def differs(step: Step, answered: list[str]) -> str:
    """'' if the answer is as expected; else both, to be read."""
    pattern = "".join(_line_pattern(line) for line in step.expected)
    told = "".join(" ".join(line.split()) + "\n" for line in answered if line.strip())
    if re.fullmatch(pattern, told):
        return ""
    return f"$ {step.command}\n--- expected\n" + "\n".join(step.expected) + "\n--- answered\n" + "\n".join(answered)


def _line_pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    words = " ".join(line.split()).replace("~", os.environ["HOME"])
    return r".*?".join(re.escape(part.strip()) if part.strip() else " " * bool(part) for part in words.split("...")) + r" *\n"
