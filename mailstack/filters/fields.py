"""The header block as fields with their octet ranges: what the checks agree on.

Signatures, forged results and the author count all look at the same split of the raw
octets, so that no two of them can see different fields (T20).  Nothing is repaired.

Standards: RFC 5322 section 2.2, 2.2.3 (folding).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

#: Section 2 of the limits: larger header blocks are refused by SMTP; here the rest is not looked at.
MAX_HEADER_OCTETS = 524_288
MAX_FIELDS = 1_000

_END = re.compile(rb"\r\n\r\n|\n\n|\r\n\n")
# A field is its first line and the lines after it that begin with a blank.
_FIELD = re.compile(rb"[^\n]*\n(?:[ \t][^\n]*\n)*")
_FOLD = re.compile(rb"\r?\n")


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        name: lower case, blanks before the colon removed; b"" for a line without colon.
        raw: all its octets with the final line end.
        colon: offset of the colon in `raw`; -1 without.
        start: offset of `raw` in the message.
    """

    name: bytes
    raw: bytes
    colon: int
    start: int

    @property
    def value(self) -> bytes:
        """What follows the colon, folding and final line end included."""
        return self.raw[self.colon + 1 :]

    @property
    def end(self) -> int:
        """Offset behind the field."""
        return self.start + len(self.raw)

    @property
    def text(self) -> bytes:
        """The value unfolded and stripped of blanks."""
        return _FOLD.sub(b"", self.value).strip(b" \t")


class Header:
    """The fields of a message, in order.

    Attributes:
        fields: at most `MAX_FIELDS`.
        body_at: offset of the body; the message's length when there is none.
    """

    def __init__(self, message: bytes) -> None:
        end, self.body_at = _find_body(message)
        block = bytes(message[:end])
        if block and not block.endswith(b"\n"):
            block += b"\r\n"
        self.fields = tuple(_split(block))

    @cached_property
    def _by_name(self) -> dict[bytes, list[Field]]:
        found: dict[bytes, list[Field]] = {}
        for field in self.fields:
            found.setdefault(field.name, []).append(field)
        return found

    def all(self, name: bytes) -> list[Field]:
        """Every field of that (lower case) name, top to bottom."""
        return self._by_name.get(name, [])

    def first(self, name: bytes) -> bytes:
        """The unfolded value of the first such field; b"" when absent."""
        found = self._by_name.get(name)
        return found[0].text if found else b""

    def has(self, name: bytes) -> bool:
        """True when there is such a field, even an empty one."""
        return name in self._by_name


def _find_body(message: bytes) -> tuple[int, int]:
    """End of the header block (behind its last line end) and start of the body."""
    if message[:2] == b"\r\n":
        return 0, 2
    if message[:1] == b"\n":
        return 0, 1
    found = _END.search(message, 0, MAX_HEADER_OCTETS)
    if found is None:
        return min(len(message), MAX_HEADER_OCTETS), len(message)
    # The first line end of the match belongs to the last field.
    first = 1 if found.group()[:1] == b"\n" else 2
    return found.start() + first, found.end()


def _split(block: bytes) -> Iterator[Field]:
    for number, found in enumerate(_FIELD.finditer(block)):
        if number >= MAX_FIELDS:
            return
        raw = found.group()
        colon = raw.find(b":")
        first_line = raw.find(b"\n")
        if colon > first_line or colon <= 0:
            colon = -1
        yield Field(raw[:colon].rstrip(b" \t").lower() if colon > 0 else b"", raw, colon, found.start())
