"""How long a wrong password has to wait, per account and network.

A bounded table in memory, fed by the shell with its clock.  Accounts are never
locked: another network has its own row (limits, section 7).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mailstack.model.network import network_of
from mailstack.model.secret import Proof

#: Rows kept; the longest unused goes first.
CAPACITY: Final = 10_000
#: A row without failures for this long is forgotten, in seconds.
FORGET_S: Final = 3600.0
#: Wrong passwords remembered per row, so that a stale phone counts once an hour.
_PASSWORDS: Final = 16


@dataclass(slots=True)
class _Row:
    failures: int = 0
    last_at: float = 0.0
    seen: dict[int, float] = field(default_factory=dict)


class FailureDelays:
    """Failures of (account, IPv4 address or IPv6 /64), and the delay they earn."""

    def __init__(self, curve_s: Sequence[float], *, capacity: int = CAPACITY) -> None:
        """Takes the curve.

        Args:
            curve_s: seconds for the 1st, 2nd, ... failure; the last one repeats.
        """
        self._curve = tuple(curve_s)
        self._capacity = capacity
        self._rows: OrderedDict[tuple[str, str], _Row] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def failed(self, login: str, ip: str, *, password: str | Proof, now: float) -> float:
        """Counts a failure; says how many seconds its answer waits.

        The same wrong password from the same network counts once an hour (a stale
        phone), but waits like the last one that counted.  A proof never comes twice, so
        each failed one counts.
        """
        row = self._row(login, ip, now)
        mark = hash(password)  # keyed per process, so that the table is worth nothing elsewhere
        if now - row.seen.get(mark, -FORGET_S) >= FORGET_S:
            row.failures += 1
            row.seen[mark] = now
            if len(row.seen) > _PASSWORDS:
                row.seen.pop(next(iter(row.seen)))
        row.last_at = now
        return self._curve[min(row.failures, len(self._curve)) - 1]

    def succeeded(self, login: str, ip: str) -> None:
        """A right password clears the row."""
        self._rows.pop(_key(login, ip), None)

    def _row(self, login: str, ip: str, now: float) -> _Row:
        key = _key(login, ip)
        row = self._rows.get(key)
        if row is None or now - row.last_at > FORGET_S:
            row = self._rows[key] = _Row()
        self._rows.move_to_end(key)
        if len(self._rows) > self._capacity:
            self._rows.popitem(last=False)
        return row


def _key(login: str, ip: str) -> tuple[str, str]:
    return login.lower()[:320], network_of(ip, 32, 64)
