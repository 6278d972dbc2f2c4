"""Who has tried to write to whom before: greylisting.  In `state.db`.

A triplet is (client network, sender, recipient), kept as a hash.  The first time it has to
wait; whoever comes again within the window passes, and is known from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.disk.sqlite import transaction
from mailstack.state.statedb import StateTable


@dataclass(frozen=True, slots=True)
class Waits:
    """Times in seconds.

    Attributes:
        delay_s: before this a second try is too early.
        window_s: after this a second try is a first one again.
        keep_s: who passed is known so long after the last message.
    """

    delay_s: float
    window_s: float
    keep_s: float


def triplet(network: str, sender: str, recipient: str) -> bytes:
    """The key of a row."""
    return hashlib.blake2b("\0".join((network, sender, recipient)).encode(), digest_size=16).digest()


class Greylist(StateTable):
    """The table."""

    def wait_s(self, triplets: Sequence[bytes], waits: Waits, *, now: float) -> float:
        """Seconds the sender still has to wait; 0: all its recipients know it."""
        longest = 0.0
        with self._lock, transaction(self._open(), "greylisting") as connection:
            for key in triplets:
                row = connection.execute(
                    "SELECT first_at, seen_at, passed FROM greylist WHERE triplet = ?", (key,)
                ).fetchone()
                if row is not None and row[1] < now - (waits.keep_s if row[2] else waits.window_s):
                    row = None  # too old to count; the hourly tidying takes the others
                first_at, seen_at, passed = row if row is not None else (now, now, 0)
                first_at = min(first_at, now)  # of a clock that has been put back since
                left = 0.0 if passed else max(0.0, first_at + waits.delay_s - now)
                longest = max(longest, left)
                # A sender that is only early keeps its first time; the window counts from there.
                connection.execute(
                    "REPLACE INTO greylist (triplet, first_at, seen_at, passed) VALUES (?, ?, ?, ?)",
                    (key, first_at, seen_at if left else now, int(not left)),
                )
        return longest

    def forget(self) -> int:
        """Forgets everybody; gives how many."""
        with self._lock, transaction(self._open(), "emptying the greylist") as connection:
            return connection.execute("DELETE FROM greylist").rowcount
