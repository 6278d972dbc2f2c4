"""MTA-STS policies as they were fetched, until they end.  In `state.db`.

Standards: RFC 8461 section 3.3 (a policy outlives a restart).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailstack.disk.sqlite import transaction
from mailstack.state.statedb import StateTable

_READING = "reading MTA-STS policies"


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy of a domain.

    Attributes:
        policy_id: of the record it was fetched for.
        text: as it came.
        fetched_at, expires_at: Unix seconds.
    """

    domain: str
    policy_id: str
    text: str
    fetched_at: float
    expires_at: float


class StsPolicies(StateTable):
    """The table."""

    def __init__(self, path: Path) -> None:
        """`path`: state.db.  A policy that is lost with the power is fetched again."""
        super().__init__(path, synchronous="NORMAL")

    def find(self, domain: str, *, now: float) -> KeptPolicy | None:
        """A domain's policy unless it has ended; notes once a day that it is of use.

        Raises:
            TemporaryFailure: the database is in trouble.
        """
        rows = self._read(
            _READING,
            "SELECT policy_id, policy, fetched_at, expires_at, used_at FROM mta_sts"
            " WHERE domain = ? AND expires_at > ?",
            domain,
            now,
        )
        if not rows:
            return None
        policy_id, text, fetched_at, expires_at, used_at = rows[0]
        if now - float(str(used_at)) > 86_400:
            with self._lock, transaction(self._open(), "noting an MTA-STS policy") as connection:
                connection.execute("UPDATE mta_sts SET used_at = ? WHERE domain = ?", (now, domain))
        return KeptPolicy(domain, str(policy_id), str(text), float(str(fetched_at)), float(str(expires_at)))

    def keep(self, policy: KeptPolicy, *, most: int) -> None:
        """Takes a policy that has just come, in place of the domain's old one.

        Args:
            most: policies in all; those that were not used for longest go.
        """
        with self._lock, transaction(self._open(), "keeping an MTA-STS policy") as connection:
            connection.execute(
                "INSERT INTO mta_sts (domain, policy_id, policy, fetched_at, expires_at, used_at)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (domain) DO UPDATE SET"
                " policy_id = excluded.policy_id, policy = excluded.policy,"
                " fetched_at = excluded.fetched_at, expires_at = excluded.expires_at",
                (
                    policy.domain,
                    policy.policy_id,
                    policy.text,
                    policy.fetched_at,
                    policy.expires_at,
                    policy.fetched_at,
                ),
            )
            connection.execute(
                "DELETE FROM mta_sts WHERE domain IN"
                " (SELECT domain FROM mta_sts ORDER BY used_at DESC LIMIT -1 OFFSET ?)",
                (most,),
            )

    def stale(self, *, fetched_before: float, used_after: float, now: float, most: int) -> list[KeptPolicy]:
        """Policies that were fetched long ago and are of use, those that end first in front."""
        rows = self._read(
            _READING,
            "SELECT domain, policy_id, policy, fetched_at, expires_at FROM mta_sts"
            " WHERE fetched_at < ? AND used_at > ? AND expires_at > ? ORDER BY expires_at LIMIT ?",
            fetched_before,
            used_after,
            now,
            most,
        )
        return [
            KeptPolicy(str(domain), str(policy_id), str(text), float(str(fetched_at)), float(str(expires_at)))
            for domain, policy_id, text, fetched_at, expires_at in rows
        ]

    def forget(self, *, now: float) -> int:
        """Removes those that have ended; gives how many."""
        with self._lock, transaction(self._open(), "removing old MTA-STS policies") as connection:
            return connection.execute("DELETE FROM mta_sts WHERE expires_at <= ?", (now,)).rowcount
