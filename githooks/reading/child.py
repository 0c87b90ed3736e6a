"""A git process that is asked and answers over pipes, of which neither side ever waits for the other for good."""

from __future__ import annotations

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO

from brokers.errors import ReadingError, RepositoryUnreadable
from githooks.reading.errors import ObjectBroken

_READ_BYTES = 1 << 18
_COMPLAINT_BYTES = 2000
_GRACE_S = 5.0  # for a child that was told that nothing more comes
_NAMED_OBJECT = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")


class Child:
    """A running git: what is sent is written as it takes it, while what it answers is read. Raises RepositoryUnreadable."""

    def __init__(self, repository: str, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self._repository = repository
        self._command = arguments[0]
        try:
            self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        except OSError:  # no room: what it complains of is not known then
            self._complaints = open(os.devnull, "r+b")  # noqa: SIM115, PTH123 - likewise
        try:
            self._process = subprocess.Popen(
                ["git", *arguments],
                env=dict(environ),
                cwd=repository,  # as the hook's: directories of objects may be named relative to it
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                bufsize=0,
            )
        except OSError as error:
            self._complaints.close()
            raise RepositoryUnreadable(repository, f"git cannot be run: {error.strerror or error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        self._unsent = bytearray()
        self._input_ends = False
        self._received = bytearray()
        self._at = 0
        self._closed = False
        self.deadline: float | None = None
        """When waiting for its answer is given up, in `time.monotonic`'s seconds; None: never."""

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, asked: bytes) -> None:
        """Queue `asked` for its standard input, and write what it takes now."""
        self._unsent += asked
        self._write()

    def end_input(self) -> None:
        """Nothing more is sent after what is queued."""
        self._input_ends = True
        self._write()

    def until(self, end: bytes) -> bytes:
        """What it answers up to `end`, which is taken away. Raises ReadingError if its output ends before."""
        looked_to = self._at
        while (found := self._received.find(end, looked_to)) < 0:
            looked_to = max(0, len(self._received) - self._at - len(end) + 1)
            self._receive()
        answer = bytes(memoryview(self._received)[self._at : found])
        self._at = found + len(end)
        return answer

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes. Raises ReadingError if its output ends before."""
        while len(self._received) - self._at < count:
            self._receive()
        self._at += count
        return bytes(memoryview(self._received)[self._at - count : self._at])

    def some_lines(self, count: int) -> list[bytes]:
        """The next `count` lines, without their ends. Raises ReadingError if its output ends before."""
        if not count:
            return []
        while self._received.count(b"\n", self._at) < count:
            self._receive()
        *lines, rest = bytes(memoryview(self._received)[self._at :]).split(b"\n", count)
        self._at = len(self._received) - len(rest)
        return lines

    def lines(self) -> Iterator[bytes]:
        """All lines to the end of its output, without their ends. Raises ReadingError if it ends within one."""
        rest = b""
        while piece := self._read():
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest:
            raise self._failure(self._process.wait())

    def fields(self, end: bytes) -> Iterator[bytes]:
        """What it answers, split at NULs, without end; `end` stands for itself wherever a field begins with it."""
        rest = b""
        while True:
            piece = self._read()
            if not piece:
                raise self._failure(self._process.wait())
            *fields, rest = (rest + piece).split(b"\0")
            for field in fields:
                if field.startswith(end):
                    yield end
                    yield field[len(end) :]
                else:
                    yield field
            if rest.startswith(end):
                yield end
                rest = rest[len(end) :]

    def close(self, *, check: bool = False) -> None:
        """End it. With `check`, raises ReadingError if it failed; without, it is killed if it does not go at once."""
        if self._closed:
            return
        self._closed = True
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()
        if not check:
            self._process.kill()
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        error = self._failure(code) if check and code else None
        self._complaints.close()
        if error is not None:
            raise error

    def _receive(self) -> None:
        """Add to what it has answered; what was taken of that is forgotten."""
        piece = self._read()
        if not piece:
            raise self._failure(self._process.wait())
        del self._received[: self._at]
        self._at = 0
        self._received += piece

    def _read(self) -> bytes:
        while self._unsent or self.deadline is not None:
            wait_s = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
            readable, writable = self._ready(wait_s)
            if writable:
                self._write()
            if readable:
                break
            if not writable:
                raise RepositoryUnreadable(self._repository, f"git {self._command} took longer than the time limit")
        return os.read(self._stdout.fileno(), _READ_BYTES)

    def _ready(self, wait_s: float | None) -> tuple[bool, bool]:
        """Whether it has answered, and whether it takes more; both False after `wait_s`. By poll, for select ends at 1023 files."""
        ready = select.poll()
        ready.register(self._stdout, select.POLLIN)
        if self._unsent:
            ready.register(self._stdin, select.POLLOUT)
        told = dict(ready.poll(None if wait_s is None else wait_s * 1000))
        return self._stdout.fileno() in told, self._unsent != b"" and self._stdin.fileno() in told

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._stdin.fileno(), memoryview(self._unsent)[:_READ_BYTES])]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent.clear()  # it has ended; what it says of that comes with its answer
        if self._input_ends:
            self._stdin.close()

    def _failure(self, code: int) -> ReadingError:
        self._complaints.seek(0)
        said = self._complaints.read(_COMPLAINT_BYTES).decode("utf-8", "replace")
        reason = " ".join(said.split()) or f"it ended with code {code}"
        named = _NAMED_OBJECT.search(said.encode())
        message = f"git {self._command} failed: {reason}"
        if named is not None:
            return ObjectBroken(self._repository, named[0].decode(), message)
        return RepositoryUnreadable(self._repository, message)
