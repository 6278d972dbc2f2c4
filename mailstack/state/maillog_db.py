"""`maillog.db`: its tables, what is written into them, and how long it stays.

Imports: disk.  Blocking.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from mailstack.disk import migrations
from mailstack.disk.sqlite import open_database, transaction
from mailstack.model.errors import TemporaryFailure

#: Owner's rule: nothing is older than this.
RETENTION_DAYS = 20
#: A database that could not be opened is opened again so much later, in seconds.
AGAIN_S = 10.0
#: What is not written is said so often at most, in seconds.
SILENT_S = 60.0

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

_encode = msgspec.json.Encoder().encode


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


_LAST = (
    "SELECT max((SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'),"
    " (SELECT coalesce(max(number), 0) FROM event))"
)


def insert(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Writes events, in one transaction.

    Raises:
        TemporaryFailure: nothing was written.
    """
    with transaction(connection, "writing the mail log"):
        # A transaction that writes is alone: nobody takes these numbers meanwhile.
        # SQLite's own note of the last one may be lost or old, as in a database that was recovered.
        (last,) = connection.execute(_LAST).fetchone()
        numbered = list(enumerate(rows, last + 1))
        connection.executemany(
            "INSERT INTO event (number, at, daemon, name, id, message_id, accept_id, fields)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (number, e.at, e.daemon, e.name, _text(e.id), _text(message_id),
                 _text(str(e.fields.get("accept_id", ""))), _dump(e.fields))
                for number, (e, message_id, _) in numbered
            ],
        )  # fmt: skip
        connection.executemany(
            "INSERT OR IGNORE INTO owner (address, direction, number) VALUES (?, ?, ?)",
            [
                (_text(address), direction, number)
                for number, (_, _, owners) in numbered
                for address, direction in owners
            ],
        )


class RowWriter:
    """Writes rows, for one thread; a log that is in trouble is opened anew, and spoken of, after a while."""

    def __init__(
        self, path: Path, tell: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Opens nothing yet.  `tell`: a sentence for the operator."""
        self._path, self._tell, self._clock = path, tell, clock
        self._connection: sqlite3.Connection | None = None
        self._rests_until = self._silent_until = float("-inf")
        self._lost = 0

    def write(self, rows: Sequence[Row]) -> int:
        """Never raises; gives how many rows were not written."""
        if self._connection is None and self._clock() < self._rests_until:
            self._lost += len(rows)
            return len(rows)
        try:
            insert(self._open(), rows)
        except TemporaryFailure as failure:
            return self._failed(rows, failure.why)
        except Exception as error:  # whatever was said must not be the last that is written down
            self.close()
            return self._failed(rows, repr(error))
        return 0

    def close(self) -> None:
        """Releases the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._rests_until = self._clock() + AGAIN_S
            connection = open_database(self._path, synchronous="NORMAL")
            try:
                migrations.check(connection, SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _failed(self, rows: Sequence[Row], why: str) -> int:
        self._lost += len(rows)
        if self._clock() >= self._silent_until:
            self._silent_until = self._clock() + SILENT_S
            self._tell(f"mail log: {self._lost} events are lines only, and not in {self._path}: {why}")
            self._lost = 0
        return len(rows)


def _text(text: str) -> str:
    """As SQLite takes it, without halves of surrogate pairs."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _dump(fields: dict[str, Value]) -> str:
    try:
        return _encode(fields).decode()
    except UnicodeEncodeError:
        return json.dumps(fields)  # half a surrogate pair, from whatever a peer had sent


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
