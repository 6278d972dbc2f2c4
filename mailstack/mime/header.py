"""A header block as raw fields with octet offsets; nothing is decoded here.

Lines end in CRLF, or in a bare LF (tolerated); nothing else ends a line: VT, FF, NEL
or U+2028 are octets like others.  A line without a colon, such as mbox's "From ", is
junk and skipped with its continuations; only an empty line ends the block.

Standards: RFC 5322 section 2.2; limits, section 2.
Imports: nothing of ours.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, Protocol, overload

#: Octets of a header block that are looked at.
MAX_BLOCK_OCTETS = 512 * 1024
#: Octets of one field that are parsed.
MAX_FIELD_OCTETS = 64 * 1024
#: Fields of one block that are looked at.
MAX_FIELDS = 1000
#: Blocks up to this size are remembered for a moment.
REMEMBERED_OCTETS = 8192

# "From :" with white space before the colon is a From field for many readers, so for us (T20).
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)\n?", re.MULTILINE)
_TRIM = b" \t\r\n"


class Octets(Protocol):
    """What parsers read from: `bytes`, or an `mmap` of a large message."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, index: int, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> bytes: ...

    def find(self, wanted: bytes, start: int = ..., end: int = ..., /) -> int:
        """As bytes.find."""
        ...


class RawField(NamedTuple):
    """One field.

    Attributes:
        name: lower case, without white space before the colon.
        start: offset of the name.
        value: offset behind the colon.
        end: offset behind the field's last line end.
    """

    name: bytes
    start: int
    value: int
    end: int


def find_end(data: Octets, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """Where the header of `data[start:end]` ends and its body begins.

    Returns:
        Offset behind the last field's line end, and offset of the body; they differ by
        the empty line.  Without an empty line all of it is header and the body is empty.
    """
    end = len(data) if end is None else end
    first = data[start : start + 2]
    if first == b"\r\n":
        return start, min(start + 2, end)
    if first[:1] == b"\n":
        return start, min(start + 1, end)
    crlf = data.find(b"\n\r\n", start, end)
    bare = data.find(b"\n\n", start, end if crlf < 0 else crlf + 1)
    if bare >= 0:
        return bare + 1, bare + 2
    if crlf >= 0:
        return crlf + 1, crlf + 3
    return end, end


def iterate(data: bytes, start: int = 0, end: int | None = None) -> Iterator[RawField]:
    """The fields of the block `data[start:end]` (without its empty line), in order.

    At most MAX_FIELDS fields of the first MAX_BLOCK_OCTETS octets.
    """
    for match in matches(data, start, end):
        yield RawField(match[1].lower(), match.start(), match.start(2), match.end())


def matches(data: bytes, start: int = 0, end: int | None = None) -> Iterator[re.Match[bytes]]:
    """As `iterate`: each match is a field, its first group the name, the second what follows the colon."""
    end = len(data) if end is None else end
    return islice(_FIELD.finditer(data, start, min(end, start + MAX_BLOCK_OCTETS)), MAX_FIELDS)


def unfold(value: bytes) -> bytes:
    """A field's value on one line, without white space around it.

    Source: RFC 5322 section 2.2.3; at most MAX_FIELD_OCTETS octets are kept.
    """
    value = value[:MAX_FIELD_OCTETS]
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return value.strip(_TRIM)


class Headers:
    """The fields of one header block, by name.  Built once, read often, never changed."""

    __slots__ = ("_data", "_firsts", "fields")

    def __init__(self, data: bytes, fields: Sequence[RawField]) -> None:
        self._data = data
        self.fields = tuple(fields)
        self._firsts: dict[bytes, RawField] | None = None

    @classmethod
    def parse(cls, data: bytes, start: int = 0, end: int | None = None) -> Headers:
        """The header of the message (or of the block alone) in `data[start:end]`."""
        if start == 0 and end is None and type(data) is bytes and len(data) <= REMEMBERED_OCTETS:
            return _remembered(data)
        fields_end, _ = find_end(data, start, end)
        return cls(data, tuple(iterate(data, start, fields_end)))

    def first(self, name: str) -> bytes | None:
        """The unfolded value of the first field of that name; None when there is none."""
        if self._firsts is None:
            self._firsts = {field.name: field for field in reversed(self.fields)}
        field = self._firsts.get(name.lower().encode())
        return None if field is None else self.value(field)

    def all(self, name: str) -> list[bytes]:
        """The unfolded values of all fields of that name, in order."""
        wanted = name.lower().encode()
        return [self.value(field) for field in self.fields if field.name == wanted]

    def count(self, name: str) -> int:
        """How many fields have that name."""
        wanted = name.lower().encode()
        return sum(1 for field in self.fields if field.name == wanted)

    def value(self, field: RawField) -> bytes:
        """The unfolded value of one field."""
        return unfold(self._data[field.value : min(field.end, field.value + MAX_FIELD_OCTETS)])

    def raw(self, field: RawField) -> bytes:
        """The field as it stands, with name, folding and line end."""
        return self._data[field.start : field.end]


@lru_cache(maxsize=16)
def _remembered(block: bytes) -> Headers:
    # A submission's header is looked at by half a dozen checks, one after another.
    fields_end, _ = find_end(block)
    return Headers(block, tuple(iterate(block, 0, fields_end)))
