"""Header fields as a submission may bring them, made fit to travel: ASCII, in short lines.

Long lines are folded where white space stands; raw 8-bit text becomes encoded words, or
percent signs in a parameter.  What cannot be written otherwise without changing what it
says (a Message-ID, an address of UTF-8) stays as it is.

Standards: RFC 5322 section 2.1.1 and 2.2.3, RFC 2047 section 5, RFC 2231.
Imports: header, addresses, generate, parameters.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from mailstack.mime import addresses, generate, parameters
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import MAX_FIELD_OCTETS, Headers, RawField
from mailstack.model.address import Address, AddressError

#: RFC 5322 section 2.1.1: a line, without its line end; and where long ones are folded.
MAX_LINE_OCTETS: Final = 998
_WANTED_OCTETS: Final = 78

_ADDRESSES: Final = frozenset(
    b"from sender reply-to to cc bcc resent-from resent-sender resent-to resent-cc"
    b" disposition-notification-to".split()
)
_PARAMETERS: Final = frozenset((b"content-type", b"content-disposition"))
# Grammar of their own that has no place for encoded words.
_STRUCTURED: Final = frozenset(
    b"date message-id in-reply-to references resent-date resent-message-id mime-version received return-path"
    b" content-transfer-encoding content-id content-language content-location list-id list-post"
    b" list-unsubscribe list-help list-subscribe list-owner list-archive auto-submitted precedence"
    b" dkim-signature".split()
)
#: What `generate` takes as a name.
_MAX_NAME: Final = 76
_BLANKS = re.compile(rb"[ \t]+")


def is_plain(block: bytes) -> bool:
    """Whether a header block needs nothing: ASCII without NUL, no line over 998 octets."""
    if not block.isascii() or b"\0" in block:
        return False
    return len(block) <= MAX_LINE_OCTETS or max(map(len, block.split(b"\r\n"))) <= MAX_LINE_OCTETS


def put_right(block: bytes, *, fields: Mapping[bytes, bytes], keep_utf8: bool = False) -> bytes:
    """A header block with short lines of ASCII.

    Args:
        block: fields, without the empty line.
        fields: by lower-case name, whole fields with CRLF, which replace those of their name;
            what there was none of stands at the end.
        keep_utf8: octets above 127 may stay (RFC 6532); lines are folded all the same.
    """
    if not fields and is_plain(block):
        return block
    headers = Headers.parse(block)
    pieces, at, written = [], 0, set()
    for field in headers.fields:
        pieces.append(block[at : field.start])
        at = field.end
        replacement = fields.get(field.name)
        if replacement is None:
            pieces.append(_field(headers, field, keep_utf8=keep_utf8))
        elif field.name not in written:
            written.add(field.name)
            pieces.append(replacement)
    pieces.append(block[at:])
    out = b"".join(pieces)
    missing = [text for name, text in fields.items() if name not in written]
    if missing and out and not out.endswith(b"\n"):
        out += b"\r\n"
    return out + b"".join(missing)


def with_charset(value: bytes, charset: str) -> bytes:
    """A Content-Type field of that value with another charset, or with one."""
    found = parameters.parse(value)
    kept = [pair for pair in found.parameters if pair[0].lower() != b"charset"]
    kind = found.value if b"/" in found.value else b"text/plain"  # as whoever cannot read it takes it
    words = [kind.decode("ascii", "replace"), *_parameter_words(kept), f"charset={charset}"]
    return generate.structured("Content-Type", "; ".join(words))


def _field(headers: Headers, field: RawField, *, keep_utf8: bool) -> bytes:
    raw = headers.raw(field)
    if is_plain(raw):
        return raw
    if not keep_utf8 and (not raw.isascii() or b"\0" in raw):
        raw = _as_ascii(field.name, raw, headers.value(field)) or raw
    return _folded(field.name, raw)


def _as_ascii(name: bytes, raw: bytes, value: bytes) -> bytes | None:
    """A field with octets above 127 in ASCII; None when that would change its meaning."""
    if name in _STRUCTURED or len(name) > _MAX_NAME or len(raw) > MAX_FIELD_OCTETS:
        return None
    shown = raw[: len(name)].decode("ascii")
    if name in _ADDRESSES:
        return _addresses(shown, value)
    if name in _PARAMETERS:
        return _parameters(shown, value)
    return generate.text(shown, decode_words(value))


def _addresses(shown: str, value: bytes) -> bytes | None:
    listed = []
    found = addresses.parse(value)
    if len(found) >= addresses.MAX_ADDRESSES:
        return None  # those behind are not read
    for entry in found:
        if not entry.is_mailbox or not entry.spec.isascii():
            return None
        try:
            listed.append((entry.display, str(Address.parse(entry.spec))))
        except AddressError:
            return None
    return generate.address_list(shown, listed) if listed else None


def _parameters(shown: str, value: bytes) -> bytes | None:
    found = parameters.parse(value)
    if len(found.parameters) >= parameters.MAX_PARAMETERS:
        return None  # those behind are not read
    if not found.value.isascii() or any(not key.isascii() or b"*" in key for key, _ in found.parameters):
        return None
    text = "; ".join([found.value.decode("ascii"), *_parameter_words(found.parameters)])
    return generate.structured(shown, text) if len(text) <= generate.MAX_VALUE_OCTETS else None


def _parameter_words(pairs: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Such as `name="a b.pdf"`; those in pieces or with percent signs stay as they are (RFC 2231)."""
    words = []
    for key, octets in pairs:
        name = key.decode("ascii", "replace")
        plain = octets.decode("ascii", "replace")
        words.append(f"{name}={plain}" if "*" in name else generate.parameter(name, decode_words(octets)))
    return words


def _folded(name: bytes, raw: bytes) -> bytes:
    """Folds lines that are too long, where white space stands."""
    lines: list[bytes] = []
    for line in raw.removesuffix(b"\n").removesuffix(b"\r").split(b"\r\n"):
        lines += _fold(line) if len(line) > MAX_LINE_OCTETS else [line]
    out = b"\r\n".join(lines) + b"\r\n"
    if max(map(len, lines)) <= MAX_LINE_OCTETS or not out.isascii():
        return out
    if name in _ADDRESSES or name in _PARAMETERS:
        return out
    # A word no line can hold: where words are free, encoded ones can.
    found = Headers.parse(out)
    return _as_ascii(name, out, found.value(found.fields[0])) or out


def _fold(line: bytes) -> list[bytes]:
    """Pieces of one line; each but the first begins with the white space it was cut before."""
    lines: list[bytes] = []
    name_end = 0 if line[:1] in (b" ", b"\t") else line.find(b":") + 1
    start = at = 0
    for blank in _BLANKS.finditer(line, len(line) - len(line[name_end:].lstrip(b" \t"))):
        # The last word that fits ends the line; white space alone is no line.
        if blank.start() - start > _WANTED_OCTETS and at > start:
            lines.append(line[start:at])
            start = at
        if blank.end() < len(line):
            at = blank.start()
    if len(line) - start > _WANTED_OCTETS and at > start:
        lines.append(line[start:at])
        start = at
    lines.append(line[start:])
    return lines
