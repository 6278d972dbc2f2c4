"""What an operator does to the queue; `listing` is what he sees.

Everything is defined while an attempt is under way (Q22): the attempt's result counts.  A
hold or removal takes effect for what is left after it, so nothing is sent twice and
nothing that was delivered is called removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Protocol

from mailstack.delivery import rows
from mailstack.delivery.listing import missing
from mailstack.delivery.queue import Queue
from mailstack.delivery.rows import Taken

#: Messages changed in one transaction.
BATCH = 500


def select(queue: Queue, ids: Iterable[str] = (), *, owner: str = "", everything: bool = False) -> list[str]:
    """The messages an operator means.

    Raises:
        PermanentFailure: an id that is not in the queue.
    """
    if everything:
        return [str(i) for (i,) in queue.read("SELECT id FROM message ORDER BY created_at")]
    if owner:
        return [
            str(i) for (i,) in queue.read("SELECT id FROM message WHERE lower(owner) = lower(?)", (owner,))
        ]
    chosen = list(ids)
    for queue_id in chosen:
        if not queue.read("SELECT 1 FROM message WHERE id = ?", (queue_id,)):
            raise missing(queue_id)
    return chosen


def retry(queue: Queue, ids: Iterable[str]) -> int:
    """Makes waiting recipients due now; those being tried or held stay as they are.

    Returns:
        Recipients that are due.
    """
    now = queue.now()
    return _each(
        queue,
        ids,
        lambda connection, queue_id: (
            connection.execute(
                "UPDATE recipient SET next_at = MIN(next_at, ?) WHERE message = ? AND state = 0",
                (now, queue_id),
            ).rowcount
        ),
    )


def hold(queue: Queue, ids: Iterable[str]) -> int:
    """Stops attempts until `release`; one under way still counts.  Gives the messages held."""

    def work(connection: sqlite3.Connection, queue_id: str) -> int:
        connection.execute("UPDATE recipient SET state = 4 WHERE message = ? AND state = 0", (queue_id,))
        return connection.execute("UPDATE message SET held = 1 WHERE id = ?", (queue_id,)).rowcount

    return _each(queue, ids, work)


def release(queue: Queue, ids: Iterable[str]) -> int:
    """Ends a hold; what is released is due now.  Damaged messages stay held.

    Returns:
        Messages released.
    """
    now = queue.now()

    def work(connection: sqlite3.Connection, queue_id: str) -> int:
        released = connection.execute(
            "UPDATE message SET held = 0 WHERE id = ? AND held = 1 AND damage = ''", (queue_id,)
        ).rowcount
        if released:
            connection.execute(
                "UPDATE recipient SET state = 0, next_at = MIN(next_at, ?) WHERE message = ? AND state = 4",
                (now, queue_id),
            )
            rows.hold_covered(connection, queue_id)
        return released

    return _each(queue, ids, work)


def remove(queue: Queue, ids: Iterable[str], *, note: Callable[[Taken], None] | None = None) -> int:
    """Takes messages out without a report to anybody; an attempt under way ends first.

    Args:
        note: hears of each, once it is done.

    Returns:
        Messages that are gone now; the others go when their attempt ends.
    """
    now = queue.now()
    gone: list[str] = []
    taken: dict[str, Taken] = {}

    def work(connection: sqlite3.Connection, queue_id: str) -> int:
        taken[queue_id] = rows.taken(connection, queue_id)
        connection.execute("UPDATE message SET removed = 1 WHERE id = ?", (queue_id,))
        done = rows.close_when_done(connection, queue_id, now)
        if done:
            gone.append(queue_id)
        return int(done)

    count = _each(queue, ids, work)
    queue.spool.remove(gone)
    if note is not None:
        for one in taken.values():
            note(one)
    return count


def give_up(queue: Queue, ids: Iterable[str]) -> int:
    """Makes the next attempt, due now, the last one: then the sender is told, as after five days.

    Held mail is released for it.  An attempt under way ends first and its result counts.

    Returns:
        Recipients that get their last attempt now; what a hold of another kind covers waits for its end.
    """
    now = queue.now()
    past_s = max(queue.options.give_up_after_s, queue.options.bounce_give_up_after_s)

    def work(connection: sqlite3.Connection, queue_id: str) -> int:
        connection.execute("UPDATE message SET held = 0 WHERE id = ? AND damage = ''", (queue_id,))
        connection.execute(
            "UPDATE recipient SET state = 0, next_at = MIN(next_at, ?), waited_s = MAX(waited_s, ?)"
            " WHERE message = ? AND (state = 0 OR state = 4 AND"
            " (SELECT damage FROM message WHERE id = recipient.message) = '')",
            (now, past_s, queue_id),
        )
        rows.hold_covered(connection, queue_id)
        due = "SELECT COUNT(*) FROM recipient WHERE message = ? AND state = 0"
        return int(connection.execute(due, (queue_id,)).fetchone()[0])

    return _each(queue, ids, work)


def held(queue: Queue, ids: Iterable[str]) -> int:
    """How many of the messages are held, or recipients of theirs are."""
    found = "SELECT 1 FROM recipient WHERE message = ? AND state = 4 LIMIT 1"
    return sum(bool(queue.read(found, (queue_id,))) for queue_id in ids)


def _each(queue: Queue, ids: Iterable[str], work: _Work) -> int:
    """Does it for some at a time, so that nobody else waits for long."""
    chosen = list(ids)
    count = 0
    for start in range(0, len(chosen), BATCH):
        some = chosen[start : start + BATCH]
        count += queue.write(lambda connection, some=some: sum(work(connection, one) for one in some))  # type: ignore[misc]
    return count


class _Work(Protocol):
    def __call__(self, connection: sqlite3.Connection, queue_id: str) -> int: ...
