"""SQLite as the outbox needs it. The only code that opens it.

Each rule measured (SQLite 3.40): WAL with `synchronous=FULL`, so that a commit survives a power cut; every write begins with
BEGIN IMMEDIATE, since a deferred transaction that turns into a writer fails at once, whatever its time-out.

One connection, shared by the threads of a process under a lock.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

from brokers.delivery.migrations import NewerSchemaError, migrate
from brokers.errors import PlacedError
from payload import text

FILE = "outbox.sqlite3"
BUSY_TIMEOUT_S = 30.0

_RETRY_S = 0.01
_PRIMARY = 0xFF  # of an extended result code of SQLite, the part that all of its kind share

_SETTINGS = (
    "PRAGMA synchronous = FULL",
    # As much at most is moved into the database at once, and needs room there: half of `disk.BALLAST_BYTES`.
    "PRAGMA wal_autocheckpoint = 256",
    "PRAGMA foreign_keys = ON",
    # As compiled by some distributions SQLite overwrites what it deletes: eight times as much to write when pruning.
    "PRAGMA secure_delete = FAST",
)


class OutboxError(PlacedError):
    """The outbox cannot be used; `place` is its file."""


class CorruptOutboxError(OutboxError):
    """The file is damaged, or no database. The worker sets it aside, and goes on with a new one."""

    def __str__(self) -> str:
        return f"{super().__str__()}; a worker sets it aside and goes on: `oberon run`"


class FullDiskError(OutboxError):
    """There is no room for what was to be written; nothing of it was."""


class NewerOutboxError(OutboxError):
    """A newer Oberon has made the file. Nothing was touched; what the hooks record waits in the spool."""


class MovedOutboxError(OutboxError):
    """The file that was opened is no longer the one at its path: set aside, or removed. What was written since may be lost."""


_KINDS: Mapping[int, type[OutboxError]] = {
    sqlite3.SQLITE_CORRUPT: CorruptOutboxError,
    sqlite3.SQLITE_NOTADB: CorruptOutboxError,
    sqlite3.SQLITE_FULL: FullDiskError,
    sqlite3.SQLITE_IOERR_SHMSIZE: FullDiskError,  # no room for -shm, when the first process opens the file
}
"""Result code, extended or primary -> the error."""


class Database:
    """The open file, and the statements of `queries.sql` by their names."""

    def __init__(self, connection: sqlite3.Connection, path: str, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        self._clock = clock
        self._file = _identity(path)
        self.path = path

    @classmethod
    def open(cls, state_dir: str, clock: Callable[[], float], *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Self:
        """The outbox of a state directory, made if there is none. Raises OutboxError.

        `clock` gives Unix seconds; another process's transaction is waited for `busy_timeout_s` at most, each time.
        """
        path = os.fspath(Path(state_dir) / FILE)
        try:
            _make(path)
            connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise _outbox_error(path, error) from error
        try:
            connection.row_factory = sqlite3.Row
            database = cls(connection, path, clock)
            if not connection.execute("PRAGMA page_count").fetchone()[0]:
                # Only a database that is made now takes it; of an older one free pages are used again, and not given back.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            _journal_ahead(connection, busy_timeout_s)
            for setting in _SETTINGS:
                connection.execute(setting)
            migrate(connection)
            database.check_place()
        except (OSError, sqlite3.Error, NewerSchemaError) as error:
            connection.close()
            raise _outbox_error(path, error) from error
        except OutboxError:
            connection.close()
            raise
        return database

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def now(self) -> float:
        """Unix seconds, by the clock that it was opened with."""
        return self._clock()

    def ask(self, name: str, /, **parameters: Any) -> list[sqlite3.Row]:
        """The rows of a SELECT in `queries.sql`."""
        with self._lock:
            try:
                return self._connection.execute(_statements()[name], _bindable(parameters)).fetchall()
            except sqlite3.Error as error:
                raise _outbox_error(self.path, error) from error

    def _run(self, name: str, /, **parameters: Any) -> sqlite3.Cursor:
        return self._connection.execute(_statements()[name], _bindable(parameters))

    @contextmanager
    def write(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """A transaction; what it yields runs a statement of `queries.sql` by its name, with its parameters. One within another
        is part of it.

        Raises OutboxError, MovedOutboxError if what was committed went to a file that has been set aside.
        """
        with self._lock:
            is_within_another = self._connection.in_transaction
            if is_within_another:
                yield self._run
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._run
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise _outbox_error(self.path, error) from error
            finally:
                # A full disk (SQLITE_FULL) has rolled back by itself already.
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):  # the first error is the one to be told
                        self._connection.execute("ROLLBACK")
            # After the commit: whoever sets the file aside reads it after that, and finds what came before.
            self.check_place()

    def checkpoint(self, *, truncate: bool = True) -> None:
        """Bring what is committed from the -wal file into the database, as far as no reader is in the way.

        With `truncate` the -wal file is emptied; without, it keeps its room on the disk, and is written anew from its beginning.
        Raises OutboxError.
        """
        with self._lock, self._not_waiting():
            self._connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if truncate else 'RESTART'})").fetchall()

    def free_pages(self) -> int:
        """Pages that hold nothing and can be given back; 0 for a file that cannot, made without auto_vacuum. Raises OutboxError."""
        with self._lock, self._not_waiting():
            if not self._connection.execute("PRAGMA auto_vacuum").fetchone()[0]:
                return 0
            free: int = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
            return free

    def shrink(self, pages: int) -> None:
        """Give so many free pages back to the file system. Raises OutboxError."""
        with self._lock, self._not_waiting():
            # `execute` takes one step only of a statement without columns; `executescript` goes on to its end.
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages:d})")

    @contextmanager
    def _not_waiting(self) -> Iterator[None]:
        """Within it, no other process is waited for; what it has locked stays as it is."""
        (busy_ms,) = self._connection.execute("PRAGMA busy_timeout").fetchone()
        try:
            self._connection.execute("PRAGMA busy_timeout = 0")
            yield
        except sqlite3.Error as error:
            if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY:
                raise _outbox_error(self.path, error) from error
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {busy_ms:d}")

    def check_place(self) -> None:
        """Raises MovedOutboxError if another file, or none, is at the path now."""
        if _identity(self.path) != self._file:
            raise MovedOutboxError(self.path, "was set aside or removed while it was open")


def _make(path: str) -> None:
    """An empty file, if there is none. Raises OSError.

    Made beforehand so that it is private from its first byte: SQLite gives -wal and -shm the same mode. One that is there is
    not opened: to close it would take away the locks that another connection of this process has on it (fcntl(2)).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass


