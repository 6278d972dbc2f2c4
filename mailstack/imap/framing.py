"""Cuts octets into commands: lines, literals, and their caps.

A command is one or more lines; a line that ends in `{n}` is followed by n octets.
Every literal is compared with its cap before an octet of it is read.  The messages
of APPEND and REPLACE, and the texts they are put together from, are handed out piece by
piece and never become part of the command text; all other literals stay where they
stand, behind their `{n}` and CRLF.

A line ends at CRLF and nowhere else.  A line without end closes the connection:
its tail must never be taken for a command.

Standards: RFC 3501 sections 2.2.1, 4.3 and 7.5, RFC 7888 (LITERAL+, LITERAL-),
RFC 3502 (MULTIAPPEND), RFC 4469 (CATENATE), RFC 8508 (REPLACE).  Numbers: limits, section 6.
Imports: nothing but errors.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from mailstack.imap.errors import HangUp

#: RFC 3501 section 9, tag: ASTRING-CHAR except "+"; the cap is ours.
TAG = rb"[!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]{1,128}"
_HEAD = re.compile(rb"(" + TAG + rb") ")
# Up to the mailbox, which may be a literal as well.
_APPEND = re.compile(TAG + rb" (?:APPEND|(?:UID )?REPLACE [0-9*]{1,10}) ", re.IGNORECASE)
_URL = re.compile(rb"[( ]URL \Z", re.IGNORECASE)
_MARKER = re.compile(rb"~?\{([0-9]{1,20})(\+?)\}\Z")
#: A message that is too long and already on its way (LITERAL+) is read and dropped up to this size.
DRAIN_OCTETS = 134_217_728
#: All messages of one MULTIAPPEND; a single one may be larger where the configuration says so.
BODIES_OCTETS = 134_217_728


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Caps of one command; octets unless the name says otherwise.

    Attributes:
        line: all lines of the command together.
        literal, literals: one literal, and all of them together.
        count: number of literals.
        body, bodies: one message of an APPEND, and all of them together; None where APPEND
            is not allowed.
    """

    line: int
    literal: int
    literals: int
    count: int
    body: int | None
    bodies: int = 0


def before_login() -> FrameLimits:
    """Caps for strangers."""
    return FrameLimits(line=8_192, literal=1_024, literals=2_048, count=100, body=None)


def after_login(append_octets: int) -> FrameLimits:
    """Caps for users; `append_octets` is the longest message."""
    return FrameLimits(
        line=65_536,
        literal=102_400,
        literals=1_048_576,
        count=1_000,
        body=append_octets,
        bodies=max(append_octets, BODIES_OCTETS),
    )


@dataclass(slots=True)
class Command:
    """A whole command.  `wire`: without the final CRLF and without message bodies."""

    wire: bytes
    bodies: int = 0


@dataclass(frozen=True, slots=True)
class GoAhead:
    """The client waits for "+" before it sends a literal."""


@dataclass(frozen=True, slots=True)
class BodyStart:
    """A message, or a piece of one, begins.

    Attributes:
        go_ahead: the client waits for "+".
        literal8: it was announced as `~{n}` (RFC 3516) and may hold NUL.
    """

    octets: int
    go_ahead: bool
    literal8: bool = False


@dataclass(frozen=True, slots=True)
class BodyData:
    """More of the message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The command was dropped because of a literal; `too_big`: it was the message of an APPEND."""

    tag: bytes
    text: str
    too_big: bool = False


Frame: TypeAlias = Command | GoAhead | BodyStart | BodyData | Refused


