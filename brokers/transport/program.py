"""A program of this machine, run for a broker: no shell, nothing of the caller's environment, an end to its time and its output.

    ended = program.check(program.run(["/usr/local/bin/deploy"], stdin=body, environment={"OBERON_USER": "ada"}))

It runs as the user whose deliveries these are, in a session of its own, and leads its process group.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport.call import KEPT_BYTES, Exchange, current
from payload import text

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs find others; where a worker was started from says nothing about it."""
MASK = "***"

_CHUNK_BYTES = 64 * 1024
_PIPE_BYTES = 1024 * 1024  # what a pipe can hold at most (fs.pipe-max-size), so what a program can have left in one
_TICK_S = 0.05  # how often its end is looked for while something else keeps its output open
_SHORTEST_TICK_S = 0.001  # once its output has ended, so nearly has it
_AFTER_KILL_S = 0.1
_LONGEST_FAREWELL_S = 1.0
_SAID_CHARS = 300


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program came to its end."""

    program: str
    """As it was called."""
    status: int = 0
    """Its exit status; the number of the signal that ended it, negative."""
    stdout: str = ""
    """At most KEPT_BYTES of it, not made visible: what it holds may come from anywhere."""
    stderr: str = ""

    @property
    def note(self) -> str:
        """The first line it printed that is not empty; '' if none is."""
        return next((_line(line) for line in self.stdout.splitlines() if line.strip()), "")

    @property
    def said(self) -> str:
        """What it said of itself, on one line: on stderr, else on stdout."""
        return _line(self.stderr) or _line(self.stdout)

    def __str__(self) -> str:
        if self.status < 0:
            return f"{self.program} was ended by {_signal_name(-self.status)}"
        return f"{self.program} ended with status {self.status}"


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    secret_environment: Mapping[str, str] | None = None,
    cwd: str = "/",
    name: str = "",
    record: Exchange | None = None,
) -> Ended:
    """Run `argv` to its end, at the latest to the call's deadline; whatever its exit status, which `check` judges.

    It has PATH, LANG, its user's HOME, USER and LOGNAME, and the two environments, of which the secret one's values are not
    recorded; no descriptor but its standard ones. Of stdout and stderr KEPT_BYTES each are kept, and the rest is read all the
    same. What it leaves running is not waited for, whatever it holds open. Shortly before the deadline it is asked to end
    (SIGTERM), at the deadline made to (SIGKILL), and with it all of its process group.
    `name` is what it is called in messages. `record`: the entry to complete, where it has been made already. Raises DeliveryFailed when it cannot be run, or has not
    ended in time; PermanentFailure for what can be no argument.
    """
    call, called = current(), name or argv[0]
    if record is None:
        record = Exchange("program", _request(argv, stdin, environment or {}, secret_environment or {}))
        call.exchanges.append(record)
    if call.dry_run:
        return Ended(called)
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        raise DeliveryFailed(f"cannot run {called}: who started Oberon ignores SIGCHLD, so nobody would learn how it ends")
    started = time.monotonic()
    limit_s = call.remaining_s()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**_own_environment(), **(environment or {}), **(secret_environment or {})},
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise DeliveryFailed(f"cannot run {called}: {error.strerror}") from error
    except ValueError as error:  # a null character, or half of a surrogate pair
        raise PermanentFailure(f"cannot run {called}: an argument or a variable of it is no text: {error}") from error
    running = _Running(process, stdin)
    try:
        in_time = running.finish(call.deadline - min(_LONGEST_FAREWELL_S, limit_s / 10), call.deadline)
    finally:
        record.duration_s = time.monotonic() - started
    ended = Ended(called, process.returncode, running.text("stdout"), running.text("stderr"))
    record.status = ended.status
    record.response = "\n".join(text.visible(line) for line in [*ended.stdout.splitlines(), *ended.stderr.splitlines()])
    if not in_time:
        raise DeliveryFailed(f"{called} had not finished after {round(limit_s, 1):g} s", slow_down=True)
    return ended


def check(ended: Ended, for_good: Mapping[int, str] | None = None) -> Ended:
    """`ended`, if its status is 0. Else raises PermanentFailure if `for_good` has its status, with the words for that;
    DeliveryFailed for any other.
    """
    if ended.status == 0:
        return ended
    said = f": {ended.said}" if ended.said else ""
    if for_good and ended.status in for_good:
        raise PermanentFailure(f"{ended.program} {for_good[ended.status]}{said or f': status {ended.status}'}")
    raise DeliveryFailed(f"{ended}{said}", endpoint_down=False)


class _Running:
    """A process, what it is still to read, and the beginning of what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes) -> None:
        self._process = process
        self._left = memoryview(stdin)
        self._kept = {"stdout": bytearray(), "stderr": bytearray()}
        self._selector = selectors.DefaultSelector()
        for name in ("stdin", "stdout", "stderr"):
            stream: IO[bytes] = getattr(process, name)
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_WRITE if name == "stdin" else selectors.EVENT_READ, name)

    def text(self, name: str) -> str:
        return text.decode(bytes(self._kept[name]))

    def finish(self, ask_at: float, deadline: float) -> bool:
        """Until it has ended, which it is asked to at `ask_at`; whether it had ended by itself."""
        in_time = False
        try:
            in_time = self._serve(ask_at)
            if not in_time:
                self._signal(signal.SIGTERM)
                self._serve(deadline)
        finally:
            if not in_time:
                self._signal(signal.SIGKILL)
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                with contextlib.suppress(OSError):
                    stream.close()  # type: ignore[union-attr]  # all three are pipes
            self._selector.close()
            with contextlib.suppress(subprocess.TimeoutExpired):  # what runs as another user cannot be made to end
                self._process.wait(_AFTER_KILL_S)
        return in_time

    def _signal(self, number: int) -> None:
        """To it and its group, whose number is its own until it is waited for."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _serve(self, until: float) -> bool:
        """Pass on what there is to read and to write, till the process has ended; False if that was not by `until`."""
        pause_s = _SHORTEST_TICK_S
        while not self._has_ended():
            wait_s = until - time.monotonic()
            if wait_s <= 0:
                return False
            if self._selector.get_map():
                self._pass_on(min(wait_s, _TICK_S))
            else:
                time.sleep(min(wait_s, pause_s))
                pause_s = min(pause_s * 2, _TICK_S)
        self._pass_on_the_rest()
        return True

    def _pass_on_the_rest(self) -> None:
        """What it had printed; more can only be something else's, that it has left running."""
        passed = 0
        while self._selector.get_map() and passed < _PIPE_BYTES:
            now = self._pass_on(0)
            if not now:
                return
            passed += now

    def _pass_on(self, wait_s: float) -> int:
        """How many bytes, or ends, there were."""
        passed = 0
        for key, _ in self._selector.select(wait_s):
            try:
                done = self._write() if key.data == "stdin" else self._read(key.fd, self._kept[key.data])
            except BlockingIOError:
                continue
            except BrokenPipeError:  # it wants no more; how it ends, tells whether it had to
                done = 0
            passed += done or 1
            if not done:
                self._selector.unregister(key.fileobj)
                with contextlib.suppress(OSError):
                    key.fileobj.close()  # type: ignore[union-attr]  # one of the three streams
        return passed

    def _write(self) -> int:
        """0: all is written."""
        if not self._left:
            return 0
        written = os.write(self._process.stdin.fileno(), self._left[:_CHUNK_BYTES])  # type: ignore[union-attr]  # it is a pipe
        self._left = self._left[written:]
        return written if self._left else 0

    @staticmethod
    def _read(descriptor: int, kept: bytearray) -> int:
        """0: it ended."""
        chunk = os.read(descriptor, _CHUNK_BYTES)
        kept += chunk[: KEPT_BYTES - len(kept)]
        return len(chunk)

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _own_environment() -> dict[str, str]:
    """Nothing of the caller's: in a hook the environment is the pusher's, and a worker's may hold secrets."""
    own = {"PATH": PATH, "LANG": "C.UTF-8"}
    with contextlib.suppress(KeyError):  # a user without an entry
        entry = pwd.getpwuid(os.geteuid())
        own |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    return own


def _request(argv: Sequence[str], stdin: bytes, environment: Mapping[str, str], secret_environment: Mapping[str, str]) -> str:
    """As the record has it: the command, its variables, an empty line, what it reads."""
    variables = {**environment, **dict.fromkeys(secret_environment, MASK)}
    lines = [shlex.join(argv), *(f"{name}={value}" for name, value in variables.items()), ""]
    lines += stdin[:KEPT_BYTES].decode("utf-8", "replace").split("\n")
    return text.cut("\n".join(text.visible(text.repair(line)) for line in lines), KEPT_BYTES)[0]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _line(said: str) -> str:
    return text.visible(" ".join(said.split()))[:_SAID_CHARS]