def _journal_ahead(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Have the database use a write-ahead log. Raises sqlite3.Error.

    SQLite does not wait for another process here, whatever its time-out: it has begun to read, and fails at once when it cannot
    go on to write (3.40; a time-out of 30 s failed within 1 ms). Two that open a new or an older outbox at once meet so.
    """
    give_up_at = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def _identity(path: str) -> tuple[int, int] | None:
    """Which file is at a path; None for none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - 2 us less than Path, at each commit
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _outbox_error(path: str, error: OSError | sqlite3.Error | NewerSchemaError) -> OutboxError:
    if isinstance(error, NewerSchemaError):
        return NewerOutboxError(path, str(error))
    code: int = getattr(error, "sqlite_errorcode", 0)  # Python's own errors, of a closed connection for example, have none
    kind = _KINDS.get(code) or _KINDS.get(code & _PRIMARY, OutboxError)
    return kind(path, str(error))


@cache
def _statements() -> Mapping[str, str]:
    parts = resources.files(__package__).joinpath("queries.sql").read_text("utf-8").split("-- name: ")[1:]
    return {name.strip(): statement for name, _, statement in (part.partition("\n") for part in parts)}


def _bindable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """SQLite takes no lone surrogates, and names and reasons come from everywhere."""
    return {name: text.repair(value) if isinstance(value, str) else value for name, value in parameters.items()}
