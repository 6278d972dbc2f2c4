"""Senders too long to stand inside an SRS address, by the key that does.

A short SRS address (srs/short.py) carries only a key; this table puts the real sender in
when a bounce comes back.  In `state.db`; rows outlive the address's validity.
"""

from __future__ import annotations

from pathlib import Path

from mailstack.disk.sqlite import transaction
from mailstack.model.address import Address, AddressError
from mailstack.srs import rewrite
from mailstack.state.statedb import StateTable

#: Longer than an address is good, as no bounce is lost to a day too few.
_MORE_S = 5 * 86_400.0


class LongSenders(StateTable):
    """The table."""

    def __init__(self, path: Path, *, valid_days: int = rewrite.VALID_DAYS) -> None:
        """`valid_days`: how long an SRS address is good."""
        super().__init__(path)
        self._keep_s = rewrite.lifetime_s(valid_days) + _MORE_S

    def remember(self, key: str, sender: Address, *, now: float) -> None:
        """Keeps a sender durably; again is fine.  Drops what is too old to be asked for."""
        with self._lock, transaction(self._open(), "remembering a sender") as connection:
            connection.execute(
                "INSERT INTO srs_sender (key, sender, seen_at) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET seen_at = excluded.seen_at",
                (key, str(sender), now),
            )
            connection.execute("DELETE FROM srs_sender WHERE seen_at < ?", (now - self._keep_s,))

    def find(self, key: str) -> Address | None:
        """The sender behind a key; None when it is unknown or was forgotten.  Waits for no writer."""
        found = self._look("looking a sender up", "SELECT sender FROM srs_sender WHERE key = ?", key)
        if not found:
            return None
        try:
            return Address.parse(str(found[0][0]))
        except AddressError:
            return None
