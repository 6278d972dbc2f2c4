"""The queue: durable before the caller goes on, claimed by lease, exactly one end per recipient.

Whoever accepted a message calls `enqueue`; when it returns, file and rows survive a power
cut (promise P1).  The queue daemon calls `claim` and `finish`.  That an attempt started is
committed before it starts (P5); an outcome and the reports it causes are one transaction;
the file goes after the row (faults, section 2).

Blocking; safe to use from several threads and processes.
"""

from __future__ import annotations

import base64
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from mailstack.delivery import lanes, rows, schedule, schema
from mailstack.delivery.entry import LOCAL, Entry, EntryRecipient, Facts, QueueMessage, Result
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.rows import LeaseLost
from mailstack.delivery.spool import Content, Damaged, Envelope, QueuePaths, Spool
from mailstack.disk import migrations
from mailstack.disk.durable import guarded
from mailstack.disk.fault import fault_point
from mailstack.disk.sqlite import Writer, failure, open_database
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply

T = TypeVar("T")

#: How long the sum of all sizes is taken as it was.
OCTETS_AGE_S = 10.0

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}\Z")

__all__ = ["LeaseLost", "Queue"]


class Queue:
    """One process's hold on the queue."""

    def __init__(
        self,
        paths: QueuePaths,
        *,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        options: QueueOptions | None = None,
    ) -> None:
        """Opens `queue.db`, which `schema.migrate` has made.

        Args:
            now: Unix seconds.
            random_bytes: for ids and jitter.

        Raises:
            TemporaryFailure: the database is missing, damaged, locked or of another version.
        """
        self.options = options or QueueOptions()
        self.spool = Spool(paths, bulk_recipients=self.options.bulk_recipients)
        self.spool.make_folders()
        self.now = now
        self._random_bytes = random_bytes
        self._reader = open_database(paths.queue_db)
        try:
            migrations.check(self._reader, schema.SCHEMA)
            self._reader.execute("PRAGMA query_only=ON")
            self._writer = Writer(paths.queue_db)
        except BaseException:
            self._reader.close()
            raise
        self._reading = threading.Lock()
        self._octets, self._octets_at = 0, float("-inf")

    def close(self) -> None:
        """Commits what is queued for writing and closes the database."""
        self._writer.close()
        self._reader.close()

    # -- in -------------------------------------------------------------------------

    def new_id(self) -> str:
        """An id for a message: 80 random bits in base32, safe as a file name."""
        return base64.b32encode(self._random_bytes(10)).decode("ascii").lower()

    def enqueue(self, items: Sequence[QueueMessage]) -> list[str]:
        """Puts messages into the queue, all or none.

        Returns:
            Their queue ids; on return they are durable.

        Raises:
            TemporaryFailure: disk or database; nothing is kept.
        """
        _, queue_ids = self.enqueue_with(items, lambda connection: None)
        _passed("queue.committed")
        return queue_ids

    def enqueue_with(
        self, items: Sequence[QueueMessage], work: Callable[[sqlite3.Connection], T]
    ) -> tuple[T, list[str]]:
        """Puts messages into the queue in the transaction that also does `work`.

        Returns:
            What `work` gave, and the queue ids.

        Raises:
            TemporaryFailure, or what `work` raised: nothing was written.
        """
        stored = self._spool_all(items)

        def both(connection: sqlite3.Connection) -> T:
            result = work(connection)
            rows.insert_all(connection, stored)
            return result

        try:
            result = self.write(both)
        except Exception as error:
            # A COMMIT that failed on a broken disk may be found done after a restart: its files
            # stay, or the rows would be without their messages (`recover` looks after both).
            if not (isinstance(error, TemporaryFailure) and error.fatal):
                self.spool.discard([envelope.queue_id for envelope in stored])
            raise
        return result, [envelope.queue_id for envelope in stored]

    def _spool_all(self, items: Sequence[QueueMessage]) -> list[Envelope]:
        created_at = self.now()
        ids = [item.queue_id or self.new_id() for item in items]
        for queue_id in ids:
            # A file of that name would be replaced, and lost when the rows are refused.
            if (
                not _FILE_NAME.match(queue_id)
                or ids.count(queue_id) > 1
                or self.spool.path(queue_id).exists()
            ):
                raise ValueError("a queue id is a new file name")
        try:
            stored = [
                self.spool.write(item, queue_id, created_at)
                for item, queue_id in zip(items, ids, strict=True)
            ]
            if stored:
                self.spool.publish(ids)
        except BaseException:
            self.spool.discard(ids)
            raise
        return stored

    def room_for(self, owner: str) -> Reply | None:
        """None when a message of this account may be queued, else the reply that says why not."""
        count = int(self.read("SELECT COUNT(*) FROM message")[0][0])  # type: ignore[call-overload]
        if count < self.options.max_messages and not self._fills_the_disk():
            return None
        own = self.read("SELECT COUNT(*) FROM message WHERE owner = ?", (owner,))[0][0]
        if int(own) < self.options.max_messages_per_account:  # type: ignore[call-overload]
            return None
        return Reply(452, "3.1", "The queue is full and holds many messages of yours; try again later")

    def _fills_the_disk(self) -> bool:
        """True when the messages take more of their file system than they may; seconds old at most."""
        now = self.now()
        if abs(now - self._octets_at) > OCTETS_AGE_S:
            found = self.read("SELECT COALESCE(SUM(size_octets), 0) FROM message")[0][0]
            self._octets, self._octets_at = int(str(found)), now
        with guarded("looking at the queue's disk"):
            disk = os.statvfs(self.spool.messages)
        return self._octets > disk.f_blocks * disk.f_frsize * self.options.max_disk_percent / 100

    # -- out ------------------------------------------------------------------------

    def claim(self, wanted: Mapping[int, int], *, lease_owner: str) -> list[Entry]:
        """Takes due recipients: their attempt counts as started when this returns.

        Args:
            wanted: number of a lane -> messages to take at most.
            lease_owner: who takes them, see `lease.Lease`.

        Raises:
            TemporaryFailure: disk or database; nothing was taken.
        """
        now = self.now()

        def work(connection: sqlite3.Connection) -> list[Entry]:
            found: list[Entry] = []
            for lane, count in wanted.items():
                found.extend(self._claim_one(connection, lane, count, now, lease_owner))
            lanes.refresh(connection, wanted)
            return found

        entries = self.write(work)
        if entries:
            _passed("queue.claimed")
        return entries

    def waiting(
        self, connection: sqlite3.Connection, destination: str, limit: int
    ) -> list[tuple[Facts, EntryRecipient]]:
        """Due recipients of a destination, oldest first, as an attempt now would see them."""
        now = self.now()
        facts: dict[str, Facts] = {}
        found = []
        for row in _due_rows(connection, lanes.of_destination(connection, destination), now, limit):
            if row.message not in facts:
                facts[row.message] = rows.find_facts(connection, row.message)
            found.append((facts[row.message], self._attempt(row, facts[row.message], now)))
        return found

    def _claim_one(
        self, connection: sqlite3.Connection, lane: int, count: int, now: float, lease_owner: str
    ) -> list[Entry]:
        ids = _due_messages(connection, lane, now, count, self.options.max_recipients)
        groups = (self._due_recipients(connection, queue_id, lane, now) for queue_id in ids)
        return [self._start(connection, group, now, lease_owner) for group in groups]

    def _due_recipients(
        self, connection: sqlite3.Connection, queue_id: str, lane: int, now: float
    ) -> list[rows.WaitingRow]:
        """Those of one message that go into one transaction."""
        found = connection.execute(
            f"SELECT {rows.WAITING_COLUMNS} FROM recipient"  # noqa: S608
            " WHERE message = ? AND lane = ? AND state = 0 AND next_at <= ? ORDER BY position LIMIT ?",
            (queue_id, lane, now, self.options.max_recipients),
        )
        group = [rows.WaitingRow._make(row) for row in found]
        return group[:1] if group[0].destination == LOCAL else group

    def _start(
        self, connection: sqlite3.Connection, group: list[rows.WaitingRow], now: float, lease_owner: str
    ) -> Entry:
        facts = rows.find_facts(connection, group[0].message)
        recipients = tuple(self._attempt(row, facts, now) for row in group)
        connection.executemany(
            "UPDATE recipient SET state = 1, tries = ?, next_at = ?, waited_s = ?, last_at = ?,"
            " lease_owner = ?, lease_until = ? WHERE number = ?",
            [
                (r.tries, r.next_at, r.waited_s, now, lease_owner, now + self.options.lease_s, r.row)
                for r in recipients
            ],
        )
        return Entry(facts, recipients)

    def _attempt(self, row: rows.WaitingRow, facts: Facts, now: float) -> EntryRecipient:
        waited_s = row.waited_s + schedule.waited_more_s(row.last_at, now, self.options)
        wait_s = schedule.next_wait_s(
            row.tries + 1, waited_s=waited_s, kind=facts.kind, chance=self._chance(), options=self.options
        )
        return EntryRecipient(
            row=row.number,
            position=row.position,
            address=row.address,
            kind="local" if row.kind == "local" else "remote",
            owner=row.owner,
            notify=frozenset(row.notify.split()),
            orcpt=row.orcpt,
            detail=row.detail,
            destination=row.destination,
            tries=row.tries + 1,
            next_at=now + wait_s,
            waited_s=waited_s,
            is_last=schedule.is_over(waited_s, facts.kind, self.options),
            delay_told=bool(row.delay_told),
            original=row.original,
        )

    def _chance(self) -> float:
        return int.from_bytes(self._random_bytes(4), "big") / 2**32

    def content(self, facts: Facts) -> Content | Damaged:
        """The message's octets, compared with its row; TemporaryFailure when unreadable."""
        return self.spool.open(facts.queue_id, facts.size_octets, facts.sha256)

    def finish(
        self,
        queue_id: str,
        results: Sequence[Result],
        *,
        lease_owner: str,
        reports: Sequence[QueueMessage] = (),
        hold: bool = False,
        also: Callable[[sqlite3.Connection], None] = lambda connection: None,
    ) -> list[str]:
        """Writes down what an attempt did, with the reports it causes, in one transaction.

        Args:
            hold: nothing more is tried before an operator has looked at it.
            also: what else belongs into the transaction.

        Returns:
            Queue ids of the reports.

        Raises:
            LeaseLost: the recipients are not ours any more; nothing was written.
            TemporaryFailure: disk or database; nothing was written.
        """
        now = self.now()

        def work(connection: sqlite3.Connection) -> bool:
            for result in results:
                rows.note(connection, result, lease_owner)
            if hold:
                connection.execute("UPDATE message SET held = 1 WHERE id = ?", (queue_id,))
            also(connection)
            return rows.close_when_done(connection, queue_id, now)

        is_done, queue_ids = self.enqueue_with(reports, work)
        _passed("queue.outcome")
        if is_done:
            self.spool.remove([queue_id])
        return queue_ids

    # -- database ---------------------------------------------------------------------

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a transaction shared with others; durable on return."""
        return self._writer.call(work)

    def read(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[object, ...]]:
        """Rows of a query.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        with self._reading:
            try:
                return self._reader.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise failure(error, "reading the queue") from error


