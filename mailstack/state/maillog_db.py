"""`maillog.db`: its tables, what is written into them, and how long it stays.

Imports: disk.  Blocking.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from mailstack.disk import migrations
from mailstack.disk.sqlite import open_database, transaction

#: Owner's rule: nothing is older than this.
RETENTION_DAYS = 20

SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE event (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        daemon TEXT NOT NULL,
        name TEXT NOT NULL,
        id TEXT NOT NULL,
        message_id TEXT NOT NULL DEFAULT '',
        accept_id TEXT NOT NULL DEFAULT '',
        fields TEXT NOT NULL
    );
    CREATE INDEX event_id ON event (id);
    CREATE INDEX event_message_id ON event (message_id) WHERE message_id != '';
    CREATE INDEX event_accept_id ON event (accept_id) WHERE accept_id != '';
    CREATE INDEX event_at ON event (at);
    CREATE TABLE owner (
        address TEXT NOT NULL,
        direction TEXT NOT NULL,
        number INTEGER NOT NULL REFERENCES event (number) ON DELETE CASCADE,
        PRIMARY KEY (address, direction, number)
    ) WITHOUT ROWID;
    CREATE INDEX owner_number ON owner (number);
    """,
)

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Event:
    """One row read back.  `at` is Unix seconds; `fields` in the order they were written."""

    at: float
    daemon: str
    name: str
    id: str
    fields: dict[str, Value]


#: An event, the Message-ID it is found by, and whose log it stands in: (address, direction).
Row: TypeAlias = tuple[Event, str, Sequence[tuple[str, str]]]


def insert(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Writes events, in one transaction.

    Raises:
        TemporaryFailure: nothing was written.
    """
    with transaction(connection, "writing the mail log"):
        for event, message_id, owners in rows:
            cursor = connection.execute(
                "INSERT INTO event (at, daemon, name, id, message_id, accept_id, fields)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    event.at,
                    event.daemon,
                    event.name,
                    event.id,
                    message_id,
                    str(event.fields.get("accept_id", "")),
                    json.dumps(event.fields),
                ),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO owner (address, direction, number) VALUES (?, ?, ?)",
                [(address, direction, cursor.lastrowid) for address, direction in owners],
            )


def purge(path: Path, *, now: float) -> int:
    """Deletes rows older than the retention; gives how many."""
    connection = open_database(path, synchronous="NORMAL")
    try:
        with transaction(connection, "purging the mail log"):
            return connection.execute(
                "DELETE FROM event WHERE at < ?", (now - RETENTION_DAYS * 86_400,)
            ).rowcount
    finally:
        connection.close()


def migrate(path: Path) -> bool:
    """Creates or upgrades `maillog.db`."""
    return migrations.upgrade(path, SCHEMA)
