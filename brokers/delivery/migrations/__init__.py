"""Bring an outbox to the schema of this Oberon: forward only, whole or not at all.

A new database gets `schema.sql`. An older one gets each `NNNN.sql` of this folder above its `user_version`, in order, in one
exclusive transaction. A newer one is refused: the events stay in the spool until Oberon is upgraded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib import resources

VERSION = 4  # of schema.sql; the highest NNNN.sql leads to it


class NewerSchemaError(Exception):
    """The database was written by a newer Oberon; `found` is its version."""

    def __init__(self, found: int) -> None:
        super().__init__(f"was written by a newer Oberon (schema {found}; this one reads {VERSION}): upgrade this one")
        self.found = found


def migrate(connection: sqlite3.Connection) -> None:
    """Raises NewerSchemaError, or sqlite3.Error with the database as it was."""
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        found = _version(connection)  # again: another process may have been quicker
        if found > VERSION:
            raise NewerSchemaError(found)  # noqa: TRY301 - the transaction ends in one place
        for script in _scripts(found):
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _scripts(found: int) -> Iterator[str]:
    if found == 0:
        yield resources.files("brokers.delivery").joinpath("schema.sql").read_text("utf-8")
        return
    for version in range(found + 1, VERSION + 1):
        yield resources.files(__name__).joinpath(f"{version:04}.sql").read_text("utf-8")


def _statements(script: str) -> Iterator[str]:
    """One at a time: `executescript` would commit the transaction that makes the migration whole."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
