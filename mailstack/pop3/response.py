"""Responses as octets: status lines, and messages with their dots.

Standards: RFC 1939 section 3, RFC 2449 section 8.
Imports: nothing.  No I/O.
"""

from __future__ import annotations

END = b".\r\n"


def ok(text: str) -> bytes:
    """`+OK text`."""
    return f"+OK {text}\r\n".encode("ascii", "replace") if text else b"+OK\r\n"


def err(text: str, code: str = "") -> bytes:
    """`-ERR [code] text`."""
    return f"-ERR {f'[{code}] ' if code else ''}{text}\r\n".encode("ascii", "replace")


class DotStuffer:
    """A message in pieces on its way out: a dot more where a line begins with one.

    Source: RFC 1939 section 3.
    """

    def __init__(self) -> None:
        self._tail = b"\r\n"
        self._empty = True

    def add(self, data: bytes) -> bytes:
        """The next octets, as they go out."""
        if not data:
            return b""
        self._empty = False
        joined = self._tail + data
        out = joined.replace(b"\r\n.", b"\r\n..")[len(self._tail) :]
        self._tail = joined[-2:]
        return out

    def finish(self) -> bytes:
        """What ends the response; a last line without its end gets one."""
        return END if self._empty or self._tail == b"\r\n" else b"\r\n" + END


class TopCutter:
    """Lets the header pass, the empty line behind it, and the first lines of the body.

    Wants line ends that are all CRLF.  Source: RFC 1939 section 7 (TOP).
    """

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._in_header = True
        self._tail = b"\n"
        self.is_done = False

    def add(self, data: bytes) -> bytes:
        """What of the next octets passes; sets `is_done` when no more will."""
        begin = 0
        if self._in_header:
            joined = self._tail + data
            end = joined.find(b"\n\r\n")
            if end < 0:
                self._tail = joined[-2:]
                return data
            self._in_header = False
            begin = end + 3 - len(self._tail)
        return data[: self._body_end(data, begin)]

    def _body_end(self, data: bytes, begin: int) -> int:
        lines = data.count(b"\n", begin)
        if lines < self._left:
            self._left -= lines
            return len(data)
        at = begin
        for _ in range(self._left):
            at = data.index(b"\n", at) + 1
        self.is_done = True
        return at