def _passed(name: str) -> None:
    with guarded("writing to the queue"):
        fault_point(name)


def _due_messages(
    connection: sqlite3.Connection, lane: int, now: float, count: int, recipients: int
) -> list[str]:
    """The messages of a lane that are due first; of `count` with so many recipients each, any may be."""
    found = connection.execute(
        "SELECT message FROM recipient INDEXED BY recipient_lane"
        " WHERE state = 0 AND lane = ? AND next_at <= ? ORDER BY next_at LIMIT ?",
        (lane, now, count * recipients),
    )
    ids: dict[str, None] = {}
    for (queue_id,) in found:
        ids[queue_id] = None
        if len(ids) == count:
            break
    found.close()
    return list(ids)


def _due_rows(
    connection: sqlite3.Connection, numbers: Sequence[int], now: float, limit: int
) -> list[rows.WaitingRow]:
    found: list[rows.WaitingRow] = []
    for number in numbers:
        rows_of_lane = connection.execute(
            f"SELECT {rows.WAITING_COLUMNS} FROM recipient INDEXED BY recipient_lane"  # noqa: S608
            " WHERE state = 0 AND lane = ? AND next_at <= ? ORDER BY next_at LIMIT ?",
            (number, now, limit - len(found)),
        )
        found += map(rows.WaitingRow._make, rows_of_lane)
        if len(found) >= limit:
            break
    return found
