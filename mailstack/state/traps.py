"""Spam traps that were written to, by the client's network.  In `state.db`."""

from __future__ import annotations

import sqlite3

from mailstack.disk.sqlite import failure, transaction
from mailstack.state.statedb import StateTable


class Traps(StateTable):
    """The table."""

    def hit(self, network: str, trap: str, *, now: float, keep_s: float) -> None:
        """A trap got mail from this network; durable.  Drops what is older than `keep_s`."""
        with self._lock, transaction(self._open(), "noting a spam trap") as connection:
            connection.execute(
                "INSERT OR IGNORE INTO trap_hit (network, at, trap) VALUES (?, ?, ?)", (network, now, trap)
            )
            connection.execute("DELETE FROM trap_hit WHERE at < ?", (now - keep_s,))

    def hits(self, *, since: float) -> dict[str, int]:
        """Networks and how often they hit."""
        with self._lock:
            try:
                rows = self._open().execute(
                    "SELECT network, count(*) FROM trap_hit WHERE at > ? GROUP BY network", (since,)
                )
                return {str(network): int(number) for network, number in rows}
            except sqlite3.Error as error:
                raise failure(error, "looking up spam traps") from error

    def listed(self) -> list[tuple[str, float, str]]:
        """Every hit: network, Unix seconds, trap; the newest first."""
        with self._lock:
            try:
                rows = self._open().execute("SELECT network, at, trap FROM trap_hit ORDER BY at DESC")
                return [(str(network), float(at), str(trap)) for network, at, trap in rows]
            except sqlite3.Error as error:
                raise failure(error, "looking up spam traps") from error

    def forget(self, network: str = "") -> int:
        """Forgets the hits of one network, or all; gives how many."""
        with self._lock, transaction(self._open(), "forgetting spam traps") as connection:
            return connection.execute("DELETE FROM trap_hit WHERE ? IN ('', network)", (network,)).rowcount
