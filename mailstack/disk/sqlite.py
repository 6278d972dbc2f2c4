"""SQLite as we use it: WAL, FULL where it matters, one writer, group commit.

Numbers: limits, section 10.  Measured: with `synchronous=NORMAL` a power cut takes
committed rows away, so whatever is acknowledged is written with FULL.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, TypeVar, cast

from mailstack.model.errors import TemporaryFailure

T = TypeVar("T")
Synchronous = Literal["FULL", "NORMAL"]

BUSY_TIMEOUT_S = 10.0
#: What SQLite does not wait for itself is tried again after so many seconds.
WAL_AGAIN_S = 0.005
#: COMMITs are collected this long, so that many sessions share one fdatasync.
GROUP_COMMIT_S = 0.005
GROUP_COMMIT_MAX = 200


def failure(error: sqlite3.Error, doing: str, path: Path | str = "") -> TemporaryFailure:
    """The world's fault behind an sqlite3 error.

    Args:
        path: the database; SQLite cannot tell a read-only disk from a broken one.
    """
    text = str(error)
    if "full" in text:
        return TemporaryFailure(f"{doing}: the disk is full", status="3.1")
    if "disk I/O error" in text and path and _is_read_only(path):
        return TemporaryFailure(f"{doing}: the disk is read-only")
    if "disk I/O error" in text:
        return TemporaryFailure(f"{doing}: the disk reports an error", fatal=True)
    if "malformed" in text or "not a database" in text:
        return TemporaryFailure(f"{doing}: the database is damaged ({text})")
    if "no such table" in text or "no such column" in text:
        return TemporaryFailure(f"{doing}: the database is not this version's; run 'mailstack migrate'")
    return TemporaryFailure(f"{doing}: {text}")


def open_database(
    path: Path,
    *,
    synchronous: Synchronous = "FULL",
    read_only: bool = False,
    timeout_s: float = BUSY_TIMEOUT_S,
) -> sqlite3.Connection:
    """Opens (and unless read_only creates) a database with our settings, in autocommit mode.

    The connection may move between threads; its user serialises access.

    Raises:
        TemporaryFailure: it cannot be opened or is not a database.
    """
    mode = "ro" if read_only else "rwc"
    connection = None
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        if not read_only:
            _use_wal(connection, timeout_s)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        if read_only and not path.exists():
            raise TemporaryFailure(
                f"there is no {path}; 'mailstack migrate' makes what is missing"
            ) from error
        raise failure(error, f"opening {path.name}", path) from error
    connection.row_factory = None
    return connection


def _use_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Write-ahead logging; while others create or leave the database SQLite refuses without waiting."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(WAL_AGAIN_S)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, doing: str = "writing") -> Iterator[sqlite3.Connection]:
    """BEGIN IMMEDIATE ... COMMIT; ROLLBACK on any exception.

    Raises:
        TemporaryFailure: locked for longer than the busy timeout, disk full, I/O error.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise failure(error, doing, _path_of(connection)) from error


def _path_of(connection: sqlite3.Connection) -> str:
    with contextlib.suppress(sqlite3.Error):
        return str(connection.execute("PRAGMA database_list").fetchone()[2])
    return ""


def _is_read_only(path: Path | str) -> bool:
    """Tries, because a file system that was made read-only by an error may not say so."""
    probe = f"{path}.probe.{os.getpid()}.{threading.get_ident()}"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.unlink(probe)
    except OSError as error:
        return error.errno == errno.EROFS
    return False


class Writer:
    """One thread that owns a database's writes and commits them in groups.

    `submit(work)` runs `work(connection)` inside a savepoint of a shared transaction; its
    future is done after the COMMIT that holds it, so a done future means durable
    (synchronous=FULL).  A work that raises is rolled back alone.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous = "FULL") -> None:
        self._connection = open_database(path, synchronous=synchronous)
        self._name = path.name
        self._gate = threading.Lock()
        self._closed = False
        self._queue: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], object], Future[object]] | None]
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"writer {path.name}", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queues a write; the future gives its result once it is committed.

        Raises:
            TemporaryFailure: after close().
        """
        future: Future[object] = Future()
        with self._gate:
            if self._closed:
                raise TemporaryFailure(f"writing {self._name}: it is closed")
            self._queue.put((work, future))
        return cast("Future[T]", future)

    def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """As submit, and waits; not for the event loop's thread."""
        return self.submit(work).result()

    def close(self) -> None:
        """Commits what is queued and stops; a second call does nothing."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = []
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if len(batch) >= GROUP_COMMIT_MAX:
                    break
                try:
                    item = self._queue.get(timeout=0 if len(batch) > 1 else GROUP_COMMIT_S / 5)
                except queue.Empty:
                    break
            closing = item is None
            # A caller may have given up (a cancelled task): its write is dropped, and from
            # here on its future can no longer be cancelled under our hands.
            batch = [entry for entry in batch if entry[1].set_running_or_notify_cancel()]
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[tuple[Callable[[sqlite3.Connection], object], Future[object]]]) -> None:
        done: list[tuple[Future[object], object]] = []
        try:
            with transaction(self._connection, f"writing {self._name}"):
                for work, future in batch:
                    self._one(work, future, done)
        except BaseException as error:
            for future, _ in done:
                future.set_exception(error)
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in done:
            future.set_result(result)

    def _one(
        self,
        work: Callable[[sqlite3.Connection], object],
        future: Future[object],
        done: list[tuple[Future[object], object]],
    ) -> None:
        self._connection.execute("SAVEPOINT work")
        try:
            result = work(self._connection)
        except Exception as error:
            # Of its subclasses only OperationalError is the world's fault: the whole transaction is
            # in doubt.  A damaged database is a plain DatabaseError.
            if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
                raise
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")
            future.set_exception(error)
            return
        self._connection.execute("RELEASE work")
        done.append((future, result))