class Framer:
    """Octets in, frames out; holds at most one command."""

    __slots__ = (
        "_bodies",
        "_body_octets",
        "_count",
        "_dropping",
        "_held",
        "_in_body",
        "_left",
        "_lines",
        "_literals",
        "_searched",
        "_wire",
        "limits",
    )

    def __init__(self, limits: FrameLimits) -> None:
        self.limits = limits
        self._held = bytearray()
        self._searched = 0
        self._reset()

    def _reset(self) -> None:
        self._wire = bytearray()
        self._lines = 0
        self._literals = 0
        self._count = 0
        self._bodies = 0
        self._body_octets = 0
        self._left = 0
        self._in_body = False
        self._dropping = False

    @property
    def held(self) -> int:
        """Octets received and not yet handed out."""
        return len(self._held)

    @property
    def in_command(self) -> bool:
        """True between the first line and the end of a command."""
        return bool(self._wire) or self._dropping

    @property
    def in_body(self) -> bool:
        """True while octets of a message are awaited."""
        return self._in_body and self._left > 0

    def feed(self, data: bytes) -> None:
        """Octets from the client."""
        self._held += data

    def line(self) -> bytes | None:
        """The next line, taken as it is (SASL, DONE); None: not there yet.

        Raises:
            HangUp: longer than the cap.
        """
        end = self._find_line(0)
        return None if end < 0 else self._take_line(end)

    def next(self) -> Frame | None:
        """The next frame; None: feed me.

        Raises:
            HangUp: the stream can no longer be trusted.
        """
        while True:
            if self._left:
                frame = self._take_literal()
                if frame is not None:
                    return frame
                if self._left:
                    return None
            end = self._find_line(self._lines)
            if end < 0:
                return None
            frame = self._line_ended(self._take_line(end))
            if frame is not None:
                return frame

    # -- lines --------------------------------------------------------------------

    def _find_line(self, before: int) -> int:
        end = self._held.find(b"\r\n", self._searched)
        length = end if end >= 0 else len(self._held)
        if before + length > self.limits.line:
            raise HangUp("Command line too long", code="TOOBIG")
        self._searched = max(0, len(self._held) - 1) if end < 0 else 0
        return end

    def _take_line(self, end: int) -> bytes:
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        self._searched = 0
        return line

    def _line_ended(self, line: bytes) -> Frame | None:
        self._lines += len(line)
        self._wire += line
        marker = _MARKER.search(line) if line.endswith(b"}") else None
        if marker is None:
            return self._finish()
        return self._literal_begins(int(marker[1]), plus=bool(marker[2]), text=marker[0])

    def _finish(self) -> Frame:
        wire, bodies, dropped = bytes(self._wire), self._bodies, self._dropping
        self._reset()
        if dropped:
            return Refused(_tag(wire), "The message is too big", too_big=True)
        return Command(wire, bodies)

    # -- literals -----------------------------------------------------------------

    def _literal_begins(self, octets: int, *, plus: bool, text: bytes) -> Frame | None:
        body = self._is_body(len(self._wire) - len(text))
        why = self._why_not(octets, body=body)
        if why or self._dropping:
            return self._refuse(octets, why, plus=plus, body=body)
        self._wire += b"\r\n"
        self._left = octets
        self._in_body = body
        if body:
            self._bodies += 1
            self._body_octets += octets
            return BodyStart(octets, go_ahead=not plus, literal8=text.startswith(b"~"))
        self._count += 1
        self._literals += octets
        return None if plus else GoAhead()

    def _is_body(self, at: int) -> bool:
        """True when the literal announced there is a message or a text of one."""
        append = _APPEND.match(self._wire) if self.limits.body is not None else None
        if append is None or at <= append.end():
            return False
        return _URL.search(self._wire[at - 5 : at]) is None

    def _why_not(self, octets: int, *, body: bool) -> str:
        limits = self.limits
        if body:
            assert limits.body is not None
            if self._bodies >= limits.count:
                return "Too many literals"
            too_big = octets > limits.body or self._body_octets + octets > limits.bodies
            return "The message is too big" if too_big else ""
        if octets > limits.literal or self._literals + octets > limits.literals:
            return "The literal is too long"
        return "Too many literals" if self._count >= limits.count else ""

    def _refuse(self, octets: int, why: str, *, plus: bool, body: bool) -> Frame | None:
        if not plus:
            # RFC 3501 section 7.5: without our "+" the client does not send it.
            tag, too_big = _tag(self._wire), body or self._dropping
            self._reset()
            return Refused(tag, why or "The message is too big", too_big=too_big)
        self._body_octets += octets
        if not body or self._body_octets > DRAIN_OCTETS:
            raise HangUp(why or "The message is too big", code="TOOBIG")
        self._dropping = True
        self._in_body = True
        self._left = octets
        return None

    def _take_literal(self) -> Frame | None:
        if self._in_body:
            data = bytes(self._held[: self._left])
            del self._held[: len(data)]
            self._left -= len(data)
            return BodyData(data) if data and not self._dropping else None
        if len(self._held) >= self._left:
            self._wire += self._held[: self._left]
            del self._held[: self._left]
            self._left = 0
        return None


def _tag(wire: bytes | bytearray) -> bytes:
    head = _HEAD.match(wire)
    return head[1] if head else b"*"
