"""Whose programs fetch mail by POP3, and since when their Spam was last told of.  In `state.db`."""

from __future__ import annotations

from mailstack.disk.sqlite import transaction
from mailstack.state.statedb import StateTable


class Digests(StateTable):
    """The table; `LoginRecords.succeeded` adds to it."""

    def due(self, *, before: float) -> list[tuple[int, float]]:
        """Accounts that were told before then, or fetch since then and never were; with that time.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        rows = self._read(
            "looking for lists of spam that are due",
            "SELECT account_id, at FROM digest WHERE at <= ? ORDER BY account_id",
            before,
        )
        return [(int(str(account_id)), float(str(at))) for account_id, at in rows]

    def told(self, account_id: int, at: float) -> None:
        """The next list begins here.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting a list of spam") as connection:
            connection.execute("UPDATE digest SET at = ? WHERE account_id = ?", (at, account_id))

    def forget(self, account_id: int) -> None:
        """Nobody fetches it by POP3 any more.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "forgetting a list of spam") as connection:
            connection.execute("DELETE FROM digest WHERE account_id = ?", (account_id,))
