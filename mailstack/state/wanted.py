"""Networks and sender domains that delivered wanted mail, and when last.  In `state.db`.

"net 192.0.2.0/24" and "dom example.org": mail that was authenticated and no spam.  A name
is written at most once a day, so the table costs little.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from mailstack.disk.sqlite import failure, transaction
from mailstack.state.statedb import StateTable


class Wanted(StateTable):
    """The table."""

    def note(self, names: Iterable[str], *, now: float, keep_s: float) -> None:
        """Wanted mail came from these; durable.  Drops what is older than `keep_s`."""
        with self._lock, transaction(self._open(), "noting wanted mail") as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO wanted (name, at) VALUES (?, ?)", [(name, now) for name in names]
            )
            connection.execute("DELETE FROM wanted WHERE at < ?", (now - keep_s,))

    def is_any(self, names: Iterable[str], *, since: float) -> bool:
        """True when one of them delivered wanted mail after `since`."""
        wanted = list(names)
        marks = ", ".join("?" * len(wanted))
        with self._lock:
            try:
                row = (
                    self._open()
                    .execute(
                        f"SELECT 1 FROM wanted WHERE name IN ({marks}) AND at > ? LIMIT 1",  # noqa: S608
                        (*wanted, since),
                    )
                    .fetchone()
                )
            except sqlite3.Error as error:
                raise failure(error, "looking up wanted mail") from error
        return row is not None
