"""Cuts octets into lines of atoms, numbers and strings; literals with their caps.

A line ends at CRLF and nowhere else, but for `{n+}` at its end: n octets follow, and the
line goes on behind them.  A literal is compared with its cap before an octet of it is
read; one that is too long is read and dropped up to a bound where its sender has logged
in, and ends the connection where he has not.  Whatever leaves open where the next
command begins ends the connection too: nobody's script is ever taken for commands.

Standards: RFC 5804 sections 1.2 and 4.  Numbers: limits, section 6.
Deviates from RFC 5804 section 4: a quoted string may be as long as the line.
Imports: errors.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from mailstack.managesieve.errors import Bad, HangUp

#: All lines of one command together.
LINE_OCTETS = 8_192
#: All literals of a command of somebody who has not logged in; of others beside the script.
LITERAL_OCTETS = 8_192
#: A literal that is too long and already on its way is read and dropped up to this size.
DRAIN_OCTETS = 16_777_216
#: Strings, numbers and atoms of one command.
MAX_TOKENS = 16
_MAX_NUMBER = 4_294_967_295

_TOKEN = re.compile(
    rb' *(?:"(?P<quoted>(?:[^"\\\r\n\0]|\\["\\])*)"'
    rb"|\{(?P<octets>[0-9]{1,20})(?P<plus>\+?)\}\Z"
    rb"|(?P<number>[0-9]{1,20})(?= |\Z)"
    rb"|(?P<atom>[!#-'*-\[\]-z|}~]{1,1024}))(?= |\Z)"
)
_ESCAPED = re.compile(rb'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Atom:
    """A word that is not quoted; upper case."""

    word: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """A string that was too long to be kept."""

    octets: int


Token: TypeAlias = Atom | bytes | int | Dropped


class Framer:
    """Octets in, lines of tokens out; holds at most one.

    Attributes:
        is_trusted: somebody has logged in: literals that are too long are dropped.
        literal_octets: all literals of a command together.
    """

    def __init__(self) -> None:
        self.is_trusted = False
        self.literal_octets = LITERAL_OCTETS
        self._held = bytearray()
        self._searched = 0
        self._reset()

    def _reset(self) -> None:
        self._tokens: list[Token] = []
        self._lines = self._literals = self._dropped = 0
        self._left = 0
        self._literal: bytearray | None = None
        self._in_literal = False

    @property
    def held(self) -> int:
        """Octets received and not yet handed out."""
        return len(self._held)

    def feed(self, data: bytes) -> None:
        """Octets from the client."""
        self._held += data

    def next(self) -> list[Token] | None:
        """The next line, which may have no tokens; None: feed me.

        Raises:
            Bad: it is not written as it should be; what follows it can be asked for.
            HangUp: the stream can no longer be trusted.
        """
        while True:
            if self._in_literal and not self._take_literal():
                return None
            line = self._take_line()
            if line is None:
                return None
            self._read(line)
            if not self._in_literal:
                tokens = self._tokens
                self._reset()
                return tokens

    # -- lines ------------------------------------------------------------------------

    def _take_line(self) -> bytes | None:
        end = self._held.find(b"\r\n", self._searched)
        length = end if end >= 0 else len(self._held) - self._held.endswith(b"\r")
        if self._lines + length > LINE_OCTETS:
            raise HangUp("The line is too long")
        if end < 0:
            self._searched = max(0, len(self._held) - 1)
            return None
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        self._searched = 0
        self._lines += end
        return line

    def _read(self, line: bytes) -> None:
        at, end = 0, len(line.rstrip(b" "))
        while at < end:
            found = _TOKEN.match(line, at)
            if found is None or len(self._tokens) >= MAX_TOKENS or (at == 0 and self._is_glued(line)):
                raise self._not_understood(line)
            at = found.end()
            if found["octets"] is not None:
                self._begin_literal(int(found["octets"]), plus=bool(found["plus"]))
            else:
                self._tokens.append(self._token(found, line))

    def _is_glued(self, line: bytes) -> bool:
        """True when something stands directly behind a literal."""
        return bool(self._tokens) and not line.startswith(b" ")

    def _token(self, found: re.Match[bytes], line: bytes) -> Token:
        if found["quoted"] is not None:
            return _ESCAPED.sub(rb"\1", found["quoted"])
        if found["atom"] is not None:
            return Atom(found["atom"].upper())
        number = int(found["number"])
        if number > _MAX_NUMBER or (found["number"].startswith(b"0") and len(found["number"]) > 1):
            raise self._not_understood(line)
        return number

    def _not_understood(self, line: bytes) -> Bad | HangUp:
        self._reset()
        text = 'Want a command, and then "strings" and numbers'
        # What looks like a literal may be followed by one, and its octets are no commands.
        return HangUp(text) if line.rstrip(b" ").endswith(b"}") else Bad(text)

    # -- literals ---------------------------------------------------------------------

    def _begin_literal(self, octets: int, *, plus: bool) -> None:
        if not plus:
            raise HangUp("A literal is written {N+} here")
        self._left, self._in_literal = octets, True
        if self._literals + octets <= self.literal_octets:
            self._literals += octets
            self._literal = bytearray()
            return
        self._dropped += octets
        if not self.is_trusted or self._dropped > DRAIN_OCTETS:
            raise HangUp("The literal is too long", code="QUOTA/MAXSIZE" if self.is_trusted else "")
        self._literal = None
        self._tokens.append(Dropped(octets))

    def _take_literal(self) -> bool:
        """Takes what is there; True when that was all of it."""
        count = min(self._left, len(self._held))
        if self._literal is not None:
            self._literal += self._held[:count]
        del self._held[:count]
        self._left -= count
        if self._left:
            return False
        self._in_literal = False
        if self._literal is not None:
            self._tokens.append(bytes(self._literal))
            self._literal = None
        return True
