"""What is remembered about clients of port 25 and has to go in time: one sweep over its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailstack.disk.sqlite import open_database, transaction


@dataclass(frozen=True, slots=True)
class Keep:
    """How long rows are of use, in seconds."""

    guesses_s: float
    traps_s: float
    wanted_s: float
    greylist_window_s: float
    greylist_s: float


def purge(path: Path, keep: Keep, *, now: float) -> int:
    """Removes rows nobody asks for any more; gives how many.

    Raises:
        TemporaryFailure: the database is in trouble.
    """
    connection = open_database(path)
    try:
        with transaction(connection, "removing what is old about clients"):
            gone = [
                connection.execute("DELETE FROM guessing WHERE since < ?", (now - keep.guesses_s,)),
                connection.execute("DELETE FROM trap_hit WHERE at < ?", (now - keep.traps_s,)),
                connection.execute("DELETE FROM wanted WHERE at < ?", (now - keep.wanted_s,)),
                connection.execute(
                    "DELETE FROM greylist WHERE seen_at < CASE passed WHEN 0 THEN ? ELSE ? END",
                    (now - keep.greylist_window_s, now - keep.greylist_s),
                ),
            ]
            return sum(cursor.rowcount for cursor in gone)
    finally:
        connection.close()
