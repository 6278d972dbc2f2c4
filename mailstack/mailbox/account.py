"""account.db of one account: connections, transactions, and numbers that never repeat (`counting`).

Two connections: reads never wait for a writer's fsync.  Whoever writes holds the
account's lock in this process and SQLite's between processes; nothing is remembered
between two calls that another process could have changed.

UIDs and MODSEQs come from blocks reserved durably beforehand, so a transaction that a
power cut takes back can never lead to the same number for another message: after a
boot, counting goes on behind the reserved block (promise: faults, section 2, step 8).

Standards: RFC 3501 section 2.3.1.1, RFC 7162.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

from mailstack.disk import durable, migrations
from mailstack.disk.lock import lock_within
from mailstack.disk.sqlite import BUSY_TIMEOUT_S, failure, open_database, transaction
from mailstack.mailbox.counting import read_meta, read_witness, settle, write_meta
from mailstack.mailbox.maildir import address_of
from mailstack.mailbox.presence import Presence, is_replaced
from mailstack.mailbox.reading import Reading
from mailstack.mailbox.schema import ACCOUNT_STEPS
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

T = TypeVar("T")

#: UIDs and MODSEQs reserved at a time, per folder.
BLOCK = 1_000
#: SQLite's page cache, per connection, in KiB: many accounts are open at a time.
_CACHE_KIB = 1_024
#: Reading notices a replaced database after this long; writing at once.
_CHECK_S = 0.1
#: Another process may write this long.
TURN_TIMEOUT_S = BUSY_TIMEOUT_S
_TURN_NAP_S = 0.0002
_ATTEMPTS = 4


class Exhausted(Exception):
    """A folder has used up its reserved block; `count` UIDs were wanted."""

    def __init__(self, folder_id: int, count: int) -> None:
        super().__init__(folder_id)
        self.folder_id = folder_id
        self.count = count


class Replaced(TemporaryFailure):
    """Another database came into the place of the one that was to be written; nothing was."""


class AccountDatabase:
    """The database of one account home; opened when first used, closed by `close`.

    Safe to use from any thread; after `close` it opens itself again.
    """

    def __init__(
        self,
        home: Path,
        *,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        boot: str,
        prepare: Callable[[sqlite3.Connection], None],
        opened: Callable[[sqlite3.Connection], None],
        replaced: Callable[[], None],
    ) -> None:
        """Opens nothing yet.

        Args:
            home: account home; must exist before the first use.
            boot: this boot's id.
            prepare: fills an empty database; called inside a transaction.
            opened: told when it was opened, with the writing connection.
            replaced: told when it is another one than before, or may be, and nobody reads it yet.
        """
        self.path = home / "account.db"
        self.boot = boot
        self._home = home
        self._now = now
        self._random_bytes = random_bytes
        self._prepare = prepare
        self._opened = opened
        self._replaced = replaced
        self.lock = threading.RLock()
        self._read_lock = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._queue = -1
        self._presence = Presence(home)
        self._inode = 0
        self._checked = 0.0
        self._full = True
        self.epoch = ""

    def read(self, doing: str = "reading the mailbox") -> Reading:
        """A connection for reading, for this thread alone.

        A process that only delivers never needs the second connection: until somebody
        would have to wait for a writer, the writing one serves.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        return Reading(self._lock_for_reading, self._reraise, doing)

    def _lock_for_reading(self) -> tuple[sqlite3.Connection, threading.RLock]:
        """A connection, and what its user must release; raises as `read`."""
        if time.monotonic() > self._checked + _CHECK_S:
            self._check_inode()
        if self._reader is None and self._writer is not None and self.lock.acquire(blocking=False):
            writer = self._writer
            if writer is not None and not writer.in_transaction:
                return writer, self.lock
            self.lock.release()
        while True:
            if self._reader is None:
                self._open_reader()
            self._read_lock.acquire()
            if self._reader is not None:
                return self._reader, self._read_lock
            self._read_lock.release()  # another thread closed it in between

    @contextlib.contextmanager
    def write(self, doing: str, *, durable_commit: bool) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the account's write lock; COMMIT at the end of the block.

        Args:
            durable_commit: on the disk when the block ends (synchronous=FULL).

        Raises:
            TemporaryFailure: locked for too long, disk full, damaged.
        """
        with self.lock:
            connection = self._current_writer()
            if self._full != durable_commit:
                connection.execute(f"PRAGMA synchronous={'FULL' if durable_commit else 'NORMAL'}")
                self._full = durable_commit
            try:
                with self._turn(), transaction(connection, doing):
                    if is_replaced(self.path, self._inode):  # while this waited for the lock
                        raise Replaced(f"{doing}: the database was replaced at this moment")
                    yield connection
            except TemporaryFailure as error:
                self._reraise(error, doing)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        # SQLite waits for another process by sleeping 1, 2, 5, 10 ... ms, far longer than a
        # transaction takes.  This only orders writers: what is right does not depend on it.
        with durable.guarded(f"locking {self.path}"):
            if self._queue < 0:
                self._queue = os.open(self._home / "turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            queue = self._queue
            why = f"writing {self.path}: the database is locked"
            lock_within(queue, TURN_TIMEOUT_S, why, nap_s=_TURN_NAP_S)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # closed meanwhile, which unlocks too
                fcntl.flock(queue, fcntl.LOCK_UN)

    def change(self, doing: str, work: Callable[[sqlite3.Connection], T], *, durable_commit: bool) -> T:
        """Runs `work` in a transaction, again after reserving numbers when it ran out of them.

        And again in the database that came into the place of this one: what `work` knows of
        the other one leads to nothing there (NONEXISTENT).
        """
        for _ in range(_ATTEMPTS):
            try:
                with self.write(doing, durable_commit=durable_commit) as connection:
                    return work(connection)
            except Exhausted as error:
                self.reserve(error.folder_id, error.count)
            except Replaced:
                continue
        raise TemporaryFailure(f"{doing}: other processes took every reserved number, or the database")

    def reserve(self, folder_id: int, count: int) -> None:
        """Makes sure that `count` UIDs and a MODSEQ may be given out, durably."""
        with self.write("reserving UIDs", durable_commit=True) as connection:
            connection.execute(
                "UPDATE folders SET uid_reserved = max(uid_reserved, uid_next + ?),"
                " modseq_reserved = modseq + ? WHERE id = ?",
                (count + BLOCK, BLOCK, folder_id),
            )
            write_meta(connection, "generation", int(read_meta(connection, "generation") or 0) + 1)
        self.witness()

    def close(self, *, wait: bool = True) -> bool:
        """Closes the connections; False when somebody uses them and `wait` is False."""
        if not self.lock.acquire(blocking=wait):
            return False
        try:
            if not self._read_lock.acquire(blocking=wait):
                return False
            try:
                self._drop()
            finally:
                self._read_lock.release()
        finally:
            self.lock.release()
        return True

    @property
    def used_at(self) -> float:
        """When it was last used, on the monotonic clock; up to a tenth of a second ago counts as now."""
        return self._checked

    @property
    def is_open(self) -> bool:
        """True while it holds connections."""
        return self._writer is not None or self._reader is not None

    @property
    def is_ready(self) -> bool:
        """True while reading neither opens anything nor waits for that: for the event loop.

        Raises:
            TemporaryFailure: the disk is in trouble.
        """
        if not self.is_open:
            return False
        now = time.monotonic()
        if now > self._checked + _CHECK_S / 2:  # so that who reads now does not look once more
            if not self._is_in_place():
                return False
            self._checked = now
        return True

    def _drop(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        self._reader = self._writer = None
        self._presence.leave()
        if self._queue >= 0:
            os.close(self._queue)
            self._queue = -1

    def _current_writer(self) -> sqlite3.Connection:
        self._check_inode()
        if self._writer is None:
            return self._open()
        return self._writer

    def _open_reader(self) -> None:
        if self._reader is not None:
            return
        why: TemporaryFailure | None = None
        if self._writer is None:
            # Always in this order: the account's lock, then the reader's.
            with self.lock:
                try:
                    self._current_writer()
                except TemporaryFailure as error:
                    if error.fatal or not self.path.exists():
                        raise
                    # A full or read-only disk, a lock held for long: reading may still work (P7).
                    why = error
        with self._read_lock:
            if self._reader is None and why is not None:
                self._reader = self._open_read_only(why)
            elif self._reader is None:
                self._reader = open_database(self.path, read_only=True)
                self._reader.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")

    def _open_read_only(self, why: TemporaryFailure) -> sqlite3.Connection:
        try:
            reader = open_database(self.path, read_only=True)
        except TemporaryFailure:
            raise why from None
        try:
            migrations.check(reader, ACCOUNT_STEPS)
            self._found(reader)
        except (TemporaryFailure, sqlite3.Error, OSError):
            reader.close()
            raise why from None
        return reader

    def _check_inode(self) -> None:
        # Somebody may have removed or replaced the file under us; what we would write
        # to the old one would be lost.
        if self._writer is None and self._reader is None:
            return
        self._checked = time.monotonic()
        if not self._is_in_place():
            with self.lock, self._read_lock:
                self._drop()

    def _is_in_place(self) -> bool:
        """False when what is open is no longer what the path leads to."""
        try:
            inode = os.stat(self.path).st_ino
            if self._writer is not None:  # neither of them goes while somebody uses them
                os.stat(f"{self.path}-wal"), os.stat(f"{self.path}-shm")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise durable.failure(error, f"opening {self.path}") from error
        return inode == self._inode

    def _found(self, connection: sqlite3.Connection, *, in_order: bool = True) -> None:
        """Takes in which database it is that was opened."""
        inode, epoch = os.stat(self.path).st_ino, str(read_meta(connection, "epoch"))
        is_same = in_order and (inode, epoch) == (self._inode, self.epoch)
        self._inode, self.epoch = inode, epoch
        if not is_same:
            self._replaced()

    def _open(self) -> sqlite3.Connection:
        doing = f"opening {self.path}"
        connection = None
        try:
            with migrations.exclusive(self._home / "lock", wait_s=TURN_TIMEOUT_S):
                if not self.path.exists():
                    # A -wal or -shm without its database belongs to one that is gone.
                    remove_database(self.path)
                in_order = self._presence.enter()
                connection = open_database(self.path)
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            migrations.migrate(connection, ACCOUNT_STEPS)
            self._presence.say()
            self._full = True
            with transaction(connection, doing):
                settle(
                    connection,
                    self._home,
                    in_order=in_order,
                    boot=self.boot,
                    now=int(self._now()),
                    random_bytes=self._random_bytes,
                )
                self._prepare(connection)
            self._found(connection, in_order=in_order)
        except BaseException as error:
            if connection is not None:
                connection.close()
            self._presence.leave()
            self._reraise(error, doing)
        self._writer = connection
        self.witness()
        self._opened(connection)
        return connection

    def _reraise(self, error: BaseException, doing: str) -> NoReturn:
        """Raises the failure behind an error, with what a person can do about it."""
        cause = error.__cause__ if isinstance(error, TemporaryFailure) else error
        if isinstance(cause, sqlite3.Error):
            found = failure(cause, doing, self.path)
            if "damaged" in found.why:
                found.why += f"; run 'mailstack mailbox rebuild {address_of(self._home)}'"
                found.args = (found.why,)
            raise found from error
        if isinstance(error, OSError):
            raise durable.failure(error, doing) from error
        raise error

    def witness(self) -> None:
        """Notes generation and UIDVALIDITY outside the database, so that an old copy is noticed.

        Raises:
            TemporaryFailure: the note cannot be written.
        """
        with self.lock:
            connection = self._current_writer()
            generation = int(read_meta(connection, "generation") or 0)
            validity = int(read_meta(connection, "uid_validity") or 0)
            if (generation, validity) == read_witness(self._home):
                return
            try:
                durable.replace_text(self._home / "uidvalidity", f"{generation} {validity}\n")
            except OSError as error:
                raise durable.failure(error, "noting reserved UIDs") from error


def remove_database(path: Path) -> None:
    """Removes a database with its -wal and -shm."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")


def take_uids(connection: sqlite3.Connection, folder_id: int, count: int) -> tuple[int, int]:
    """Takes `count` UIDs of a folder and one MODSEQ.

    Returns:
        The first UID, and the MODSEQ.

    Raises:
        Exhausted: reserve first.
        MailboxError: NONEXISTENT, the folder is gone.
    """
    row = connection.execute(
        "UPDATE folders SET uid_next = uid_next + ?, modseq = modseq + 1"
        " WHERE id = ? AND uid_next + ? <= uid_reserved AND modseq < modseq_reserved"
        " RETURNING uid_next, modseq",
        (count, folder_id, count),
    ).fetchone()
    if row is None:
        if connection.execute("SELECT 1 FROM folders WHERE id = ?", (folder_id,)).fetchone() is None:
            raise MailboxError("NONEXISTENT", "the folder is gone")
        raise Exhausted(folder_id, count)
    return row[0] - count, row[1]


def take_modseq(connection: sqlite3.Connection, folder_id: int) -> int:
    """Takes the next MODSEQ of a folder; raises as `take_uids`."""
    return take_uids(connection, folder_id, 0)[1]
