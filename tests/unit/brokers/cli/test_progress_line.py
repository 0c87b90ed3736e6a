from __future__ import annotations

import os
import pty
import re
import time
from contextlib import contextmanager, redirect_stderr, suppress

import pytest

from brokers.cli import progress_line


@contextmanager
def terminal():
    """Within it stderr is a terminal; what it yields returns what was written to it since."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)

    def written():
        try:
            return os.read(ours, 65_536).decode()
        except BlockingIOError:
            return ""

    try:
        with os.fdopen(theirs, "w", encoding="utf-8") as stream, redirect_stderr(stream):
            yield written
    finally:
        os.close(ours)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(progress_line, "AFTER_S", 0.1)
    monkeypatch.setattr(progress_line, "EVERY_S", 0.02)


def until_written(written, pattern):
    told, end = "", time.monotonic() + 10
    while not re.search(pattern, told):
        assert time.monotonic() < end, told
        told += written()
        time.sleep(0.01)
    return told


def test_it_moves_on_and_is_gone_at_the_end():
    with terminal() as written:
        with progress_line.shown() as progress:
            until_written(written, r"\rreading: finding its new commits, 0 s *\Z")
            progress(0, 60_000)
            until_written(written, r"\rreading: 0 of 60,000 commits, 0 s *\Z")
            progress(12_000, 60_000)
            told = until_written(written, r"\rreading: 12,000 of 60,000 commits, 0 s *\Z")
        told += written()
    lines = told.split("\r")
    assert lines[-1] == ""
    assert lines[-2].isspace()
    assert len(lines[-2]) == max(map(len, lines)), "as long as what it covers"
    assert "\x1b" not in told


def test_nothing_is_written_of_what_is_soon_done():
    with terminal() as written:
        with progress_line.shown() as progress:
            progress(0, 5)
            progress(5, 5)
        time.sleep(0.2)
        assert written() == ""


def test_it_is_gone_after_an_error_too():
    with terminal() as written:
        with suppress(KeyboardInterrupt), progress_line.shown() as progress:
            progress(1, 5)
            until_written(written, "1 of 5")
            raise KeyboardInterrupt
        assert written().endswith(" \r")


def test_where_stderr_is_no_terminal_nothing_is_written(capsys):
    with progress_line.shown() as progress:
        assert progress is None
        time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_it_is_not_shown_where_it_is_not_wanted():
    with terminal() as written, progress_line.shown(wanted=False) as progress:
        assert progress is None
        time.sleep(0.2)
        assert written() == ""


def test_a_payload_on_a_terminal_is_the_payload_alone(git_server, oberon, tmp_path, monkeypatch):
    clone = git_server("team/app.git").clone()
    clone.commit({"a.txt": "one\n"})
    clone.push("HEAD:main")
    monkeypatch.setattr(progress_line, "AFTER_S", 0.0)
    with terminal() as written:
        ran = oberon("payload", tmp_path / "team/app.git", "0", "main", "main")
        assert written().startswith("\rreading: ")
    assert len(ran.json()["commits"]) == 1
