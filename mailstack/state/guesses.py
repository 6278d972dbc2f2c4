"""Clients that try names at RCPT: how many were nobody's, in all sessions and workers (T12).

A row counts one IPv4 address or IPv6 /64 for one window.  Who passes the limit is guessing
until a window after that.  In `state.db`; written in batches, so that an attack costs
no write for each guess.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from mailstack.disk.sqlite import failure, transaction
from mailstack.state.statedb import StateTable


@dataclass(frozen=True, slots=True)
class Count:
    """Recipients of one client."""

    unknown: int = 0
    good: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Who is guessing: so many unknown recipients, and so many times the good ones."""

    unknown: int
    ratio: int
    window_s: float

    def applies(self, count: Count) -> bool:
        """True for a client that guesses."""
        return count.unknown >= self.unknown and count.unknown >= self.ratio * count.good


class Guesses(StateTable):
    """The table."""

    def add(self, counts: Mapping[str, Count], rule: Rule, *, now: float) -> None:
        """Adds what was seen since the last time; durable."""
        with self._lock, transaction(self._open(), "counting unknown recipients") as connection:
            for client, more in counts.items():
                row = connection.execute(
                    "SELECT since, unknown, good FROM guessing WHERE client = ?", (client,)
                ).fetchone()
                since, before = now, Count()
                if row is not None and row[0] > now - rule.window_s:
                    since, before = row[0], Count(row[1], row[2])
                after = Count(before.unknown + more.unknown, before.good + more.good)
                if rule.applies(after) and not rule.applies(before):
                    since = now
                connection.execute(
                    "INSERT OR REPLACE INTO guessing (client, since, unknown, good) VALUES (?, ?, ?, ?)",
                    (client, min(since, now), after.unknown, after.good),
                )
            connection.execute("DELETE FROM guessing WHERE since < ?", (now - rule.window_s,))

    def guessing(self, rule: Rule, *, now: float) -> dict[str, tuple[float, Count]]:
        """Clients that guess: until when (Unix seconds), and what they did."""
        with self._lock:
            try:
                rows = self._open().execute(
                    "SELECT client, since, unknown, good FROM guessing WHERE since > ? AND unknown >= ?",
                    (now - rule.window_s, rule.unknown),
                )
                found = {row[0]: (row[1] + rule.window_s, Count(row[2], row[3])) for row in rows}
            except sqlite3.Error as error:
                raise failure(error, "looking up who guesses recipients") from error
        return {client: entry for client, entry in found.items() if rule.applies(entry[1])}

    def forget(self, client: str = "") -> int:
        """Forgets one client, or all; gives how many."""
        with self._lock, transaction(self._open(), "forgetting who guessed") as connection:
            done = connection.execute("DELETE FROM guessing WHERE ? IN ('', client)", (client,))
            return done.rowcount
