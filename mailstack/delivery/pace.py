"""How many connections a destination gets, and when it is left alone for a while.

Starts small, grows by one with every success, halves when the far side asks for less,
pauses when it asks for silence, and is dead when nobody answers (limits, section 9; Q14).

Source: Postfix's destination concurrency feedback, simplified.
Imports: model.  No I/O; times are seconds of any clock that only grows.
"""

from __future__ import annotations

from collections import OrderedDict

from mailstack.delivery.options import QueueOptions

FIRST_PAUSE_S = 5.0
MAX_PAUSE_S = 300.0
#: Destinations remembered; the one unused for longest is forgotten first.
MAX_KNOWN = 10_000


class Pace:
    """One destination's share.

    Attributes:
        limit: connections allowed at the moment, at least 1.
        active: connections in use.
        paused_until: no connection begins before.
    """

    __slots__ = ("_failures", "_options", "_pause_s", "active", "limit", "paused_until")

    def __init__(self, options: QueueOptions) -> None:
        self._options = options
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self.limit = options.start_concurrency
        self.active = 0
        self.paused_until = 0.0

    def room(self, now: float) -> int:
        """Deliveries that may begin now."""
        return 0 if now < self.paused_until else max(0, self.limit - self.active)

    def start(self) -> None:
        """A delivery begins."""
        self.active += 1

    def succeed(self) -> None:
        """It ended, and the host was there and content."""
        self.active -= 1
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self.limit = min(self.limit + 1, self._options.max_concurrency)

    def slow_down(self, now: float, *, pause: bool) -> None:
        """It ended, and the host wants less, or a pause."""
        self.active -= 1
        self._failures = 0
        self.limit = max(1, self.limit // 2)
        if pause and now >= self.paused_until:
            self.paused_until = now + self._pause_s
            self._pause_s = min(self._pause_s * 2, MAX_PAUSE_S)

    def fail(self) -> bool:
        """It ended, and nobody was there.

        Returns:
            True when the destination counts as dead: as many failures in a row as it had
            connections, so that one lost packet does not put all its mail off.
        """
        self.active -= 1
        self._failures += 1
        is_dead = self._failures >= self.limit
        if is_dead:
            self.limit = 1
        return is_dead

    def end(self) -> None:
        """It ended without news about the host."""
        self.active -= 1


class Paces:
    """The destinations of a process."""

    def __init__(self, options: QueueOptions) -> None:
        self._options = options
        self._known: OrderedDict[str, Pace] = OrderedDict()

    def of(self, key: str) -> Pace:
        """The destination's pace; a new one for a stranger."""
        pace = self._known.get(key)
        if pace is None:
            pace = self._known[key] = Pace(self._options)
            if len(self._known) > MAX_KNOWN:
                self._forget()
        self._known.move_to_end(key)
        return pace

    def next_end_of_pause(self, now: float) -> float | None:
        """When the first pause ends; None when nobody pauses."""
        times = [pace.paused_until for pace in self._known.values() if pace.paused_until > now]
        return min(times, default=None)

    def _forget(self) -> None:
        for key, pace in self._known.items():
            if not pace.active:
                del self._known[key]
                return
