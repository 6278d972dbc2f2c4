"""The MIME parts of a message as tests and loops see them.

Standards: RFC 2045, RFC 2046, RFC 5703 sections 3 and 4.
Imports: mime.  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mailstack.mime import text
from mailstack.mime.encoding import decode_charset
from mailstack.mime.html import to_text
from mailstack.mime.scanner import Part, scan

if TYPE_CHECKING:
    from mailstack.sieve.message import Message

#: Octets of one part's decoded body that are looked at.
MAX_CONTENT_OCTETS = 1_048_576
_MARKUP = frozenset({"text/html", "application/xhtml+xml"})
_ENCODINGS = frozenset({"7bit", "8bit", "binary", "base64", "quoted-printable"})


class MimePart:
    """One part of a message.

    Attributes:
        found: its place and structure.
        children: those of a multipart; of an enclosed message that message.
        is_enclosed: it is the message inside a message/rfc822.
    """

    __slots__ = (
        "_content", "_data", "_decoded", "_header", "_readable", "_text", "children", "found", "is_enclosed",
    )  # fmt: skip

    def __init__(self, data: bytes, found: Part, *, is_enclosed: bool = False) -> None:
        self._data = data
        self.found = found
        self.is_enclosed = is_enclosed
        self._header: Message | None = None
        self._content: bytes | None = None
        self._decoded: str | None = None
        self._text: str | None = None
        self._readable: tuple[MimePart, ...] | None = None
        self.children = [MimePart(data, child, is_enclosed=found.is_message) for child in found.children]

    @property
    def header(self) -> Message:
        """Its header, to be asked as a message's."""
        if self._header is None:
            from mailstack.sieve.message import Message

            self._header = Message.from_bytes(self._data[self.found.start : self.found.header_end])
        return self._header

    @property
    def is_root(self) -> bool:
        """It is the message itself."""
        return self.found.start == 0

    def is_of(self, data: bytes) -> bool:
        """True when it was found in these very octets."""
        return self._data is data

    def alone(self) -> Message:
        """The part as a message of its own."""
        from mailstack.sieve.message import Message

        return Message.from_bytes(self._data[self.found.start : self.found.end])

    def walk(self) -> Iterator[MimePart]:
        """Itself and all parts inside it, depth first (RFC 5703 section 3)."""
        work = [self]
        while work:
            part = work.pop()
            yield part
            work.extend(reversed(part.children))

    @property
    def is_multipart(self) -> bool:
        """A container of parts."""
        return self.found.is_multipart

    @property
    def is_decodable(self) -> bool:
        """Its transfer encoding is a known one (RFC 2045 section 6.4), its type a proper one."""
        kind = self.found.fields.get(b"content-type", b"").partition(b";")[0]
        return self.found.encoding in _ENCODINGS and kind.count(b"/") < 2

    @property
    def is_readable(self) -> bool:
        """Text a person reads."""
        kind = self.found.content_type
        is_text = kind.startswith("text/") or kind in _MARKUP
        return is_text and self.is_decodable and not self.found.opaque

    @property
    def readable(self) -> tuple[MimePart, ...]:
        """The readable parts, itself among them."""
        if self._readable is None:
            self._readable = tuple(part for part in self.walk() if part.is_readable)
        return self._readable

    @property
    def around(self) -> tuple[bytes, bytes]:
        """What stands before the first and behind the last part of a multipart."""
        delimiter = b"--" + (self.found.parameter("boundary") or "").encode("utf-8", "replace")
        start, end = self.found.header_end, self.found.end
        first = self._data.find(delimiter, start, end)
        last = self._data.rfind(delimiter + b"--", start, end)
        before = self._data[start : end if first < 0 else first]
        return before, self._data[last + len(delimiter) + 2 : end] if last >= 0 else b""

    @property
    def content(self) -> bytes:
        """Its body, transfer encoding undone; at most MAX_CONTENT_OCTETS."""
        if self._content is None:
            self._content = text.content(self._data, self.found, MAX_CONTENT_OCTETS)
        return self._content

    @property
    def text(self) -> str:
        """Its body in Unicode; of HTML what a reader sees."""
        if self._text is None:
            self._text = to_text(self.decoded) if self.found.content_type in _MARKUP else self.decoded
        return self._text

    @property
    def decoded(self) -> str:
        """Its body in Unicode; HTML with its markup."""
        if self._decoded is None:
            self._decoded = decode_charset(self.content, self.found.parameter("charset") or "")
        return self._decoded


def tree(data: bytes) -> MimePart:
    """The parts of a message; the message itself is the root."""
    return MimePart(data, scan(data))
