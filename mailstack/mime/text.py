"""The readable text of a message: for the classifier and Sieve's body test.

Bounded: so many octets of decoded text, whatever the message holds; lenient: a broken
encoding gives replacement characters.

Standards: RFC 2045.  Limits, section 3: 512 KiB of text.  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from mailstack.mime.encoding import decode_charset, decode_transfer
from mailstack.mime.header import Octets
from mailstack.mime.scanner import Part, scan

MAX_TEXT_OCTETS = 512 * 1024


class TextPart(NamedTuple):
    """Decoded text of one part; line ends as in the message."""

    kind: Literal["plain", "html"]
    text: str
    part: Part


def parts(message: Part) -> Iterator[Part]:
    """All parts in order of appearance, containers before their children."""
    work = [message]
    while work:
        part = work.pop()
        yield part
        work.extend(reversed(part.children))


def texts(
    data: Octets, message: Part | None = None, *, limit: int = MAX_TEXT_OCTETS, attachments: bool = False
) -> Iterator[TextPart]:
    """The text/plain and text/html parts, decoded, in order.

    Args:
        message: what `scan(data)` gave; scanned now when None.
        limit: octets of decoded text in all; the last part may be cut.
        attachments: also parts that say `Content-Disposition: attachment`.
    """
    left = limit
    for part in parts(message if message is not None else scan(data)):
        kind = part.content_type
        if kind not in ("text/plain", "text/html") or part.opaque:
            continue
        if not attachments and is_attachment(part):
            continue
        octets = content(data, part, left)
        left -= len(octets)
        yield TextPart(
            "html" if kind == "text/html" else "plain",
            decode_charset(octets, part.parameter("charset") or ""),
            part,
        )
        if left <= 0:
            return


def content(data: Octets, part: Part, limit: int | None = None) -> bytes:
    """A part's body with its transfer encoding undone; at most `limit` octets."""
    end = part.end if limit is None else min(part.end, part.header_end + 4 * limit + 4)
    return decode_transfer(data[part.header_end : end], part.encoding, limit)


def is_attachment(part: Part) -> bool:
    """The part asks to be shown as an attachment."""
    value = part.fields.get(b"content-disposition")
    return value is not None and value[:10].lower() == b"attachment"
