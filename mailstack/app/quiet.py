"""A flood of the same refusal is a few lines in the log and their number, not a line each."""

from __future__ import annotations

import time
from collections.abc import Callable

from mailstack.model.network import network_of

#: Lines of one network and kind in a window; the next line says how many were left out.
LINES = 100
WINDOW_S = 60.0
#: Networks that are counted; of a flood from more, those that came first are written.
MAX_KEYS = 10_000


class Quiet:
    """Says which lines are written.  One event loop only."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def left_out(self, ip: str, kind: str) -> int | None:
        """None: this line is not written; else how many of its like were not, before it."""
        now, key = self._now(), (network_of(ip, 24, 64), kind)
        began, count = self._seen.pop(key, (now, 0))
        left_out = 0
        if now - began >= WINDOW_S:
            left_out, began, count = max(0, count - LINES), now, 0
        if len(self._seen) >= MAX_KEYS:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = began, count + 1
        return left_out if count < LINES else None
