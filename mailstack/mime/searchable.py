"""The text of a message that a search looks at, and the form in which texts are compared.

One definition for the full-text index and for looking into a message: both find the same.

Standards: RFC 3501 section 6.4.4 (substrings, charsets), RFC 5051 (comparing without
case).  Imports: mime.  No I/O.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from mailstack.mime import html
from mailstack.mime.encoding import decode_charset, decode_words
from mailstack.mime.header import Headers, Octets
from mailstack.mime.scanner import Part, scan
from mailstack.mime.text import content

#: Decoded octets of one part, and of one message, that are looked at.
MAX_PART_OCTETS = 4 * 1024 * 1024
MAX_OCTETS = 16 * 1024 * 1024
#: Between texts that are no neighbours; `fold` leaves none of it, so no search goes across.
SEPARATOR = "\n"

# NUL, surrogates and U+FFFE/U+FFFF cannot be told apart behind SQLite.
_UNTELLABLE = re.compile("[\0\ud800-\udfff\ufffe\uffff]")
TextPart: TypeAlias = Literal["text", "body", "header", "from", "to", "cc", "bcc", "subject"]

_ADDRESS_FIELDS = ("from", "to", "cc", "bcc", "subject")


class SearchText(NamedTuple):
    """A message's texts, folded; pieces are separated by SEPARATOR.

    Attributes:
        header: every field of the message's own header as `name: value`.
        body: text parts (HTML as text), headers of enclosed messages, names and
            descriptions of attachments.
        sender, to, cc, bcc, subject: values of all fields of that name.
        complete: False: something lies behind a limit and was not looked at.
    """

    header: str
    body: str
    sender: str
    to: str
    cc: str
    bcc: str
    subject: str
    complete: bool

    def holds(self, part: TextPart, needle: str) -> bool:
        """Whether a folded text is in one of the texts; "text" is header or body."""
        match part:
            case "text":
                return needle in self.header or needle in self.body
            case "from":
                return needle in self.sender
            case _:
                return needle in getattr(self, part)


def fold(text: str) -> str:
    """The form in which texts are compared: equal forms are equal to a searcher.

    In this order: compatibility decomposition (NFKD), full case folding, decomposition
    again; a dotless i is an i, and the dot that Turkish puts over i is dropped; each run
    of white space is one space; NUL, unpaired surrogates and U+FFFE, U+FFFF are U+FFFD.
    So "STRASSE" finds "Straße", "istanbul" finds "İSTANBUL", "ｶﾞ" finds "ガ".  Accents
    stay, as characters of their own behind their letters: "u" finds "ü", "ue" does not.

    A text that holds another one holds it in this form too, up to white space at its ends
    and combining characters there.

    Source: RFC 5051 section 2 (case, then decomposition), Unicode 3.13 D146.
    """
    if text.isascii():
        text = text.lower()
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
    else:
        text = unicodedata.normalize("NFKD", text).casefold()
        text = unicodedata.normalize("NFKD", text)
        text = text.replace("i\u0307", "i").replace("\u0131", "i")
        text = _UNTELLABLE.sub("\ufffd", text)
    return _spaced(text)


def _spaced(text: str) -> str:
    words = text.split()
    if not words:
        return " " if text else ""
    out = " ".join(words)
    if text[0].isspace():
        out = " " + out
    return out + " " if text[-1].isspace() else out


def read(data: Octets, message: Part | None = None, *, limit: int = MAX_OCTETS) -> SearchText:
    """The texts of a message; never fails.

    Args:
        message: what `scan(data)` gave; scanned now when None.
        limit: decoded octets of bodies in all; at least MAX_PART_OCTETS for a whole look.
    """
    message = scan(data) if message is None else message
    header = header_text(data[message.start : message.header_end])
    pieces: list[str] = []
    left = limit
    complete = True
    for part, enclosed in _parts(message):
        pieces.extend(_part_header(data, part, enclosed=enclosed))
        if part.opaque or not _is_text(part):
            continue
        most = min(left, MAX_PART_OCTETS)
        octets = content(data, part, most)
        if part.size > most == left and (len(octets) >= most or part.size > 2 * most):
            complete = False
        left -= len(octets)
        text = decode_charset(octets, part.parameter("charset") or "")
        pieces.append(fold(html.to_text(text) if part.subtype.lower() == b"html" else text))
    return header._replace(body=SEPARATOR.join(pieces), complete=complete)


def header_text(block: bytes) -> SearchText:
    """The texts of a header block alone; `body` is empty."""
    values: dict[str, list[str]] = {name: [] for name in _ADDRESS_FIELDS}
    lines = []
    headers = Headers.parse(block)
    for field in headers.fields:
        name = field.name.decode("ascii", "replace")
        value = fold(decode_words(headers.value(field)))
        lines.append(f"{name}: {value}")
        if name in values:
            values[name].append(value)
    sender, to, cc, bcc, subject = (SEPARATOR.join(values[name]) for name in _ADDRESS_FIELDS)
    return SearchText(SEPARATOR.join(lines), "", sender, to, cc, bcc, subject, complete=True)


def _parts(message: Part) -> Iterator[tuple[Part, bool]]:
    """All parts in order of appearance; True: the root of an enclosed message."""
    work = [(message, False)]
    while work:
        part, enclosed = work.pop()
        yield part, enclosed
        work.extend((child, part.is_message) for child in reversed(part.children))


def _is_text(part: Part) -> bool:
    kind = part.type.lower()
    return kind == b"text" or (kind == b"message" and not part.is_message)


def _part_header(data: Octets, part: Part, *, enclosed: bool) -> Iterator[str]:
    """What a person knows a part by; of an enclosed message its header."""
    if enclosed:
        yield header_text(data[part.start : part.header_end]).header
    for text in (part.filename, decode_words(part.fields.get(b"content-description", b""))):
        if text:
            yield fold(text)
