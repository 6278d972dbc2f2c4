"""The octets that BDAT brings: line ends, size; the end is told, never looked for.

Text (BODY=7BIT, BODY=8BITMIME) is put right as in DATA: a bare LF becomes CRLF, a bare CR
a space, and the last line gets its end.  Nothing can be smuggled here, since no dot ends
anything; and what is stored has one reading only, however it is sent on.

A binary message (BODY=BINARYMIME) keeps each octet of its body, as RFC 3030 section 3
demands.  Its header is text and is put right, so that all parsers see the same fields.

How the message was cut into chunks and blocks never changes the result.

Standards: RFC 3030 sections 2 and 3, RFC 5321 section 2.3.8.
Imports: text.  No I/O.
"""

from __future__ import annotations

import re

from mailstack.smtp.text import Text

#: The end of a line and an empty line behind it: the header is over.
_HEADER_END = re.compile(rb"\n\r?\n")


class ChunkReader(Text):
    """Reads one message.

    Args:
        max_octets, max_line_octets: see Text; lines of a binary body have no limit.
        is_binary: BODY=BINARYMIME.
    """

    __slots__ = ("_before", "_carry", "_ends_in_crlf", "_in_binary_header")

    def __init__(self, *, max_octets: int, max_line_octets: int, is_binary: bool) -> None:
        super().__init__(max_octets=max_octets, max_line_octets=max_line_octets)
        self.is_binary = is_binary
        self._in_binary_header = is_binary
        self._carry = b""
        self._before = b"\n"  # what stands before the next octet, as far as an empty line needs it
        self._ends_in_crlf = True

    def feed(self, block: bytes) -> None:
        """Takes the next octets."""
        if self.is_binary and not self._in_binary_header:
            self._add(block)
            return
        text = self._carry + block if self._carry else block
        body = b""
        if self._in_binary_header:
            text, body = self._split(text)
        # A CR at the end is judged with the octet behind it.
        self._carry = b"\r" if text.endswith(b"\r") else b""
        self._text(text[:-1] if self._carry else text)
        if body:
            self._add(body)

    def end(self) -> None:
        """The last chunk is complete."""
        if self._carry:
            self._carry = b""
            self._text(b"\r")
        if not self.is_binary and not self._ends_in_crlf:
            self._text(b"\r\n")

    def _split(self, text: bytes) -> tuple[bytes, bytes]:
        """What belongs to the header with its empty line, and the first octets of the body."""
        before = self._before
        found = _HEADER_END.search(before + text)
        if found is None:
            # A CR at the end comes again, before the octet that decides about it.
            self._before = (before + text).removesuffix(b"\r")[-2:]
            return text, b""
        self._in_binary_header = False
        cut = found.end() - len(before)
        return text[:cut], text[cut:]

    def _text(self, text: bytes) -> None:
        if not text:
            return
        ends = text.count(b"\r\n")
        if text.count(b"\n") != ends or text.count(b"\r") != ends:
            text = self._put_right(text, ends)
        self._ends_in_crlf = text.endswith(b"\r\n")
        self.size_octets += len(text)
        self._measure_lines(text)
        self._keep(text)

    def _add(self, block: bytes) -> None:
        self.size_octets += len(block)
        self._keep(block)
