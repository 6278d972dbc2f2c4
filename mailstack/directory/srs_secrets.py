"""The secrets that sign rewritten senders (SRS): made, replaced, dropped.

The newest signs.  Those before it are accepted until no address they signed is good any
more, then they are deleted.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from mailstack.directory.session import Session
from mailstack.model.errors import PermanentFailure

SECRET_OCTETS = 32
#: Accepted at a time: who changes them more often gains nothing, and every one is tried on each bounce.
MAX_SECRETS = 8


@dataclass(frozen=True, slots=True)
class SrsSecret:
    """One secret, without itself.  `accepted_until`: Unix seconds; None: it signs."""

    id: int
    created_at: float
    accepted_until: float | None


class SrsSecrets:
    """Changes secrets; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rotate(self, *, keep_s: float) -> SrsSecret:
        """Makes a secret that signs from now on.

        Args:
            keep_s: how long those before it are accepted still; 0: bounces on their way are lost.

        Raises:
            PermanentFailure: as many as may be are accepted already.
        """
        with self._session.transaction() as cursor:
            now = self._session.now()
            self._retire(cursor, now, keep_s)
            left = list_secrets(cursor)
            if len(left) >= MAX_SECRETS:
                raise PermanentFailure(f"{len(left)} secrets are accepted still; wait, or drop the old ones")
            master_id, sealed = self._session.sealed(self._session.random_bytes(SECRET_OCTETS), "srs")
            cursor.execute(
                "INSERT INTO srs_secret (master_id, sealed, created_at) VALUES (?, ?, ?)",
                (master_id, sealed, now),
            )
            return list_secrets(cursor)[0]

    def _retire(self, cursor: sqlite3.Cursor, now: float, keep_s: float) -> None:
        cursor.execute(
            "UPDATE srs_secret SET retired_at = min(coalesce(retired_at, :until), :until)"
            " WHERE retired_at IS NULL OR retired_at > :until",
            {"until": now + keep_s},
        )
        cursor.execute("DELETE FROM srs_secret WHERE retired_at <= ?", (now,))

    def has_one(self) -> bool:
        """Whether SRS addresses can be made."""
        with self._session.transaction() as cursor:
            return any(secret.accepted_until is None for secret in list_secrets(cursor))


def list_secrets(cursor: sqlite3.Cursor) -> list[SrsSecret]:
    """All there are, newest first; the first signs."""
    found = cursor.execute("SELECT id, created_at, retired_at FROM srs_secret ORDER BY id DESC").fetchall()
    return [SrsSecret(*row) for row in found]
