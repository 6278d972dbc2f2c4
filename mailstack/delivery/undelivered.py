"""Reports that nobody can be given (Q16): listed here until the postmaster is told of them all at once.

A report's own failure must cause no report, and a wave of them no wave of letters: the first
is told at once, what follows waits until the last letter is old enough.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.delivery.queue import Queue

_TOLD_AT = "undelivered_told_at"
#: Beyond these the oldest are forgotten: a flood must not fill the disk.
MAX_ROWS = 10_000
_MAX_TEXT = 400


@dataclass(frozen=True, slots=True)
class Undelivered:
    """One report.

    Attributes:
        at: when it failed; Unix seconds.
        address: whom it was for.
        subject: its own.
        reply: what the last server said.
    """

    at: float
    address: str
    subject: str
    reply: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the next letter tells.

    Attributes:
        count: of all; `listed` are the oldest.
        last: number of the newest row; `told` takes up to it.
        told_at: when the letter before was written, as stored.
    """

    listed: tuple[Undelivered, ...]
    count: int
    last: int
    told_at: str


class AlreadyTold(Exception):
    """Another process wrote the letter in the meantime."""


def note(connection: sqlite3.Connection, reports: Sequence[Undelivered]) -> None:
    """Puts reports on the list, in the transaction of whoever gave them up."""
    connection.executemany(
        "INSERT INTO undelivered (at, address, subject, reply) VALUES (?, ?, ?, ?)",
        [(one.at, one.address, one.subject[:_MAX_TEXT], one.reply[:_MAX_TEXT]) for one in reports],
    )
    if reports:
        connection.execute(
            "DELETE FROM undelivered WHERE number <= (SELECT max(number) FROM undelivered) - ?", (MAX_ROWS,)
        )


def due(queue: Queue, *, now: float) -> Waiting | None:
    """What is to be told now; None when there is nothing, or the last letter is too young.

    Raises:
        TemporaryFailure: the database cannot be read.
    """
    count, last = queue.read("SELECT count(*), max(number) FROM undelivered")[0]
    if not count:
        return None
    told_at = _told_at(queue.read("SELECT value FROM meta WHERE name = ?", (_TOLD_AT,)))
    # A clock that was put back does not silence the list.
    if told_at and 0 <= now - float(told_at) < queue.options.undelivered_every_s:
        return None
    listed = queue.read(
        "SELECT at, address, subject, reply FROM undelivered ORDER BY number LIMIT ?",
        (queue.options.undelivered_listed,),
    )
    found = tuple(Undelivered(float(str(at)), str(a), str(s), str(r)) for at, a, s, r in listed)
    return Waiting(found, int(str(count)), int(str(last)), told_at)


def told(connection: sqlite3.Connection, waiting: Waiting, *, now: float) -> None:
    """Empties the list, in the transaction that queues the letter.

    Raises:
        AlreadyTold: another process was first.
    """
    before = connection.execute("SELECT value FROM meta WHERE name = ?", (_TOLD_AT,)).fetchall()
    if _told_at(before) != waiting.told_at:
        raise AlreadyTold
    connection.execute("DELETE FROM undelivered WHERE number <= ?", (waiting.last,))
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (_TOLD_AT, repr(now)))


def _told_at(found: Sequence[Sequence[object]]) -> str:
    return str(found[0][0]) if found else ""
