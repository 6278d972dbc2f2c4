"""On how many days wanted mail of an author came here, and to each account.  In `state.db`.

Only authors who are authenticated; of their address a hash is kept.  A pair is written at
most once a day.  The account 0 stands for the whole server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from mailstack.disk.sqlite import transaction
from mailstack.state.statedb import StateTable

#: The whole server.
SERVER = 0
_DAY_S = 86_400
_NAME_OCTETS = 12


def name(sender: str) -> bytes:
    """What an author (key of the address) is remembered by."""
    return hashlib.blake2b(sender.encode("utf-8", "replace"), digest_size=_NAME_OCTETS).digest()


class SenderHistory(StateTable):
    """The table."""

    def note(self, pairs: Iterable[tuple[int, str]], *, now: float) -> None:
        """Wanted mail of these authors came to these accounts, or to the server.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        rows = [(account_id, name(sender), now, now, _DAY_S) for account_id, sender in pairs]
        with self._lock, transaction(self._open(), "noting who sends wanted mail") as connection:
            connection.executemany(
                "INSERT INTO sender_history (account_id, sender, first_at, last_at, days)"
                " VALUES (?1, ?2, ?3, ?4, 1) ON CONFLICT (account_id, sender) DO UPDATE SET"
                " days = days + 1, last_at = excluded.last_at WHERE last_at <= excluded.last_at - ?5",
                rows,
            )

    def purge(self, *, before: float) -> int:
        """Removes authors of whom nothing has come since; gives how many rows.

        Raises:
            TemporaryFailure: the database cannot be written.
        """
        with self._lock, transaction(self._open(), "forgetting who sent wanted mail") as connection:
            return connection.execute("DELETE FROM sender_history WHERE last_at < ?", (before,)).rowcount
