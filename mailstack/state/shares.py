"""Who shares folders with whom, so that nobody has to look through all mailboxes.

A hint: the access lists in the owners' mailboxes decide.  A row is there before an entry of
such a list, and goes when the last one has gone.  In `state.db`.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from mailstack.disk import migrations
from mailstack.disk.sqlite import failure, open_database, transaction
from mailstack.state.senders import SCHEMA


class Shares:
    """The table; thread-safe; opened at first use."""

    def __init__(self, path: Path) -> None:
        """`path`: state.db, already migrated."""
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_database(self._path)
            migrations.check(self._connection, SCHEMA)
        return self._connection

    def owners(self, *persons: str) -> list[str]:
        """Address keys of those who share something with one of these, sorted."""
        marks = ", ".join("?" * len(persons))
        with self._lock:
            try:
                rows = self._open().execute(
                    f"SELECT DISTINCT owner FROM share WHERE person IN ({marks}) ORDER BY owner",  # noqa: S608
                    persons,
                )
                return [str(owner) for (owner,) in rows]
            except sqlite3.Error as error:
                raise failure(error, "looking up who shares folders") from error

    def note(self, owner: str, person: str) -> None:
        """The owner is about to share something with this person; durable."""
        with self._lock, transaction(self._open(), "noting who shares folders") as connection:
            connection.execute("INSERT OR IGNORE INTO share (person, owner) VALUES (?, ?)", (person, owner))

    def forget(self, owner: str, person: str) -> None:
        """The owner shares nothing with this person any more."""
        with self._lock, transaction(self._open(), "noting who shares folders") as connection:
            connection.execute("DELETE FROM share WHERE person = ? AND owner = ?", (person, owner))

    def close(self) -> None:
        """Releases the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
