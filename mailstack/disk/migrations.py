"""Numbered SQL steps, applied once, under a lock.

A schema is a sequence of SQL scripts; `PRAGMA user_version` counts those applied.
Daemons never migrate shared databases: they check, and refuse a newer schema.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mailstack.disk.lock import lock_within
from mailstack.disk.sqlite import open_database, transaction
from mailstack.model.errors import TemporaryFailure

_NAP_S = 0.002


def version(connection: sqlite3.Connection) -> int:
    """How many steps this database has seen."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> bool:
    """Applies the missing steps, each in one transaction with its number.

    Returns:
        True when something was applied.

    Raises:
        TemporaryFailure: the database is newer than this program, or cannot be written.
    """
    applied = False
    while (number := version(connection)) < len(steps):
        with transaction(connection, "migrating"):
            if version(connection) != number:
                continue
            for statement in split_statements(steps[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        applied = True
    check(connection, steps)
    return applied


def upgrade(path: Path, steps: Sequence[str]) -> bool:
    """The same for a file, which is made when it is missing.

    Raises:
        TemporaryFailure: newer than this program, or it cannot be written.
    """
    connection = open_database(path)
    try:
        return migrate(connection, steps)
    finally:
        connection.close()


def check(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Refuses a schema that is not this program's.

    Raises:
        TemporaryFailure: says which side is newer and what to do.
    """
    number = version(connection)
    if number > len(steps):
        raise TemporaryFailure(
            f"the database has schema {number}, this program knows {len(steps)}: install the newer mailstack"
        )
    if number < len(steps):
        raise TemporaryFailure(
            f"the database has schema {number}, this program needs {len(steps)}: run 'mailstack migrate'"
        )


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script, as sqlite3 itself would end them."""
    statement = ""
    for line in script.split("\n"):
        statement += line + "\n"
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


@contextmanager
def exclusive(lock_file: Path, *, wait_s: float | None = None) -> Iterator[None]:
    """Holds a file lock, so that only one process migrates or verifies at a time.

    Args:
        wait_s: how long to wait for whoever holds it, who may be stopped; None: for ever.

    Raises:
        OSError: the file cannot be opened.
        TemporaryFailure: somebody holds it for longer.
    """
    fd = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if wait_s is None:
            fcntl.flock(fd, fcntl.LOCK_EX)
        else:
            lock_within(fd, wait_s, f"{lock_file} is held by another process", nap_s=_NAP_S)
        yield
    finally:
        os.close(fd)
