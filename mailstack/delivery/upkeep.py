"""What keeps the queue going beside attempts: leases, clock jumps, dead destinations, old rows."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailstack.delivery import lanes, lease, rows, schedule
from mailstack.delivery.entry import EntryRecipient, Facts
from mailstack.delivery.queue import Queue
from mailstack.delivery.spool import QueuePaths
from mailstack.model.reply import Reply

#: After the first crash during an attempt the next one comes soon; later ones keep their time,
#: so that a crash loop cannot become a mail bomb (promise P5).
FIRST_CRASH_WAIT_S = 5.0
#: Rows deferred in one transaction.
BATCH = 500
TMP_S = 36 * 3_600.0
FINISHED_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Postponed:
    """A recipient that was deferred without an attempt of its own."""

    facts: Facts
    recipient: EntryRecipient


def release_dead(queue: Queue, paths: QueuePaths, *, now: float) -> int:
    """Releases the claims of dead processes, and those that ran out where nobody can tell.

    Returns:
        Recipients that wait again.
    """
    owners = queue.read(
        "SELECT lease_owner, MAX(lease_until) FROM recipient WHERE state = 1 GROUP BY lease_owner"
    )
    released = 0
    for owner, until in owners:
        alive = lease.is_alive(paths, str(owner))
        if alive is False or (alive is None and float(str(until)) < now):
            released += release(queue, str(owner), now=now)
    lease.sweep(paths)
    return released


def release(queue: Queue, owner: str, *, now: float) -> int:
    """Makes everything claimed by `owner` wait again; gives how many recipients that are."""

    def work(connection: sqlite3.Connection) -> tuple[int, list[str]]:
        messages = connection.execute(
            "SELECT DISTINCT message FROM recipient WHERE state = 1 AND lease_owner = ?", (owner,)
        ).fetchall()
        count = connection.execute(
            "UPDATE recipient SET state = 0, lease_owner = '', lease_until = 0, crashes = crashes + 1,"
            " next_at = CASE crashes WHEN 0 THEN MIN(next_at, ?) ELSE next_at END"
            " WHERE state = 1 AND lease_owner = ?",
            (now + FIRST_CRASH_WAIT_S, owner),
        ).rowcount
        gone = [str(m) for (m,) in messages if rows.close_when_done(connection, str(m), now)]
        return count, gone

    count, gone = queue.write(work)
    queue.spool.remove(gone)
    return count


def renew(queue: Queue, owner: str, *, now: float) -> None:
    """Keeps our claims for another lease."""
    until = now + queue.options.lease_s
    queue.write(
        lambda connection: (
            connection.execute(
                "UPDATE recipient SET lease_until = ? WHERE state = 1 AND lease_owner = ?", (until, owner)
            ).rowcount
        )
    )


def heal_clock(queue: Queue, *, now: float, back_s: float = 0.0) -> int:
    """Brings attempts near again that a wrong clock put far away (F28, Q23).

    Args:
        back_s: how far the clock has just been put back while we watched; 0: not at all.

    Returns:
        Recipients whose next attempt was moved.
    """
    furthest_s = schedule.furthest_s(queue.options)

    def work(connection: sqlite3.Connection) -> int:
        moved = 0
        if back_s > 0:
            moved = connection.execute(
                "UPDATE recipient SET next_at = next_at - ? WHERE state = 0 AND next_at > ?", (back_s, now)
            ).rowcount
        # Spread over one wait, so that nothing storms.
        return (
            moved
            + connection.execute(
                "UPDATE recipient SET next_at = ? + (number * 7919 % 1000) / 1000.0 * ?"
                " WHERE state = 0 AND next_at > ?",
                (now, furthest_s - 1.0, now + furthest_s),
            ).rowcount
        )

    far = queue.read("SELECT 1 FROM recipient WHERE state = 0 AND next_at > ? LIMIT 1", (now + furthest_s,))
    return queue.write(work) if far or back_s > 0 else 0


def postpone_due(
    queue: Queue, destination: str, *, reply: Reply, host: str, is_ours: bool
) -> list[Postponed]:
    """Defers what is due for a destination that just turned out to be dead.

    Each recipient's own schedule holds; one whose time is over is left for a last attempt
    of its own.  At most BATCH at a time: call again while the result is not empty.
    """

    def work(connection: sqlite3.Connection) -> list[Postponed]:
        found = [p for p in queue.waiting(connection, destination, BATCH) if not p[1].is_last]
        connection.executemany(
            "UPDATE recipient SET tries = ?, next_at = ?, waited_s = ?, last_at = ?, host = ?, code = ?,"
            " status = ?, reply = ?, is_ours = ? WHERE number = ?",
            [
                (
                    r.tries,
                    r.next_at,
                    r.waited_s,
                    queue.now(),
                    host,
                    reply.code,
                    reply.status,
                    reply.text[: rows.MAX_REPLY_CHARACTERS],
                    is_ours,
                    r.row,
                )
                for _, r in found
            ],
        )
        lanes.refresh(connection, lanes.of_destination(connection, destination))
        return [Postponed(facts, recipient) for facts, recipient in found]

    return queue.write(work)


def late(queue: Queue, *, limit: int = BATCH) -> list[str]:
    """Queue ids with recipients that have waited long enough for a delay notice."""
    found = queue.read(
        "SELECT DISTINCT message FROM recipient WHERE state = 0 AND delay_told = 0 AND waited_s >= ?"
        " AND kind = 'remote' LIMIT ?",
        (queue.options.delay_notice_after_s, limit),
    )
    return [str(message) for (message,) in found]


def note_told(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Notes that the senders of these recipients know of the delay: once, whoever comes first.

    Raises:
        LeaseLost: somebody else has told one of them.
    """
    told = connection.executemany(
        "UPDATE recipient SET delay_told = 1 WHERE number = ? AND delay_told = 0",
        [(number,) for number in numbers],
    )
    if told.rowcount != len(numbers):
        raise rows.LeaseLost


def purge(queue: Queue, paths: QueuePaths, *, now: float) -> None:
    """Forgets what nobody needs any more: tombstones, leftovers."""
    before = now - FINISHED_S
    if queue.read("SELECT 1 FROM finished WHERE at < ? LIMIT 1", (before,)):
        queue.write(
            lambda connection: connection.execute("DELETE FROM finished WHERE at < ?", (before,)).rowcount
        )
    queue.write(lanes.forget_unused)
    _sweep(paths.queue_tmp, now - TMP_S)


def _sweep(folder: Path, before: float) -> None:
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()
