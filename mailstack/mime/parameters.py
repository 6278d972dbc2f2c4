"""Values with parameters: Content-Type, Content-Disposition.

Two views: the raw pairs as BODYSTRUCTURE shows them, and decoded text (continuations,
charsets and percent signs of RFC 2231, and the encoded words some writers put there).

Standards: RFC 2045 section 5.1, RFC 2183, RFC 2231.
Limits, section 3: 128 parameters.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mailstack.mime.encoding import decode_charset, decode_words
from mailstack.mime.header import MAX_FIELD_OCTETS

MAX_PARAMETERS = 128

_PARAMETER = re.compile(
    rb';[ \t\r\n]*([^\s=;"()<>@,\\]+)[ \t]*=[ \t]*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^;\r\n]*))', re.DOTALL
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?\Z")


class Parameterized(NamedTuple):
    """A value and its parameters, undecoded.

    Attributes:
        value: what stands before the first ";", without comments.
        parameters: (name, value) in order, as written but unquoted.
    """

    value: bytes
    parameters: tuple[tuple[bytes, bytes], ...]

    def get(self, name: bytes) -> bytes | None:
        """The first parameter of that lower-case name, undecoded."""
        for key, value in self.parameters:
            if key.lower() == name:
                return value
        return None

    def text(self, name: str) -> str | None:
        """The parameter of that lower-case name as text, by RFC 2231."""
        return decode_parameters(self.parameters).get(name)


def parse(value: bytes) -> Parameterized:
    """Splits an unfolded header value; never fails, junk is left out."""
    value = value[:MAX_FIELD_OCTETS]
    if b"(" in value:
        value = strip_comments(value)
    head, semicolon, _ = value.partition(b";")
    if not semicolon:
        return Parameterized(head.strip(), ())
    pairs = []
    for match in _PARAMETER.finditer(value, len(head)):
        quoted = match[2]
        if quoted is None:
            pairs.append((match[1], match[3].strip().strip(b'"')))
        else:
            pairs.append((match[1], _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted))
        if len(pairs) == MAX_PARAMETERS:
            break
    return Parameterized(head.strip(), tuple(pairs))


def decode_parameters(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Parameters as text by lower-case name; the first of a name wins.

    Source: RFC 2231 sections 3 and 4; a gap ends a continuation.
    """
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for name, value in pairs[:MAX_PARAMETERS]:
        key = name.decode("ascii", "replace").lower()
        match = _SECTION.match(key) if "*" in key else None
        if match is None:
            plain.setdefault(key, decode_words(value))
        else:
            number = int(match[2] or 0)
            sections.setdefault(match[1], {}).setdefault(number, (value, match[3] is not None))
    for key, parts in sections.items():
        text = _joined(parts)
        if text is not None:
            plain[key] = text  # RFC 6266 appendix D, RFC 2231: the extended form is the better one
    return plain


def _joined(parts: dict[int, tuple[bytes, bool]]) -> str | None:
    if 0 not in parts:
        return None
    first, extended = parts[0]
    charset = ""
    if extended:
        pieces = first.split(b"'", 2)
        if len(pieces) == 3:
            charset = pieces[0].decode("ascii", "replace")
            first = pieces[2]
    octets = [unquote_to_bytes(first) if extended else first]
    number = 1
    while number in parts:
        value, extended = parts[number]
        octets.append(unquote_to_bytes(value) if extended else value)
        number += 1
    text = decode_charset(b"".join(octets), charset)
    return text.replace("\0", " ").replace("\r", " ").replace("\n", " ")


def strip_comments(value: bytes) -> bytes:
    """The value without (comments), which may nest; quoted strings are kept.

    Source: RFC 5322 section 3.2.2.  One pass, no recursion.
    """
    out = bytearray()
    depth = 0
    quoted = False
    position = 0
    end = len(value)
    while position < end:
        octet = value[position]
        if octet == 0x5C and (quoted or depth):  # backslash
            if not depth:
                out += value[position : position + 2]
            position += 2
            continue
        if depth:
            depth += (octet == 0x28) - (octet == 0x29)
        elif octet == 0x28 and not quoted:
            depth = 1
        else:
            quoted ^= octet == 0x22
            out.append(octet)
        position += 1
    return bytes(out)
