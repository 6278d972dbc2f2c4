"""What was sent on lately, and how often: a circle that strips our fields comes to an end.

A mark stands for an address here, a target and a message (Message-ID, Date, From).  Beside
the tokens of `app/loops.py`, which a server on the way may remove, and the hop limit.

In `state.db`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from mailstack.disk.sqlite import failure, transaction
from mailstack.model.address import Address
from mailstack.state.statedb import StateTable

_MARK_OCTETS = 16


def mark(owner: Address, target: Address, message: bytes) -> bytes:
    """What a message is remembered by.  `message`: whatever tells it from others."""
    parts = (owner.key.encode(), target.key.encode(), message)
    return hashlib.blake2b(b"\0".join(parts), digest_size=_MARK_OCTETS).digest()


class PassedOn(StateTable):
    """The table; thread-safe."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="NORMAL")

    def times(self, marks: Collection[bytes], *, since: float) -> dict[bytes, int]:
        """How often each was sent on since then; those that never were are left out.

        Raises:
            TemporaryFailure: the database cannot be read.
        """
        with self._lock:
            try:
                rows = [
                    self._open()
                    .execute("SELECT mark, times FROM passed_on WHERE mark = ? AND at >= ?", (one, since))
                    .fetchone()
                    for one in marks
                ]
            except sqlite3.Error as error:
                raise failure(error, "looking up what was sent on") from error
        return {bytes(row[0]): row[1] for row in rows if row is not None}

    def note(self, marks: Sequence[bytes], *, since: float, now: float) -> None:
        """These are sent on once more; what was before `since` no longer counts.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "noting what is sent on") as connection:
            connection.executemany(
                "INSERT INTO passed_on (mark, at, times) VALUES (?, ?, 1) ON CONFLICT (mark) DO UPDATE SET"
                " times = CASE WHEN at < ? THEN 1 ELSE times + 1 END, at = excluded.at",
                [(one, now, since) for one in marks],
            )
