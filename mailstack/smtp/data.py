"""The octets after DATA, up to the lone dot: framing, dots, line ends, size.

Blocks in, clean blocks out.  Only CRLF "." CRLF ends the message.  A lone dot that
another server might take for the end (between bare CR, bare LF, or NULs) is how one
message becomes two (SMTP smuggling): such a message is read to its true end and then
refused.  Any other bare LF becomes CRLF and any other bare CR a space, so that what
is stored, signed and sent on has one reading only.

How the octets were cut into blocks never changes the result.

Standards: RFC 5321 sections 2.3.8 (line ends), 4.5.2 (dots), 4.5.3.1.6 (lines).
Imports: model, text.  No I/O.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from mailstack.model.reply import Reply
from mailstack.smtp.text import Text

END: Final = b"\r\n.\r\n"
_FIRST_END: Final = b".\r\n"
#: NULs beside a dot that are looked past; some servers drop them.
_NULS: Final = rb"\0{0,32}"
#: The most that can be undecided at the end of a block: NULs, dot, NULs, CR.
_UNDECIDED_OCTETS: Final = 66

_SUSPECT = re.compile(rb"[\r\n]" + _NULS + rb"\." + _NULS + rb"[\r\n]")
_SUSPECT_AT_START = re.compile(_NULS + rb"\." + _NULS + rb"[\r\n]")
_UNDECIDED = re.compile(rb"(?:(?<=[\r\n])" + _NULS + rb"\.?" + _NULS + rb"\r?|\r)\Z")

SMUGGLING: Final = Reply(
    550,
    "6.11",
    "The message holds a lone dot between bare CR or LF line ends; it could be read as two messages",
    "smuggling",
)


class _At(IntEnum):
    """What stands before the next octet."""

    MIDDLE = 0
    CRLF = 1
    CR_CRLF = 2  # a line end, with a bare CR before it
    LF = 3
    CR = 4  # a bare one: no line end, but some servers see one


class DotReader(Text):
    """Reads one message.

    Args:
        max_octets, max_line_octets: see Text.

    Attributes:
        has_ended: the lone dot was seen.
    """

    __slots__ = ("_at", "_carry", "_dot", "_is_suspect", "has_ended")

    def __init__(self, *, max_octets: int, max_line_octets: int) -> None:
        super().__init__(max_octets=max_octets, max_line_octets=max_line_octets)
        self._carry = b""
        self._at = _At.CRLF  # the one behind the DATA command
        self._dot = -1  # the first CRLF "." of the block
        self._is_suspect = False
        self.has_ended = False

    def feed(self, block: bytes) -> bytes | None:
        """Takes the next octets.

        Returns:
            None while the message goes on; at its end what stands behind it, which
            belongs to the next command.
        """
        text = self._carry + block if self._carry else block
        found = self._find_end(text)
        if found is None:
            cut = len(text) - self._undecided(text)
            self._carry = text[cut:]
            self._take_in(text[:cut] if self._carry else text)
            return None
        end, behind = found
        if self._is_dirty_end(text, end):
            self._is_suspect = True
        self._take_in(text[:end])
        self._carry = b""
        self.has_ended = True
        return text[behind:]

    @property
    def is_dropping(self) -> bool:
        """See Text."""
        return self._is_suspect or self._is_too_long or self.size_octets > self._max_octets

    def fault(self) -> Reply | None:
        """See Text."""
        return SMUGGLING if self._is_suspect else super().fault()

    # -- where it ends ------------------------------------------------------------

    def _find_end(self, text: bytes) -> tuple[int, int] | None:
        """Offsets of the end of the message and of what follows the lone dot."""
        self._dot = -1
        if self._at in (_At.CRLF, _At.CR_CRLF) and text.startswith(_FIRST_END):
            return 0, len(_FIRST_END)
        # Most blocks have no dot at the start of a line but the last: one search finds both.
        self._dot = text.find(b"\r\n.")
        if self._dot < 0:
            return None
        found = self._dot if text.startswith(END, self._dot) else text.find(END, self._dot)
        return None if found < 0 else (found + 2, found + len(END))

    def _is_dirty_end(self, text: bytes, end: int) -> bool:
        # CR CRLF "." CRLF: the end for us, but not for a server that drops or keeps the CR.
        if end == 0:
            return self._at == _At.CR_CRLF
        return text[end - 3] == 0x0D if end > 2 else self._at == _At.CR

    def _undecided(self, text: bytes) -> int:
        """How many octets at the end cannot be judged before more is there."""
        if not text or text[-1] not in b"\r.\0":
            return 0
        tail = text[-_UNDECIDED_OCTETS - 1 :]
        if len(text) <= _UNDECIDED_OCTETS and self._at != _At.MIDDLE:
            tail = b"\n" + tail
        found = _UNDECIDED.search(tail)
        return len(tail) - found.start() if found else 0

    # -- what it says --------------------------------------------------------------

    def _take_in(self, text: bytes) -> None:
        if not text:
            return
        at, self._at = self._at, self._after(text)
        if at != _At.MIDDLE and text[0] in b".\0" and _SUSPECT_AT_START.match(text):
            self._is_suspect = True
        ends = text.count(b"\r\n")
        is_clean = text.count(b"\n") == ends and text.count(b"\r") == ends
        if not is_clean or b"\0" in text:
            if _SUSPECT.search(text):
                self._is_suspect = True
            if not is_clean:
                text = self._put_right(text, ends)
        has_dots = not is_clean or 0 <= self._dot < len(text) - 2
        if text[0] == 0x2E and at in (_At.CRLF, _At.CR_CRLF, _At.LF):
            text = text[1:]
        if has_dots:
            text = text.replace(b"\r\n.", b"\r\n")
        self.size_octets += len(text)
        self._measure_lines(text)
        self._keep(text)

    def _after(self, text: bytes) -> _At:
        last = text[-1]
        if last == 0x0D:
            return _At.CR
        if last != 0x0A:
            return _At.MIDDLE
        if text[-2:-1] != b"\r":
            return _At.LF
        before = text[-3:-2]
        is_behind_cr = before == b"\r" or (not before and self._at == _At.CR)
        return _At.CR_CRLF if is_behind_cr else _At.CRLF
