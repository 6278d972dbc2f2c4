"""What SPF said of a client's HELO: many messages come from few clients, and it only explains.

Standards: RFC 7208 section 2.3.
"""

from __future__ import annotations

from mailstack.model.verdict import SpfResult

#: Clients remembered; the oldest is forgotten.
MAX_CLIENTS = 4_096
#: Seconds a result is believed: as long as DNS answers are at least.
KEEP_S = 30.0


class HeloMemory:
    """One worker's."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, SpfResult]] = {}

    def get(self, ip: str, helo: str, *, now: float) -> SpfResult | None:
        """What was said lately; None: ask."""
        at, result = self._known.get((ip, helo), (0.0, None))
        return result if result is not None and 0 <= now - at < KEEP_S else None

    def put(self, ip: str, helo: str, result: SpfResult, *, now: float) -> None:
        """Remembers a result that is definite."""
        if result.result == "temperror":
            return
        self._known.pop((ip, helo), None)
        self._known[ip, helo] = now, result
        if len(self._known) > MAX_CLIENTS:
            del self._known[next(iter(self._known))]
