"""What mail programs did that teaches, until somebody has learned it.  In `state.db`.

Whoever serves the program takes note, one process works it off.  A commit is not waited
for (synchronous=NORMAL): a power failure may forget the last seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mailstack.disk.sqlite import transaction
from mailstack.state.statedb import StateTable


@dataclass(frozen=True, slots=True)
class Note:
    """One thing done with one message.

    Attributes:
        what: a `filters.teaching.What`, "sent" or "trap".
        message: its EMAILID.
        folder, uid: where it was then.
        source, target: classes, as in `filters.teaching.Deed`.
        number: position in the table; 0 while it is not in it.
    """

    account_id: int
    at: float
    what: str
    message: str
    folder: str
    uid: int
    source: str = ""
    target: str = ""
    number: int = 0


class Feedback(StateTable):
    """The table; thread-safe."""

    def __init__(self, path: Path) -> None:
        """`path`: state.db."""
        super().__init__(path, synchronous="NORMAL")

    def note(self, notes: Iterable[Note], *, most: int) -> None:
        """Takes note of what one account did; of more than `most` that wait the oldest go.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        rows = [(n.account_id, n.at, n.what, n.message, n.folder, n.uid, n.source, n.target) for n in notes]
        if not rows:
            return
        with self._lock, transaction(self._open(), "noting what teaches the filter") as connection:
            connection.executemany(
                "INSERT INTO feedback (account_id, at, what, message, folder, uid, source, target)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows[-most:],
            )
            connection.execute(
                "DELETE FROM feedback WHERE account_id = ?1 AND number <= ("
                " SELECT number FROM feedback WHERE account_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                (rows[0][0], most),
            )

    def accounts(self) -> list[int]:
        """Ids of accounts for which something waits, those that wait longest first.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        rows = self._read(
            "looking for what teaches the filter",
            "SELECT account_id FROM feedback GROUP BY account_id ORDER BY min(number)",
        )
        return [int(str(row[0])) for row in rows]

    def waiting(self, account_id: int, *, most: int) -> list[Note]:
        """What waits for one account, oldest first.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        rows = self._read(
            "looking for what teaches the filter",
            "SELECT account_id, at, what, message, folder, uid, source, target, number FROM feedback"
            " WHERE account_id = ? ORDER BY number LIMIT ?",
            account_id,
            most,
        )
        return [Note(*row) for row in rows]  # type: ignore[arg-type]

    def done(self, account_id: int, number: int) -> None:
        """Everything of the account up to this number was learned.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting what was learned") as connection:
            connection.execute(
                "DELETE FROM feedback WHERE account_id = ? AND number <= ?", (account_id, number)
            )

    def forget(self, *, before: float) -> int:
        """Drops what waits since before this time (Unix seconds); gives how much.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "forgetting what waited too long") as connection:
            return connection.execute("DELETE FROM feedback WHERE at < ?", (before,)).rowcount
