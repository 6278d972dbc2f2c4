"""Cuts octets into lines and refuses those that are too long.

A line ends at CRLF and nowhere else.  One that is too long is refused as soon as that
is known, and dropped up to its end: its tail is never taken for a command.

Standards: RFC 1939 section 3, RFC 2449 section 4.  Numbers: limits, section 6.
Imports: nothing but errors.  No I/O.
"""

from __future__ import annotations

from mailstack.pop3.errors import Bad, HangUp

#: A command with its CRLF.
COMMAND_OCTETS = 255
#: What is dropped of a line without an end before the connection is closed.
DROPPED_OCTETS = 65_536


class LineReader:
    """Octets in, lines out."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._searched = 0
        self._dropped = 0
        self._dropping = False

    @property
    def held(self) -> int:
        """Octets received and not yet handed out."""
        return len(self._held)

    def feed(self, data: bytes) -> None:
        """Octets from the client."""
        self._held += data

    def next(self, most: int = COMMAND_OCTETS) -> bytes | None:
        """The next line without its CRLF; None: feed me.

        Args:
            most: octets of a line with its CRLF.

        Raises:
            Bad: the line is too long; what follows it can be asked for.
            HangUp: it does not end.
        """
        while True:
            end = self._held.find(b"\r\n", self._searched)
            if self._dropping:
                if not self._drop(end):
                    return None
                continue
            if (end if end >= 0 else len(self._held) - 1) > most - 2:
                self._dropping = True
                raise Bad("The line is too long")
            if end < 0:
                self._searched = max(0, len(self._held) - 1)
                return None
            line = bytes(self._held[:end])
            self._cut(end + 2)
            return line

    def _drop(self, end: int) -> bool:
        """Drops octets of a line that was refused; True when its end was among them."""
        count = end + 2 if end >= 0 else max(0, len(self._held) - 1)
        self._cut(count)
        self._dropped += count
        if self._dropped > DROPPED_OCTETS:
            raise HangUp("The line does not end")
        if end < 0:
            return False
        self._dropping = False
        self._dropped = 0
        return True

    def _cut(self, count: int) -> None:
        del self._held[:count]
        self._searched = 0
