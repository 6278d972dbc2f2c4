"""What domains have shown of TLS towards them, and who fell below it.  In `state.db`.

What a standing is, and what a fall, `delivery/ratchet` knows; this keeps both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailstack.disk.sqlite import transaction
from mailstack.state.statedb import StateTable

_READING = "reading levels of TLS"

#: Falls that wait to be told; of more the rest is only in the log.
MAX_UNTOLD = 1_000

#: Level -> since when (Unix seconds), when last, in how many sessions.
Rows = dict[int, tuple[float, float, int]]


@dataclass(frozen=True, slots=True)
class Fall:
    """A domain showed less than it had held.

    Attributes:
        at: Unix seconds.
        held, level: what it had held, and what it showed.
        host: the host it was seen at, `name[ip]`.
    """

    domain: str
    at: float
    held: int
    level: int
    host: str


class TlsLevels(StateTable):
    """The tables."""

    def __init__(self, path: Path) -> None:
        """`path`: state.db.  The last second may be lost with the power."""
        super().__init__(path, synchronous="NORMAL")

    def of(self, domain: str) -> Rows:
        """What a domain has shown."""
        return _rows(
            self._read(
                _READING, "SELECT level, since, last_at, sessions FROM tls_level WHERE domain = ?", domain
            )
        )

    def keep(self, changed: Sequence[tuple[str, Rows]], falls: Sequence[Fall] = ()) -> None:
        """Takes domains' standings in place of those they had, and notes falls.

        Raises:
            TemporaryFailure: the database is in trouble.
        """
        with self._lock, transaction(self._open(), "noting levels of TLS") as connection:
            for domain, rows in changed:
                connection.execute("DELETE FROM tls_level WHERE domain = ?", (domain,))
                connection.executemany(
                    "INSERT INTO tls_level (domain, level, since, last_at, sessions) VALUES (?, ?, ?, ?, ?)",
                    [(domain, level, *row) for level, row in rows.items()],
                )
            room = MAX_UNTOLD - int(
                connection.execute("SELECT count(*) FROM tls_fall WHERE told = 0").fetchone()[0]
            )
            connection.executemany(
                "INSERT OR REPLACE INTO tls_fall (domain, at, held, level, host) VALUES (?, ?, ?, ?, ?)",
                [(one.domain, one.at, one.held, one.level, one.host) for one in falls[: max(room, 0)]],
            )

    def untold(self) -> list[Fall]:
        """Falls nobody was told of yet, oldest first."""
        rows = self._read(
            _READING, "SELECT domain, at, held, level, host FROM tls_fall WHERE told = 0 ORDER BY at, domain"
        )
        return [
            Fall(str(domain), float(str(at)), int(str(held)), int(str(level)), str(host))
            for domain, at, held, level, host in rows
        ]

    def last_told(self) -> float:
        """When the newest fall that was told of happened; 0 for never."""
        rows = self._read(_READING, "SELECT max(at) FROM tls_fall WHERE told = 1")
        return float(str(rows[0][0])) if rows[0][0] is not None else 0.0

    def tell(self, falls: Sequence[Fall]) -> None:
        """These were told."""
        with self._lock, transaction(self._open(), "noting what was told of TLS") as connection:
            connection.executemany(
                "UPDATE tls_fall SET told = 1 WHERE domain = ? AND at = ?",
                [(one.domain, one.at) for one in falls],
            )

    def forget(self, *, before: float) -> int:
        """Removes domains without a session, and falls, since then; gives how many rows."""
        with self._lock, transaction(self._open(), "removing old levels of TLS") as connection:
            return (
                connection.execute("DELETE FROM tls_level WHERE last_at < ?", (before,)).rowcount
                + connection.execute("DELETE FROM tls_fall WHERE at < ?", (before,)).rowcount
            )


def _rows(found: Sequence[tuple[object, ...]]) -> Rows:
    return {
        int(str(level)): (float(str(since)), float(str(last_at)), int(str(sessions)))
        for level, since, last_at, sessions in found
    }
