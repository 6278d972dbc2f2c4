"""How often one signed message came, by the domain that signed it and the hash of its body.

Whoever gets hold of one message with a good signature can send it again to anybody (DKIM
replay, T24).  Only messages that came many times in one process are written.  In `state.db`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from mailstack.disk.sqlite import transaction
from mailstack.state.statedb import StateTable

#: Signing domain, and hash of the body as `DkimResult.body` has it.
Signed: TypeAlias = tuple[str, str]
HOUR_S = 3_600


class Copies(StateTable):
    """The table.  Hours are counted, and this one and the last add up."""

    def add(self, counts: Mapping[Signed, int], *, now: float) -> None:
        """So many more came; durable.  Drops what is too old to count."""
        hour = int(now // HOUR_S)
        with self._lock, transaction(self._open(), "counting copies") as connection:
            connection.executemany(
                "INSERT INTO signed_copy (domain, body, hour, copies) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET copies = copies + excluded.copies",
                [(domain, body, hour, count) for (domain, body), count in counts.items()],
            )
            connection.execute("DELETE FROM signed_copy WHERE hour < ?", (hour - 1,))

    def many(self, most: int, *, now: float) -> dict[Signed, int]:
        """Those of which more than `most` came lately, and how many."""
        rows = self._read(
            "looking up copies",
            "SELECT domain, body, sum(copies) FROM signed_copy WHERE hour >= ?"
            " GROUP BY domain, body HAVING sum(copies) > ?",
            int(now // HOUR_S) - 1,
            most,
        )
        return {(str(domain), str(body)): int(str(copies)) for domain, body, copies in rows}
