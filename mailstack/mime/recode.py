"""A message with binary parts as one that can be stored, sent and read everywhere.

Parts that hold NUL become base64, and so do parts that are no text when they are labelled
"binary" or hold a CR or LF that ends no line; other labels "binary" become "8bit".  Nothing
else is touched: a signature over a part that needs no change stays good.

Standards: RFC 3516 section 4.4, RFC 2045 section 6.
Imports: header, scanner.  No I/O.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailstack.mime import header
from mailstack.mime.header import Octets
from mailstack.mime.scanner import Part, scan

#: Octets that make a line of 76 characters, and how many lines are made at a time.
_LINE_OCTETS = 57
_CHUNK_OCTETS = _LINE_OCTETS * 1_024
_FIELD = b"content-transfer-encoding"
_IDENTITY = ("7bit", "8bit", "binary")


class NotText(Exception):
    """NUL stands where it cannot be encoded: in a header, or between the parts."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """Octets `start` to `end` become `text`; None: their base64."""

    start: int
    end: int
    text: bytes | None


def without_binary(data: Octets, cuts: Sequence[tuple[int, int]] = ()) -> Iterator[bytes]:
    """The message in pieces, of any size.

    Args:
        data: `bytes`, or a `mmap`.
        cuts: ranges of its octets that are left out, ascending; whole fields of its header.

    Raises:
        NotText: while it is read.
    """
    at = 0
    left_out = [_Edit(start, end, b"") for start, end in cuts]
    for edit in sorted([*_edits(data), *left_out], key=lambda edit: (edit.start, edit.end)):
        if edit.start < at:
            continue  # a label that is left out
        yield from _as_it_is(data, at, edit.start)
        if edit.text is None:
            yield from _base64(data, edit.start, edit.end)
        else:
            yield edit.text
        at = edit.end
    yield from _as_it_is(data, at, len(data))


def _edits(data: Octets) -> list[_Edit]:
    edits: list[_Edit] = []
    work = [scan(data)]
    while work:
        part = work.pop()
        work.extend(part.children)
        is_binary = part.encoding == "binary"
        is_plain = not part.children and part.encoding in _IDENTITY
        if is_plain and (
            _has_nul(data, part) or (not _is_text(part) and (is_binary or _is_bare(data, part)))
        ):
            edits.append(_label(data, part, b"base64"))
            edits.append(_Edit(part.header_end, part.end, None))
        elif is_binary:
            edits.append(_label(data, part, b"8bit"))
    return edits


def _has_nul(data: Octets, part: Part) -> bool:
    return data.find(b"\0", part.header_end, part.end) >= 0


def _is_bare(data: Octets, part: Part) -> bool:
    before = b""
    for at in range(part.header_end, part.end, _CHUNK_OCTETS):
        piece = data[at : min(at + _CHUNK_OCTETS, part.end)]
        feeds, returns = piece.count(b"\n"), piece.count(b"\r")
        pairs = piece.count(b"\r\n")
        # A pair may be cut in two.
        begins_within = before == b"\r" and piece[:1] == b"\n"
        if before == b"\r" and not begins_within:
            return True
        before = piece[-1:]
        if feeds - begins_within != pairs or returns - (before == b"\r") != pairs:
            return True
    return before == b"\r"


def _is_text(part: Part) -> bool:
    return part.type.lower() == b"text"


def _label(data: Octets, part: Part, encoding: bytes) -> _Edit:
    """Writes the field anew, or puts one in front of the empty line."""
    line = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    fields_end, body = header.find_end(data, part.start, part.header_end)
    block = data[part.start : min(fields_end, part.start + header.MAX_BLOCK_OCTETS)]
    for field in header.iterate(block):
        if field.name == _FIELD:
            return _Edit(part.start + field.start, part.start + field.end, line)
    if body == fields_end:
        line += b"\r\n"  # a part of nothing but a header gets the empty line it lacks
    return _Edit(fields_end, fields_end, line)


def _as_it_is(data: Octets, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _CHUNK_OCTETS):
        piece = data[at : min(at + _CHUNK_OCTETS, end)]
        if b"\0" in piece:
            raise NotText
        yield piece


def _base64(data: Octets, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _CHUNK_OCTETS):
        chunk = data[at : min(at + _CHUNK_OCTETS, end)]
        lines = (chunk[n : n + _LINE_OCTETS] for n in range(0, len(chunk), _LINE_OCTETS))
        yield b"".join(binascii.b2a_base64(line, newline=False) + b"\r\n" for line in lines)
