"""cache.db: ready-made FETCH texts, which can be made again at any time.

The file may be deleted while the server runs: it is noticed and begun anew.  Texts are
kept by message id (`mid`), which copies share and which is never given out twice, so a
row can be missing but never wrong; a database of another epoch is thrown away.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mailstack.disk import durable, migrations
from mailstack.disk.sqlite import open_database
from mailstack.mailbox.account import remove_database
from mailstack.mailbox.schema import CACHE_SCRIPT, CACHE_VERSION
from mailstack.mime import structure, text
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MessageTexts

_CACHE_KIB = 512
#: More wanted rows than this part of a range: the whole range is read at once.
_DENSE = 4
_CHUNK = 500


def make_texts(data: bytes) -> MessageTexts:
    """The texts of one message; never fails."""
    found = structure.describe(data)
    return MessageTexts(
        envelope=found.envelope,
        body=found.body,
        bodystructure=found.bodystructure,
        header_octets=found.header_octets,
        preview=text.preview(data, found.message),
    )


class Cache:
    """The cache of one account; safe to use from any thread.

    Nothing here is needed: a cache that cannot be used answers with nothing, and one
    that is damaged is thrown away.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "cache.db"
        self._home = home
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def get(self, epoch: str, mids: Sequence[int]) -> dict[int, MessageTexts]:
        """The texts that are there, by mid."""
        found: dict[int, MessageTexts] = {}
        with self._using(epoch) as connection:
            if connection is not None:
                for row in _select(connection, mids):
                    found[row[0]] = MessageTexts(row[2], row[3], row[4], row[1], row[5])
        return found

    def put(self, epoch: str, texts: Iterable[tuple[int, MessageTexts]]) -> None:
        """Keeps texts, in one transaction."""
        rows = [(mid, t.header_octets, t.envelope, t.body, t.bodystructure, t.preview) for mid, t in texts]
        with self._using(epoch) as connection:
            if connection is not None and rows:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?, ?)", rows)
                connection.execute("COMMIT")

    def forget(self, epoch: str, mids: Sequence[int]) -> None:
        """Removes the texts of messages that are gone."""
        with self._using(epoch) as connection:
            if connection is not None and mids:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("DELETE FROM texts WHERE mid = ?", [(mid,) for mid in mids])
                connection.execute("COMMIT")

    def mids(self, epoch: str) -> list[int]:
        """Every mid it has texts for."""
        with self._using(epoch) as connection:
            if connection is None:
                return []
            return [row[0] for row in connection.execute("SELECT mid FROM texts")]

    def remove(self) -> None:
        """Throws the cache away."""
        with self._lock:
            self._drop()
            with contextlib.suppress(OSError), migrations.exclusive(self._home / "lock"):
                remove_database(self.path)

    def close(self, *, wait: bool = True) -> None:
        """Closes the connection; with `wait` False not while somebody uses it."""
        if self._lock.acquire(blocking=wait):
            try:
                self._drop()
            finally:
                self._lock.release()

    @contextlib.contextmanager
    def _using(self, epoch: str) -> Iterator[sqlite3.Connection | None]:
        with self._lock:
            connection = self._usable(epoch)
            try:
                yield connection
            except sqlite3.OperationalError:
                # Locked, full, read-only, a read error: the texts are made another time.
                self._drop()
            except sqlite3.DatabaseError:
                self.remove()

    def _usable(self, epoch: str) -> sqlite3.Connection | None:
        try:
            return self._current(epoch)
        except TemporaryFailure as error:
            cause = error.__cause__
            if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError):
                self.remove()
            return None

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _current(self, epoch: str) -> sqlite3.Connection | None:
        if self._connection is not None:
            try:
                if os.stat(self.path).st_ino == self._inode:
                    return self._connection
            except OSError:
                pass
            self._drop()
        try:
            with migrations.exclusive(self._home / "lock"):
                self._connection = self._open(epoch)
                self._inode = os.stat(self.path).st_ino
        except OSError as error:
            raise durable.failure(error, "opening the cache") from error
        return self._connection

    def _open(self, epoch: str) -> sqlite3.Connection:
        for _ in range(2):
            if not self.path.exists():
                # Its -wal and -shm belong to whoever still has the deleted one open.
                remove_database(self.path)
            connection = open_database(self.path, synchronous="NORMAL", timeout_s=2.0)
            try:
                if _is_ours(connection, epoch):
                    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
                    return connection
            except sqlite3.DatabaseError:
                pass
            connection.close()
            remove_database(self.path)
        raise TemporaryFailure("the cache cannot be made")


def _is_ours(connection: sqlite3.Connection, epoch: str) -> bool:
    version = migrations.version(connection)
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        if migrations.version(connection) == 0:
            for statement in migrations.split_statements(CACHE_SCRIPT):
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES (?)", (epoch,))
            connection.execute(f"PRAGMA user_version = {CACHE_VERSION}")
        connection.execute("COMMIT")
        version = migrations.version(connection)
    return version == CACHE_VERSION and connection.execute("SELECT epoch FROM meta").fetchall() == [(epoch,)]


def _select(
    connection: sqlite3.Connection, mids: Sequence[int]
) -> Iterator[tuple[int, int, bytes, bytes, bytes, str]]:
    columns = "SELECT mid, header_octets, envelope, body, bodystructure, preview FROM texts WHERE mid"
    if len(mids) > _DENSE and max(mids) - min(mids) < len(mids) * _DENSE:
        wanted = set(mids)
        rows = connection.execute(f"{columns} BETWEEN ? AND ?", (min(mids), max(mids)))
        yield from (row for row in rows if row[0] in wanted)
        return
    for start in range(0, len(mids), _CHUNK):
        chunk = mids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        yield from connection.execute(f"{columns} IN ({marks})", chunk)
