"""How far a long command is: said at most once in five seconds.

Standards: RFC 9585 (INPROGRESS).
Imports: requests, response.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable

from mailstack.imap.response import status_line

#: Between two lines, and before the first.
TOLD_EVERY_S = 5.0


class Progress:
    """When the client was last told how far the running command is."""

    __slots__ = ("_clock", "_tag", "_told_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._tag = b"*"
        self._told_at = 0.0

    def begin(self, tag: bytes) -> None:
        """A command starts."""
        self._tag = tag
        self._told_at = self._clock()

    def line(self, done: int, total: int) -> bytes:
        """The line to send now; b"" while it is too early.

        Args:
            done: units of work done.
            total: units of work in all; 0: not known.

        Source: RFC 9585 section 4; progress is below the goal, which is above 0.
        """
        now = self._clock()
        if now - self._told_at < TOLD_EVERY_S:
            return b""
        self._told_at = now
        goal = f"{total}" if total else "NIL"
        done = min(done, total) if total else done
        code = f'INPROGRESS ("{self._tag.decode("ascii", "replace")}" {done} {goal})'
        return status_line(b"*", "OK", "Still at work", code=code)
