"""How often something may happen, by key, counted over all processes that share the counts.

A sliding window of two slots: as long as the burst takes to come back at the rate, so that
`burst` at once and `per_minute` in the long run are let through.  Slots are those of the
machine's monotonic clock, which is the same for all processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mailstack.net.counts import Counts

#: Keys one process counts in a slot; of a flood from more addresses than that the rest is let through
#: here, and the number of connections in all limits it.
MAX_KEYS: Final = 20_000
#: The longest window, in seconds: a rate of nothing a minute.
_LONGEST_S: Final = 86_400.0


class Rates:
    """Events by key."""

    def __init__(self, counts: Counts, *, per_minute: int, burst: int, now: Callable[[], float]) -> None:
        """`now`: a clock that all processes share and that never goes back, in seconds."""
        self._counts = counts
        self._burst = burst
        self._slot_s = min(burst * 60 / per_minute, _LONGEST_S) if per_minute and burst else _LONGEST_S
        self._now = now
        self._slot = -1
        #: What this process counted in this slot and the one before.
        self._own: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def allows(self, key: str) -> bool:
        """True, and counted, when there is room for one more; else nothing is counted."""
        now = self._now()
        slot = int(now // self._slot_s)
        if slot != self._slot:
            self._turn(slot)
        if len(self._own) >= MAX_KEYS and f"{slot} {key}" not in self._own:
            return True
        share = 1 - (now - slot * self._slot_s) / self._slot_s
        # First counted, then compared: two processes at once never let through one too many.
        this = self._add(slot, key, 1)
        if this + self._counts.add(f"{slot - 1} {key}", 0) * share > self._burst:
            self._add(slot, key, -1)
            return False
        return True

    def _add(self, slot: int, key: str, change: int) -> int:
        name = f"{slot} {key}"
        self._own[name] = self._own.get(name, 0) + change
        return self._counts.add(name, change)

    def _turn(self, slot: int) -> None:
        """A new slot: what was counted before the last one goes."""
        old = [self._before] if slot == self._slot + 1 else [self._before, self._own]
        self._before = self._own if slot == self._slot + 1 else {}
        self._own, self._slot = {}, slot
        for counted in old:
            for name, count in counted.items():
                if count:
                    self._counts.add(name, -count)
