"""Counts how often something happened in this hour, in this process."""

from __future__ import annotations

import threading

#: Things counted at a time; beyond them the hour begins anew.
MAX_KEYS = 10_000


class Hourly:
    """So many an hour for each key.  Thread-safe."""

    def __init__(self, most: int | None) -> None:
        """`most`: None: any number."""
        self._most = most
        self._hour = 0
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def may(self, key: str, now: float) -> bool:
        """Counts one more; False when there were enough."""
        if self._most is None:
            return True
        hour = int(now // 3600)
        with self._lock:
            if hour != self._hour or len(self._counts) >= MAX_KEYS:
                self._hour, self._counts = hour, {}
            count = self._counts[key] = self._counts.get(key, 0) + 1
        return count <= self._most
