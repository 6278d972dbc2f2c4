"""Who shares folders with whom, so that nobody has to look through all mailboxes.

A hint: the access lists in the owners' mailboxes decide.  A row is there before an entry of
such a list, and goes when the last one has gone.  In `state.db`.
"""

from __future__ import annotations

import sqlite3

from mailstack.disk.sqlite import failure, transaction
from mailstack.state.statedb import StateTable


class Shares(StateTable):
    """The table."""

    def owners(self, *persons: str) -> list[str]:
        """Address keys of those who share something with one of these, sorted."""
        marks = ", ".join("?" * len(persons))
        with self._lock:
            try:
                rows = self._open().execute(
                    f"SELECT DISTINCT owner FROM share WHERE person IN ({marks}) ORDER BY owner",  # noqa: S608
                    persons,
                )
                return [str(owner) for (owner,) in rows]
            except sqlite3.Error as error:
                raise failure(error, "looking up who shares folders") from error

    def note(self, owner: str, person: str) -> None:
        """The owner is about to share something with this person; durable."""
        with self._lock, transaction(self._open(), "noting who shares folders") as connection:
            connection.execute("INSERT OR IGNORE INTO share (person, owner) VALUES (?, ?)", (person, owner))

    def forget(self, owner: str, person: str) -> None:
        """The owner shares nothing with this person any more."""
        with self._lock, transaction(self._open(), "noting who shares folders") as connection:
            connection.execute("DELETE FROM share WHERE person = ? AND owner = ?", (person, owner))
