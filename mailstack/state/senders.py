"""Senders too long to stand inside an SRS address, by the key that does.

A short SRS address (srs/short.py) carries only a key; this table puts the real sender in
when a bounce comes back.  In `state.db`; rows outlive the address's validity.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from mailstack.disk import migrations
from mailstack.disk.sqlite import failure, open_database, transaction
from mailstack.model.address import Address, AddressError

#: Ten days an SRS address is good, five more in queues.
KEEP_DAYS = 15

SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE srs_sender (
        key TEXT PRIMARY KEY,
        sender TEXT NOT NULL,
        seen_at REAL NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE share (
        person TEXT NOT NULL,
        owner TEXT NOT NULL,
        PRIMARY KEY (person, owner)
    ) WITHOUT ROWID;
    """,
)


def migrate(path: Path) -> bool:
    """Creates or upgrades `state.db`."""
    connection = open_database(path)
    try:
        return migrations.migrate(connection, SCHEMA)
    finally:
        connection.close()


class LongSenders:
    """The table; thread-safe; opened at first use, because hardly any sender is that long."""

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

    def remember(self, key: str, sender: Address, *, now: float) -> None:
        """Keeps a sender durably; again is fine.  Drops what is too old to be asked for."""
        with self._lock, transaction(self._open(), "remembering a sender") as connection:
            connection.execute(
                "INSERT INTO srs_sender (key, sender, seen_at) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET seen_at = excluded.seen_at",
                (key, str(sender), now),
            )
            connection.execute("DELETE FROM srs_sender WHERE seen_at < ?", (now - KEEP_DAYS * 86_400,))

    def find(self, key: str) -> Address | None:
        """The sender behind a key; None when it is unknown or was forgotten."""
        with self._lock:
            try:
                row = self._open().execute("SELECT sender FROM srs_sender WHERE key = ?", (key,)).fetchone()
            except sqlite3.Error as error:
                raise failure(error, "looking a sender up") from error
        if row is None:
            return None
        try:
            return Address.parse(row[0])
        except AddressError:
            return None

    def close(self) -> None:
        """Releases the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
