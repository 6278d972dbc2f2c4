"""What was not sent on though its owner forwards: for the list that goes to the recovery address.

The mail itself lies in the owner's mailbox; here is only what the list says about it.

In `state.db`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailstack.disk.sqlite import failure, transaction
from mailstack.state.statedb import StateTable

#: Of one account; more are counted by the list, but not named.
MAX_ROWS = 500


@dataclass(frozen=True, slots=True)
class Withheld:
    """One message that was not sent on.

    Attributes:
        at: Unix seconds.
        target: where it would have gone; "" for all.
        sender, subject: as the message says, already made readable; from outside.
        folder: where it lies instead.
        why: a sentence.
    """

    account_id: int
    at: float
    target: str
    sender: str
    subject: str
    folder: str
    why: str


class WithheldMail(StateTable):
    """The table; thread-safe."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="NORMAL")

    def note(self, rows: Sequence[Withheld]) -> None:
        """Remembers messages for the list.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting what is not sent on") as connection:
            for row in rows:
                connection.execute(
                    "INSERT INTO withheld (account_id, at, target, sender, subject, folder, why)"
                    " SELECT ?, ?, ?, ?, ?, ?, ?"
                    " WHERE (SELECT count(*) FROM withheld WHERE account_id = ?) < ?",
                    (
                        row.account_id,
                        row.at,
                        row.target,
                        row.sender,
                        row.subject,
                        row.folder,
                        row.why,
                        row.account_id,
                        MAX_ROWS,
                    ),
                )

    def due(self, *, before: float) -> list[int]:
        """Accounts whose first message was not sent on before that time.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        rows = self._ask("SELECT account_id FROM withheld GROUP BY account_id HAVING min(at) < ?", before)
        return [int(str(row[0])) for row in rows]

    def of(self, account_id: int) -> tuple[list[Withheld], int]:
        """An account's messages, oldest first, and the number to be given to `told`.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        rows = self._ask(
            "SELECT account_id, at, target, sender, subject, folder, why, id FROM withheld"
            " WHERE account_id = ? ORDER BY id",
            account_id,
        )
        return [Withheld(*row[:-1]) for row in rows], int(str(rows[-1][-1])) if rows else 0  # type: ignore[arg-type]

    def told(self, account_id: int, last: int) -> None:
        """The list is on its way: these are forgotten.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "forgetting what was told") as connection:
            connection.execute("DELETE FROM withheld WHERE account_id = ? AND id <= ?", (account_id, last))

    def _ask(self, statement: str, *values: float) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._open().execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise failure(error, "looking up what was not sent on") from error
