"""Finds the octets of a section in a message, by offset.

Small messages are read whole, unless their header is all that is wanted; of large ones
only what is asked for, once their parts are known.  A span may be streamed by the
caller: it stays within the message.

Standards: RFC 3501 section 6.4.5, RFC 3516.
Imports: mime, model.  No I/O of its own: it reads through the store's MessageFile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mailstack.imap.binary import Body, Decoding, Measured, measure, new_decoder
from mailstack.imap.fetch_items import Section
from mailstack.mime import header, heads, scanner
from mailstack.mime.header import Headers
from mailstack.mime.scanner import Part
from mailstack.model.mailbox import MessageFile

#: Messages up to this size are read in one go; larger sections are streamed.
WHOLE_OCTETS = 262_144
_HEAD_OCTETS = 16_384


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the message."""

    start: int
    count: int


#: What `find` gives: octets; what is too large to hold; a size; None: there is no such part.
Found: TypeAlias = bytes | Span | Decoding | int | None


class Source:
    """One open message; its beginning is held in memory, of small ones all of it."""

    def __init__(
        self,
        file: MessageFile,
        parts: Part | None = None,
        *,
        measured: dict[tuple[int, ...], Measured] | None = None,
        header_only: bool = False,
    ) -> None:
        """Reads the beginning.

        Args:
            parts: what a scan of this message gave before; None: not scanned yet.
            measured: its large parts that were decoded before; what is learned is added.
            header_only: nothing but the header will be asked for.
        """
        self.measured = {} if measured is None else measured
        self.file = file
        self.size = file.size_octets
        self.scanned = parts
        whole = self.size <= WHOLE_OCTETS and not header_only
        self._held = file.read(0, self.size if whole else _HEAD_OCTETS) if whole or parts is None else b""
        self._head_end = parts.header_end if parts is not None else -1

    def read(self, start: int, count: int) -> bytes:
        """Octets of the message."""
        if start + count <= len(self._held):
            return self._held[start : start + count]
        return self.file.read(start, count)

    @property
    def head_end(self) -> int:
        """Length of the header block with its empty line."""
        if self._head_end < 0:
            while True:
                fields_end, body = header.find_end(self._held)
                if body > fields_end or len(self._held) >= self.size:
                    break
                longer = self.file.read(0, 4 * len(self._held))
                if len(longer) <= len(self._held):
                    break  # the file has become shorter
                self._held = longer
            self._head_end = body
        return self._head_end

    @property
    def parts(self) -> Part:
        """The message's structure; reads all of it the first time."""
        if self.scanned is None:
            whole = self._held if len(self._held) >= self.size else self.file.read()
            self.scanned = scanner.scan(whole)
        return self.scanned


def find(source: Source, section: Section) -> Found:
    """The octets of a section, or for BINARY.SIZE their number.

    Raises:
        MailboxError: the file cannot be read; UNKNOWN-CTE.
    """
    if section.kind in ("BINARY", "BINARY.SIZE"):
        return _binary(source, section)
    found = locate(source, section)
    if isinstance(found, Span) and found.count <= WHOLE_OCTETS:
        return source.read(found.start, found.count)
    return found


def locate(source: Source, section: Section) -> bytes | Span | None:
    """Where a section lies; octets where they had to be picked from a header.

    Raises:
        MailboxError: the file cannot be read.
    """
    span = _whole(source, section) if not section.path else _of_part(source, section)
    if span is None:
        return None
    start, end = span
    if section.kind in ("FIELDS", "FIELDS.NOT"):
        block = source.read(start, min(end - start, header.MAX_BLOCK_OCTETS + 2))
        return pick_fields(Headers.parse(block), section)
    if section.partial is not None:
        first, count = section.partial
        start = min(start + first, end)
        end = min(start + count, end)
    return Span(start, end - start)


def _binary(source: Source, section: Section) -> Found:
    body = _body(source, section.path)
    is_size = section.kind == "BINARY.SIZE"
    if body is None:
        return 0 if is_size else None
    if body.end - body.start <= WHOLE_OCTETS:
        decoding = new_decoder(body)
        data = decoding.feed(source.read(body.start, body.end - body.start)) + decoding.finish()
        return len(data) if is_size else _cut(data, section.partial)
    measured = source.measured.get(section.path)
    if measured is None:
        measured = source.measured[section.path] = measure(source.file, body)
    if is_size:
        return measured.octets
    first, count = section.partial or (0, measured.octets)
    found = Decoding(source.file, body, measured, first, count)
    return found.read() if found.count <= WHOLE_OCTETS else found


def _body(source: Source, path: tuple[int, ...]) -> Body | None:
    """RFC 2045 section 6.4: what encloses other parts has no encoding of its own."""
    if not path:
        return Body(0, source.size, "binary")
    part = scanner.find_part(source.parts, path)
    if part is None:
        return None
    plain = part.is_multipart or part.is_message
    return Body(part.header_end, part.end, "binary" if plain else part.encoding)


def is_header(section: Section) -> bool:
    """True when the message's own header is all it takes."""
    return not section.path and section.kind in ("HEADER", "FIELDS", "FIELDS.NOT")


def is_kept(section: Section) -> bool:
    """True when the header fields that are kept ready-made are all it takes."""
    return not section.path and section.kind == "FIELDS" and section.fields <= heads.KEPT


def _whole(source: Source, section: Section) -> tuple[int, int]:
    if section.kind == "ALL":
        return 0, source.size
    if section.kind == "TEXT":
        return source.head_end, source.size
    return 0, source.head_end


def _of_part(source: Source, section: Section) -> tuple[int, int] | None:
    part = scanner.find_part(source.parts, section.path)
    if part is None:
        return None
    if section.kind == "ALL":
        return part.header_end, part.end
    if section.kind == "MIME":
        return part.start, part.header_end
    if not part.is_message or not part.children:
        return None
    message = part.children[0]
    if section.kind == "TEXT":
        return message.header_end, message.end
    return message.start, message.header_end


def pick_fields(headers: Headers, section: Section) -> bytes:
    """What a FIELDS or FIELDS.NOT section has of a header."""
    found = heads.select(headers, section.fields, without=section.kind == "FIELDS.NOT")
    return _cut(found, section.partial)


def _cut(data: bytes, partial: tuple[int, int] | None) -> bytes:
    if partial is None:
        return data
    first, count = partial
    return data[first : first + count]
