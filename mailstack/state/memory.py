"""What Sieve scripts remember: whom they answered, what they saw, what they spent, where they failed.

Shared by all workers of all daemons and kept over restarts (V15).  A script asks before it
decides (`Seen`, read only, in the filter); whoever carries its decision out asks again and
takes note in one transaction (`Memory`), so that of two messages at the same moment only one
is answered.

A commit here is not waited for (synchronous=NORMAL): a power failure may forget the last seconds.

In `state.db`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mailstack.disk import migrations
from mailstack.disk.sqlite import failure, open_database, transaction
from mailstack.state.statedb import SCHEMA, StateTable

#: What is remembered: an answer, an id of the `duplicate` test.
Kind = Literal["vacation", "duplicate"]
#: What is counted: answers, messages rules send on, CPU seconds of scripts.
What = Literal["answers", "redirects", "cpu_s"]

_MARK_OCTETS = 16
_HOUR_S, _DAY_S = 3_600.0, 86_400.0
#: Rows removed in one transaction of `purge`.
_PURGE_BATCH = 5_000


def mark(id_: str) -> bytes:
    """What an id is remembered by."""
    return hashlib.blake2b(id_.encode("utf-8", "surrogateescape"), digest_size=_MARK_OCTETS).digest()


@dataclass(frozen=True, slots=True)
class Answered:
    """Somebody who got an automatic answer.

    Attributes:
        at: when, Unix seconds.
        until: from when on the next message is answered again.
        handle: of the answer; "" when its script gave none.
    """

    who: str
    at: float
    until: float
    handle: str = ""


@dataclass(frozen=True, slots=True)
class ScriptFailure:
    """A script that did not run to its end.

    Attributes:
        script: the step's name (`filters/scripts.py`).
        version: hash of its source.
        why: line and reason.
        times: messages it failed for, in this version.
        deaths: how often the filter ended while it ran.
    """

    script: str
    version: bytes
    why: str
    first_at: float
    last_at: float
    times: int
    deaths: int = 0


class Seen:
    """Reads for the filter, which writes nothing; thread-safe for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """`path`: state.db."""
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def has(self, account_id: int, kind: Kind, id_: str, *, since: float) -> bool:
        """True when the account marked the id since then.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        statement = "SELECT 1 FROM sieve_mark WHERE account_id = ? AND kind = ? AND mark = ? AND at > ?"
        return bool(self._ask(statement, account_id, kind, mark(id_), since))

    def spent(self, account_id: int, what: What, *, since: float) -> float:
        """How much of it the account used since then.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        rows = self._ask(_SPENT, account_id, what, int(since // 60))
        return float(str(rows[0][0]))

    def deaths(self, account_id: int, script: str, version: bytes) -> int:
        """How often the filter ended while this version of a script ran.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        statement = "SELECT deaths FROM sieve_failure WHERE account_id = ? AND script = ? AND version = ?"
        rows = self._ask(statement, account_id, script, version)
        return int(str(rows[0][0])) if rows else 0

    def is_correspondent(self, account_id: int, address: str) -> bool:
        """True when the account has written to this address key.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        statement = "SELECT 1 FROM correspondent WHERE account_id = ? AND address = ?"
        return bool(self._ask(statement, account_id, address))

    def heard(self, account_id: int, sender: bytes) -> tuple[int, int]:
        """On how many days wanted mail of a sender came to the server, and to the account.

        Args:
            sender: `sender_history.name` of it.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        statement = "SELECT account_id, days FROM sender_history WHERE account_id IN (0, ?) AND sender = ?"
        days = {int(str(id_)): int(str(days)) for id_, days in self._ask(statement, account_id, sender)}
        return days.get(0, 0), days.get(account_id, 0)

    def _ask(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        try:
            if self._connection is None:
                self._connection = open_database(self._path, read_only=True, timeout_s=1.0)
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise failure(error, "looking up what scripts remember", self._path) from error

    def close(self) -> None:
        """Releases the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_SPENT = "SELECT coalesce(sum(amount), 0) FROM sieve_spent WHERE account_id = ? AND what = ? AND minute > ?"
_SPEND = (
    "INSERT INTO sieve_spent (account_id, what, minute, amount) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (account_id, what, minute) DO UPDATE SET amount = amount + excluded.amount"
)


class Memory(StateTable):
    """Takes note; thread-safe."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="NORMAL")

    # -- answers ----------------------------------------------------------------------------

    def claim_answer(
        self,
        account_id: int,
        id_: str,
        *,
        who: str,
        period_s: float,
        per_hour: int,
        now: float,
        handle: str = "",
    ) -> str:
        """Takes note of an answer that is about to leave; exact under concurrency.

        Args:
            id_: which answer to whom.
            who: whom, for the owner's eyes.
            period_s: nobody gets the same answer twice in this time.
            per_hour: answers of the account to all senders together.

        Returns:
            Why it must not leave; "" when it may.

        Raises:
            TemporaryFailure: the database cannot be written: it must not leave (V15).
        """
        key = (account_id, "vacation", mark(id_))
        with self._lock, transaction(self._open(), "noting an automatic answer") as connection:
            row = connection.execute(
                "SELECT at FROM sieve_mark WHERE account_id = ? AND kind = ? AND mark = ?", key
            ).fetchone()
            if row is not None and row[0] > now - period_s:
                return f"{who} has been answered already"
            spent = connection.execute(
                _SPENT, (account_id, "answers", int((now - _HOUR_S) // 60))
            ).fetchone()[0]
            if spent + 1 > per_hour:
                return f"the account has sent {per_hour} automatic answers within the hour"
            connection.execute(_SPEND, (account_id, "answers", int(now // 60), 1))
            connection.execute(
                "INSERT OR REPLACE INTO sieve_mark (account_id, kind, mark, who, at, until, handle)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, who, now, now + period_s, handle),
            )
        return ""

    def take_back_answer(self, account_id: int, id_: str) -> None:
        """The answer did not leave after all: the next message is answered.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "taking an automatic answer back") as connection:
            connection.execute(
                "DELETE FROM sieve_mark WHERE account_id = ? AND kind = 'vacation' AND mark = ?",
                (account_id, mark(id_)),
            )

    def answered(self, account_id: int, *, now: float, handle: str | None = None) -> list[Answered]:
        """Who got an answer and gets none at the moment, the latest first.

        Args:
            handle: only answers with this handle; None: all.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        rows = self._read(
            "looking up who was answered",
            "SELECT who, at, until, handle FROM sieve_mark WHERE account_id = ?1 AND kind = 'vacation'"
            " AND until > ?2 AND (?3 IS NULL OR handle = ?3) ORDER BY at DESC, who",
            account_id,
            now,
            handle,
        )
        return [Answered(str(who), float(str(at)), float(str(until)), str(h)) for who, at, until, h in rows]

    def reset_answers(self, account_id: int, *, handle: str | None = None, who: str = "") -> int:
        """Forgets who was answered; gives how many it forgot.

        Args:
            handle: only answers with this handle; None: all.
            who: only this address; "": all.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "forgetting who was answered") as connection:
            return connection.execute(
                "DELETE FROM sieve_mark WHERE account_id = ?1 AND kind = 'vacation'"
                " AND (?2 IS NULL OR handle = ?2) AND (?3 = '' OR who = ?3 COLLATE NOCASE)",
                (account_id, handle, who),
            ).rowcount

    # -- ids --------------------------------------------------------------------------------

    def mark(self, account_id: int, id_: str, *, keep_s: float, most: int, now: float) -> None:
        """Remembers an id of the `duplicate` test; of more than `most` the oldest goes.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting an id a script saw") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO sieve_mark (account_id, kind, mark, at, until)"
                " VALUES (?, 'duplicate', ?, ?, ?)",
                (account_id, mark(id_), now, now + keep_s),
            )
            connection.execute(
                "DELETE FROM sieve_mark WHERE account_id = ?1 AND kind = 'duplicate' AND mark IN ("
                " SELECT mark FROM sieve_mark WHERE account_id = ?1 AND kind = 'duplicate'"
                " ORDER BY at DESC LIMIT -1 OFFSET ?2)",
                (account_id, most),
            )

    # -- counts -----------------------------------------------------------------------------

    def take(self, account_id: int, what: What, amount: float, *, most: float, now: float) -> bool:
        """Counts what is about to be used in the last 24 hours; False when that is more than `most`.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), f"counting {what}") as connection:
            spent = connection.execute(_SPENT, (account_id, what, int((now - _DAY_S) // 60))).fetchone()[0]
            if spent + amount > most:
                return False
            connection.execute(_SPEND, (account_id, what, int(now // 60), amount))
        return True

    def spend(self, account_id: int, what: What, amount: float, *, now: float) -> None:
        """Counts what was used already.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), f"counting {what}") as connection:
            connection.execute(_SPEND, (account_id, what, int(now // 60), amount))

    # -- failures ---------------------------------------------------------------------------

    def note_failure(
        self, account_id: int, script: str, version: bytes, why: str, *, now: float, died: bool = False
    ) -> bool:
        """A script failed; True the first time this version does: its owner is told then (V14).

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting a script that fails") as connection:
            row = connection.execute(
                "SELECT version FROM sieve_failure WHERE account_id = ? AND script = ?", (account_id, script)
            ).fetchone()
            is_new = row is None or bytes(row[0]) != version
            if is_new:
                connection.execute(
                    "INSERT OR REPLACE INTO sieve_failure"
                    " (account_id, script, version, why, first_at, last_at, times, deaths)"
                    " VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
                    (account_id, script, version, why, now, now, int(died)),
                )
            else:
                connection.execute(
                    "UPDATE sieve_failure SET why = ?, last_at = ?, times = times + 1, deaths = deaths + ?"
                    " WHERE account_id = ? AND script = ?",
                    (why, now, int(died), account_id, script),
                )
        return is_new

    def failures(self, account_id: int) -> list[ScriptFailure]:
        """Scripts that failed, in the version that did.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        rows = self._read(
            "looking up scripts that failed",
            "SELECT script, version, why, first_at, last_at, times, deaths FROM sieve_failure"
            " WHERE account_id = ? ORDER BY script",
            account_id,
        )
        return [
            ScriptFailure(
                str(script),
                bytes(version) if isinstance(version, bytes) else b"",
                str(why),
                float(str(first)),
                float(str(last)),
                int(str(times)),
                int(str(deaths)),
            )
            for script, version, why, first, last, times, deaths in rows
        ]


def purge(path: Path, *, now: float, keep_failures_s: float) -> int:
    """Removes what no longer counts; gives how many rows.

    Raises:
        TemporaryFailure: the database cannot be written.
    """
    gone = 0
    connection = open_database(path, synchronous="NORMAL")
    try:
        migrations.check(connection, SCHEMA)
        wanted: tuple[tuple[str, tuple[object, ...]], ...] = (
            (
                "DELETE FROM sieve_mark WHERE (account_id, kind, mark) IN"
                " (SELECT account_id, kind, mark FROM sieve_mark WHERE until <= ? LIMIT ?)",
                (now, _PURGE_BATCH),
            ),
            ("DELETE FROM sieve_spent WHERE minute <= ?", (int((now - _DAY_S) // 60),)),
            ("DELETE FROM sieve_failure WHERE last_at <= ?", (now - keep_failures_s,)),
        )
        for statement, values in wanted:
            while True:
                with transaction(connection, "removing what scripts remembered"):
                    removed = connection.execute(statement, values).rowcount
                gone += removed
                if removed < _PURGE_BATCH or "LIMIT" not in statement:
                    break
    except sqlite3.Error as error:
        raise failure(error, "removing what scripts remembered", path) from error
    finally:
        connection.close()
    return gone
