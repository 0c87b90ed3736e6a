"""SQLite as the outbox needs it. The only code that opens it.

Each rule measured (SQLite 3.40): WAL with `synchronous=FULL`, so that a commit survives a power cut; every write begins with
BEGIN IMMEDIATE, since a deferred transaction that turns into a writer fails at once, whatever its time-out.

One connection, shared by the threads of a process under a lock.
"""

from __future__ import annotations

import os
import sqlite3
import threading
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


class OutboxError(PlacedError):
    """The outbox cannot be used; `place` is its file."""


class Database:
    """The open file, and the statements of `queries.sql` by their names."""

    def __init__(self, connection: sqlite3.Connection, path: str, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        self._clock = clock
        self.path = path

    @classmethod
    def open(cls, state_dir: str, clock: Callable[[], float], *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Self:
        """The outbox of a state directory, made if there is none. Raises OutboxError.

        `clock` gives Unix seconds; another process's transaction is waited for `busy_timeout_s` at most, each time.
        """
        path = os.fspath(Path(state_dir) / FILE)
        try:
            # Made beforehand so that it is private from its first byte: SQLite gives -wal and -shm the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(path, str(error)) from error
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection)
        except (sqlite3.Error, NewerSchemaError) as error:
            connection.close()
            raise OutboxError(path, str(error)) from error
        return cls(connection, path, clock)

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, name: str, **parameters: Any) -> list[sqlite3.Row]:
        """The rows of a SELECT in `queries.sql`."""
        with self._lock:
            try:
                return self._connection.execute(_statements()[name], _bindable(parameters)).fetchall()
            except sqlite3.Error as error:
                raise OutboxError(self.path, str(error)) from error

    @contextmanager
    def _write(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """A transaction; what it yields runs a statement of `queries.sql` by its name, with its parameters."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield lambda name, **parameters: self._connection.execute(_statements()[name], _bindable(parameters))
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise OutboxError(self.path, str(error)) from error
            finally:
                # A full disk (SQLITE_FULL) has rolled back by itself already.
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):  # the first error is the one to be told
                        self._connection.execute("ROLLBACK")


@cache
def _statements() -> Mapping[str, str]:
    parts = resources.files(__package__).joinpath("queries.sql").read_text("utf-8").split("-- name: ")[1:]
    return {name.strip(): statement for name, _, statement in (part.partition("\n") for part in parts)}


def _bindable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """SQLite takes no lone surrogates, and names and reasons come from everywhere."""
    return {name: text.repair(value) if isinstance(value, str) else value for name, value in parameters.items()}
