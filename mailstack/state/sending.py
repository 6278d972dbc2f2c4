"""What accounts have sent, to whom for the first time, and what they were told about it.

One count for all workers of all daemons, exact under concurrency: `take` compares and adds
in one write transaction.  A message is counted before it is accepted and given back when
it is not; what a crash leaves counted is on the safe side.  Counts are kept per minute and
slide with it, so an account has at most 1441 rows and never more than its limit in any 60
minutes or 24 hours.

A commit here is not waited for (synchronous=NORMAL): it survives the end of a process,
and a power failure may forget the last seconds.

In `state.db`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mailstack.disk import migrations
from mailstack.disk.sqlite import failure, open_database, transaction
from mailstack.model.containment import Contained
from mailstack.model.sending import (
    DAY_MINUTES,
    HOUR_MINUTES,
    Caps,
    LimitName,
    Over,
    Used,
    exceeded,
    window_minutes,
)
from mailstack.state.statedb import SCHEMA, StateTable

_DAY_S = 86_400
#: A correspondent's date is written again only so often.
_REFRESH_S = _DAY_S
#: What goes with an account.
_OF_AN_ACCOUNT = (
    "sent",
    "correspondent",
    "sending_notice",
    "bounced",
    "sending_network",
    "contained",
    "sieve_mark",
    "sieve_spent",
    "sieve_failure",
    "sender_history",
    "digest",
)
#: Rows removed in one transaction of `purge`.
_PURGE_BATCH = 5_000

_SUMS = (
    "SELECT coalesce(sum(messages), 0), coalesce(sum(recipients), 0), coalesce(sum(new_recipients), 0)"
    " FROM sent WHERE account_id = ? AND minute BETWEEN ? AND ?"
)


#: Whether an account may send: asked with what it has sent, and first-time recipients of a message.
Look = Callable[[sqlite3.Connection, Used, int], Contained | None]


@dataclass(frozen=True, slots=True)
class Ticket:
    """A message that is counted; for `give_back` or `learn`.

    Attributes:
        new: how many recipients counted as first-time ones.
        unknown: those to be known from now on, once the message is accepted.
    """

    account_id: int
    minute: int
    recipients: int
    new: int
    unknown: tuple[str, ...]


class Sending(StateTable):
    """The tables; thread-safe."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="NORMAL")
        self._reader: sqlite3.Connection | None = None

    def close(self) -> None:
        """Releases the database."""
        super().close()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # -- counting -----------------------------------------------------------------------

    def used(self, account_id: int, now: float) -> Used:
        """What is used up; never waits for a writer.  From one thread only."""
        try:
            if self._reader is None:
                self._reader = open_database(self._path, read_only=True)
            return sent_so_far(self._reader, account_id, int(now // 60))
        except sqlite3.Error as error:
            raise failure(error, "looking up what was sent") from error

    def check(self, account_id: int, caps: Caps, now: float) -> Over | None:
        """What stands in the way of any message, one to a known recipient; counts nothing.

        Never waits for a writer.  From one thread only.
        """
        used = self.used(account_id, now)
        over = exceeded(caps, used, messages=1, recipients=1, new=0)
        if not over:
            return None
        assert self._reader is not None
        return replace(_worst(self._reader, account_id, over, caps, used, (1, 1, 0), now), wanted=0)

    def take(
        self,
        account_id: int,
        recipients: Collection[str],
        caps: Caps,
        *,
        strangers: Collection[str],
        counts_new: bool,
        now: float,
        look: Look | None = None,
    ) -> Ticket | Over | Contained:
        """Counts a message, unless it would break a limit; then nothing is counted.

        Args:
            recipients: address keys, each once.
            strangers: those of them who can be first-time recipients.
            counts_new: False while first-time recipients are only learned.
            look: says first whether the account may send at all.

        Raises:
            TemporaryFailure: the database cannot be written now.
        """
        minute = int(now // 60)
        with self._lock, transaction(self._open(), "counting a message") as connection:
            unknown = _unknown(connection, account_id, strangers, now)
            new = sum(1 for is_new in unknown.values() if is_new) if counts_new else 0
            used = sent_so_far(connection, account_id, minute)
            stopped = look(connection, used, new) if look is not None else None
            if stopped is not None:
                return stopped
            over = exceeded(caps, used, messages=1, recipients=len(recipients), new=new)
            if over:
                return _worst(connection, account_id, over, caps, used, (1, len(recipients), new), now)
            connection.execute(
                "INSERT INTO sent (account_id, minute, messages, recipients, new_recipients)"
                " VALUES (?, ?, 1, ?, ?) ON CONFLICT (account_id, minute) DO UPDATE SET"
                " messages = messages + 1, recipients = recipients + excluded.recipients,"
                " new_recipients = new_recipients + excluded.new_recipients",
                (account_id, minute, len(recipients), new),
            )
            # What is too old to count, or lies so far ahead that the clock must have been wrong.
            connection.execute(
                "DELETE FROM sent WHERE account_id = ? AND (minute < ? OR minute > ?)",
                (account_id, minute - DAY_MINUTES, minute + DAY_MINUTES),
            )
            return Ticket(account_id, minute, len(recipients), new, tuple(unknown))

    def give_back(self, ticket: Ticket) -> None:
        """The message was not accepted after all."""
        with self._lock, transaction(self._open(), "giving a message back") as connection:
            connection.execute(
                "UPDATE sent SET messages = messages - 1, recipients = recipients - ?,"
                " new_recipients = new_recipients - ? WHERE account_id = ? AND minute = ?",
                (ticket.recipients, ticket.new, ticket.account_id, ticket.minute),
            )

    # -- correspondents -----------------------------------------------------------------

    def learn(self, account_id: int, addresses: Collection[str], now: float) -> None:
        """The account has written to these (address keys): they are first-time ones no more.

        Only once a message is accepted; else refused messages would teach for nothing.
        """
        with self._lock, transaction(self._open(), "noting correspondents") as connection:
            connection.executemany(
                "INSERT INTO correspondent (account_id, address, first_at, last_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (account_id, address) DO UPDATE SET last_at = excluded.last_at",
                [(account_id, address, now, now) for address in addresses],
            )

    def forget(self, account_id: int) -> None:
        """The account is gone for good."""
        with self._lock, transaction(self._open(), "forgetting correspondents") as connection:
            for table in _OF_AN_ACCOUNT:
                connection.execute(f"DELETE FROM {table} WHERE account_id = ?", (account_id,))  # noqa: S608

    def knows(self, account_id: int, address: str) -> bool:
        """True when the account has written to this address key."""
        with self._lock:
            try:
                row = self._open().execute(
                    "SELECT 1 FROM correspondent WHERE account_id = ? AND address = ?", (account_id, address)
                )
                return row.fetchone() is not None
            except sqlite3.Error as error:
                raise failure(error, "looking up a correspondent") from error

    def started_at(self) -> float:
        """Since when correspondents are learned here; Unix seconds."""
        with self._lock:
            try:
                return float(self._open().execute("SELECT min(at) FROM sending_start").fetchone()[0])
            except sqlite3.Error as error:
                raise failure(error, "looking up since when correspondents are learned") from error

    # -- notices ------------------------------------------------------------------------

    def may_tell(self, account_id: int, about: str, *, most: int, now: float) -> bool:
        """True for the first who asks on a day; then it counts as told.

        Args:
            about: what the notice is about; one a day of each.
            most: notices an account gets a day, whatever they are about.
        """
        with self._lock, transaction(self._open(), "noting a notice") as connection:
            # A date in the future is a clock's mistake and silences nobody.
            connection.execute(
                "DELETE FROM sending_notice WHERE account_id = ? AND (told_at <= ? OR told_at > ?)",
                (account_id, now - _DAY_S, now + _DAY_S),
            )
            told = connection.execute(
                "SELECT count(*), coalesce(sum(about = ?), 0) FROM sending_notice WHERE account_id = ?",
                (about, account_id),
            ).fetchone()
            if told[1] or told[0] >= most:
                return False
            connection.execute(
                "INSERT INTO sending_notice (account_id, about, told_at) VALUES (?, ?, ?)",
                (account_id, about, now),
            )
            return True


def purge(path: Path, *, now: float, keep_days: int) -> int:
    """Removes what no limit looks at any more; gives the number of rows.  In small transactions.

    Args:
        keep_days: how long somebody who is not written to again stays a correspondent.
    """
    connection = open_database(path, synchronous="NORMAL")
    gone = 0
    try:
        migrations.check(connection, SCHEMA)
        for table, keys, where, before in (
            ("sent", "account_id, minute", "minute < ?", now // 60 - DAY_MINUTES),
            ("correspondent", "account_id, address", "last_at < ?", now - keep_days * _DAY_S),
            ("sending_notice", "account_id, about", "told_at < ?", now - _DAY_S),
        ):
            sql = (
                f"DELETE FROM {table} WHERE ({keys}) IN"  # noqa: S608
                f" (SELECT {keys} FROM {table} WHERE {where} LIMIT {_PURGE_BATCH})"
            )
            while True:
                with transaction(connection, "removing what was sent long ago"):
                    removed = connection.execute(sql, (before,)).rowcount
                gone += removed
                if removed < _PURGE_BATCH:
                    break
    finally:
        connection.close()
    return gone


def sent_so_far(connection: sqlite3.Connection, account_id: int, minute: int) -> Used:
    """What an account has used up in this minute of Unix time."""
    # Minutes ahead count as well: the clock was set back, not the limit.
    until = minute + DAY_MINUTES
    hour = connection.execute(_SUMS, (account_id, minute - HOUR_MINUTES, until)).fetchone()
    older = connection.execute(
        _SUMS, (account_id, minute - DAY_MINUTES, minute - HOUR_MINUTES - 1)
    ).fetchone()
    return Used(
        messages_per_hour=hour[0],
        messages_per_day=hour[0] + older[0],
        recipients_per_hour=hour[1],
        recipients_per_day=hour[1] + older[1],
        new_recipients_per_hour=hour[2],
        new_recipients_per_day=hour[2] + older[2],
    )


def _unknown(
    connection: sqlite3.Connection, account_id: int, addresses: Collection[str], now: float
) -> dict[str, bool]:
    """Those to be learned: True for whom the account never wrote to, False for a date to refresh."""
    if not addresses:
        return {}
    marks = ", ".join("?" * len(addresses))
    known = dict(
        connection.execute(
            f"SELECT address, last_at FROM correspondent WHERE account_id = ? AND address IN ({marks})",  # noqa: S608
            (account_id, *addresses),
        ).fetchall()
    )
    return {
        address: address not in known
        for address in addresses
        if address not in known or known[address] < now - _REFRESH_S
    }


def _worst(
    connection: sqlite3.Connection,
    account_id: int,
    over: Sequence[LimitName],
    caps: Caps,
    used: Used,
    wanted: tuple[int, int, int],
    now: float,
) -> Over:
    """The limit that holds the message up longest."""
    minute = int(now // 60)
    rows = connection.execute(
        "SELECT minute, messages, recipients, new_recipients FROM sent"
        " WHERE account_id = ? AND minute BETWEEN ? AND ? ORDER BY minute",
        (account_id, minute - DAY_MINUTES, minute + DAY_MINUTES),
    ).fetchall()
    found = []
    for name in over:
        column = ("messages", "recipients", "new_recipients").index(name.partition("_per_")[0])
        limit, left = getattr(caps, name), getattr(used, name)
        free_at = _free_at(rows, column, window_minutes(name), minute, left + wanted[column] - limit)
        wait_s = None if wanted[column] > limit or free_at is None else max(0.0, free_at - now)
        found.append(Over(name, limit, left, wanted[column], wait_s))
    return max(found, key=lambda one: float("inf") if one.wait_s is None else one.wait_s)


def _free_at(
    rows: Sequence[tuple[int, ...]], column: int, window: int, minute: int, excess: int
) -> float | None:
    """When so many have left the window; None: never."""
    for row in rows:
        if row[0] < minute - window:
            continue
        excess -= row[column + 1]
        if excess <= 0:
            return 60.0 * (row[0] + window + 1)
    return None
