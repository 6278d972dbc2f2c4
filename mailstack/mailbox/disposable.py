"""A database beside account.db that may be deleted at any time, also while it is open.

Its deletion is noticed and it is begun anew; one that is damaged, of another version or
of another epoch is thrown away.  One that cannot be used answers with nothing: whoever
needs it goes on without.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from mailstack.disk import durable, migrations
from mailstack.disk.sqlite import open_database
from mailstack.mailbox.account import remove_database
from mailstack.model.errors import TemporaryFailure

_CACHE_KIB = 512
#: Whoever needs it goes on without when somebody holds it for longer.
_WAIT_S = 2.0


class Disposable:
    """One connection to such a database, made when it is first used; for any thread.

    Attributes:
        path: where it lies, in the account's home.
    """

    def __init__(self, path: Path, *, script: str, version: int, cache_kib: int = _CACHE_KIB) -> None:
        """Opens nothing yet.

        Args:
            script: its tables, among them `meta (epoch TEXT)`.
            version: thrown away when its user_version is another.
        """
        self.path = path
        self._script = script
        self._version = version
        self._cache_kib = cache_kib
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    @contextlib.contextmanager
    def using(self, epoch: str) -> Iterator[sqlite3.Connection | None]:
        """The connection, for one thread at a time; None when there is trouble.

        Errors of SQLite end the block and are not raised.
        """
        with self._lock:
            connection = self._usable(epoch)
            try:
                yield connection
            except sqlite3.OperationalError:
                # Locked, full, read-only, a read error: it is done another time.
                self._drop()
            except sqlite3.DatabaseError:
                self.remove()

    def change(self, epoch: str, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Runs `work` in a transaction; False when there was trouble and nothing changed."""
        done = False
        with self.using(epoch) as connection:
            if connection is not None:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
                done = True
        return done

    def remove(self) -> None:
        """Throws it away."""
        with self._lock:
            self._drop()
            with contextlib.suppress(OSError, TemporaryFailure), self._alone():
                remove_database(self.path)

    def close(self, *, wait: bool = True) -> None:
        """Closes the connection; with `wait` False not while somebody uses it."""
        if self._lock.acquire(blocking=wait):
            try:
                self._drop()
            finally:
                self._lock.release()

    def _usable(self, epoch: str) -> sqlite3.Connection | None:
        try:
            return self._current(epoch)
        except TemporaryFailure as error:
            cause = error.__cause__
            if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError):
                self.remove()
            return None

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        return migrations.exclusive(self.path.parent / "lock", wait_s=_WAIT_S)

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
            with self._alone():
                self._connection = self._open(epoch)
                self._inode = os.stat(self.path).st_ino
        except OSError as error:
            raise durable.failure(error, f"opening {self.path.name}") from error
        return self._connection

    def _open(self, epoch: str) -> sqlite3.Connection:
        for _ in range(2):
            if not self.path.exists():
                # Its -wal and -shm belong to whoever still has the deleted one open.
                remove_database(self.path)
            connection = open_database(self.path, synchronous="NORMAL", timeout_s=_WAIT_S)
            try:
                if self._is_ours(connection, epoch):
                    connection.execute(f"PRAGMA cache_size=-{self._cache_kib}")
                    return connection
            except sqlite3.DatabaseError:
                pass
            connection.close()
            remove_database(self.path)
        raise TemporaryFailure(f"{self.path.name} cannot be made")

    def _is_ours(self, connection: sqlite3.Connection, epoch: str) -> bool:
        version = migrations.version(connection)
        if version == 0:
            connection.execute("BEGIN IMMEDIATE")
            if migrations.version(connection) == 0:
                for statement in migrations.split_statements(self._script):
                    connection.execute(statement)
                connection.execute("INSERT INTO meta (epoch) VALUES (?)", (epoch,))
                connection.execute(f"PRAGMA user_version = {self._version}")
            connection.execute("COMMIT")
            version = migrations.version(connection)
        return version == self._version and connection.execute("SELECT epoch FROM meta").fetchall() == [
            (epoch,)
        ]
