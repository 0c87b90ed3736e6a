"""oberon run: the worker."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType

from brokers.cli import arguments as common
from brokers.cli import output, state, units
from brokers.cli.sources import by_scm
from brokers.delivery import layout, record, statedir, wake
from brokers.delivery.notify import Notifier
from brokers.delivery.outcome import State
from brokers.delivery.scheduler import Limits, PoolExhausted
from brokers.delivery.surroundings import KEPT_VARIABLES
from brokers.delivery.worker import Worker, WorkerRunning
from brokers.secrets import resolver
from githooks import starter

IDLE_S = 60.0
LOG_BYTES = 1024 * 1024
LOGS_KEPT = 2  # beside the one being written

log = logging.getLogger("oberon.worker")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `oberon run`."""
    common.describe(
        parser,
        "Deliver what the hooks have recorded, until stopped (SIGTERM or Ctrl-C: attempts that run may end, for 10 s; a second\n"
        "one ends it at once). SIGHUP has it read settings and broker files anew, and open its log anew. The hooks start a worker\n"
        "by themselves where none runs; run it as a service to have it always there: --print-unit. One runs for each state\n"
        "directory. Started without a terminal or pipe, it writes to worker.log there.",
        """
        oberon run
        oberon run --drain
        oberon run --state-dir /var/lib/oberon --threads 16
        oberon run --print-unit > /etc/systemd/system/oberon-worker.service
        """,
    )
    parser.add_argument("--drain", action="store_true", help="deliver what is due now, say how it went, and end")
    parser.add_argument(
        "--threads", metavar="N", type=common.count, help="deliveries at the same time; default: oberon.workers, which is 8"
    )
    parser.add_argument(
        "--leave-when-idle", action="store_true", help=f"end when nothing is due for {IDLE_S:.0f} s and nothing waits"
    )
    parser.add_argument(
        "--print-unit",
        metavar="UNIT",
        nargs="?",
        const=units.WORKER,
        choices=units.NAMES,
        help=f"print a unit for systemd and end: {units.WORKER} (the default), or {units.DRAIN} and {units.TIMER}, which"
        " deliver what is due once a minute where no worker is to stay",
    )
    common.state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if another worker runs already (with --leave-when-idle, that is as good)."""
    _forget_the_push()
    state_dir = state.of_machine(arguments.state_dir)
    if arguments.print_unit:
        for line in units.text(arguments.print_unit, state_dir).splitlines():
            output.say(line)
        return 0
    os.umask(0o077)
    os.chdir("/")
    statedir.prepare(state_dir)
    layout.require_safe(state_dir)
    # Where many users share it, an event may name a repository that its writer has made to run what they like as the worker.
    sources = by_scm(trusted_only=statedir.is_shared(state_dir))
    worker = Worker(state_dir, sources, resolver(os.environ), _limits(arguments), notifier=Notifier(os.environ))
    started = time.time()
    with _logging_to(state_dir) as handler, _obeying_signals(worker):

        def reread() -> Limits:
            if isinstance(handler, RotatingFileHandler):
                handler.close()  # it opens its file anew, which may have been moved away, for the next line
            return _limits(arguments)

        worker.reread = reread
        starter.renew()
        try:
            worker.run(drain=arguments.drain)
        except PoolExhausted as error:
            log.error("%s; beginning anew", error)  # noqa: TRY400 - the traceback tells nothing
            _begin_anew(state_dir, arguments)
        except WorkerRunning:
            if not arguments.leave_when_idle:
                raise
            return 0
        except Exception:
            if _is_detached():
                log.exception("the worker ends")
            raise
    if arguments.drain:
        output.say(_summary(state_dir, started))
    return 0


def _limits(arguments: argparse.Namespace) -> Limits:
    settings = state.machine_settings()
    return Limits(
        workers=arguments.threads or settings.workers,
        per_host=settings.per_host,
        keep_days=settings.keep_days,
        idle_s=IDLE_S if arguments.leave_when_idle else None,
    )


def _begin_anew(state_dir: str, arguments: argparse.Namespace) -> None:
    """Become a new process of the same number, so that a service manager sees no change; the stuck threads are gone with the old."""
    options = ["--threads", str(arguments.threads)] if arguments.threads else []
    options += ["--leave-when-idle"] if arguments.leave_when_idle else []
    options += ["--drain"] if arguments.drain else []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the new process reads all anew, and does not mind it before it can
    os.execv(wake.python(), wake.command(state_dir, *options))


def _summary(state_dir: str, started: float) -> str:
    with record.existing_outbox(state_dir) as outbox:
        ended = record.ended_since(outbox, started) if outbox else {}
        unread = len(record.unread(outbox))
    waiting = ended.get(State.WAITING, 0) + ended.get(State.LEASED, 0)
    told = f"delivered {ended.get(State.DELIVERED, 0)}, waiting {waiting}, dead {ended.get(State.DEAD, 0)}"
    skipped = ended.get(State.SKIPPED, 0)
    return told + (f", skipped {skipped}" if skipped else "") + (f", pushes not read {unread}" if unread else "")


def _forget_the_push() -> None:
    """Take out what a hook's environment says of one push: git, run for another repository, would obey it."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "HG_")) and name not in KEPT_VARIABLES:
            del os.environ[name]


@contextmanager
def _obeying_signals(worker: Worker) -> Iterator[None]:
    """Within it, SIGTERM and SIGINT stop the worker; the second one kills it. SIGHUP has it read all anew.

    At a terminal SIGHUP says that the terminal is gone, and stops it too.
    """
    hangs_up = _is_at_terminal()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}

    def obey(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and not hangs_up:
            worker.reload()
            return
        # Not what there was before: a shell that starts us in the background has SIGINT ignored. Nor a KeyboardInterrupt, which
        # may come where a lock is held: whoever waits for that then never ends.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        worker.stop()

    for number in before:
        signal.signal(number, obey)
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


@contextmanager
def _logging_to(state_dir: str) -> Iterator[logging.Handler]:
    """Within it, the worker's log goes to stderr, or, started by a hook, to a file that is turned over at LOG_BYTES."""
    handler = _file_handler(state_dir) if _is_detached() else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_EachLine("%(asctime)s %(levelname)s %(message)s"))
    logging.raiseExceptions = False  # a full disk stops no delivery
    logger = logging.getLogger("oberon")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        handler.close()


class _EachLine(logging.Formatter):
    """Deliveries that end together are one record, since each costs a look at the file; each of its lines has its own time here."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return "\n".join(f"{record.asctime} {record.levelname} {line}" for line in record.message.split("\n"))


def _file_handler(state_dir: str) -> logging.Handler:
    path = Path(state_dir) / layout.LOG
    # Opened with the first line, and again as long as it cannot be: the disk is full, say, and deliveries go on.
    return RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOGS_KEPT, encoding="utf-8", delay=True)


def _is_at_terminal() -> bool:
    return any(stream is not None and not stream.closed and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _is_detached() -> bool:
    """Whether nobody can read stderr: it is /dev/null, or closed."""
    try:
        return os.fstat(2).st_rdev == os.stat(os.devnull).st_rdev  # noqa: PTH116 - beside fstat
    except OSError:
        return True
