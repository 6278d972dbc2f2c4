"""A clock a test sets."""

from __future__ import annotations

from dataclasses import dataclass

#: 2026-01-01 00:00:00 UTC: after every date in the corpus.
START = 1_767_225_600.0


@dataclass
class Clock:
    """Call it for the time; Unix seconds.  It moves only when told to."""

    time: float = START

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> float:
        """Moves on, or back; gives the new time."""
        self.time += seconds
        return self.time
