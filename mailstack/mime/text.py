"""The readable text of a message: for the classifier, Sieve's body test and previews.

Bounded: so many octets of decoded text, whatever the message holds; lenient: a broken
encoding gives replacement characters.

Standards: RFC 2045, RFC 8970 (preview).  Limits, section 3: 512 KiB of text.  No I/O.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from mailstack.mime.encoding import decode_charset, decode_transfer
from mailstack.mime.header import Octets
from mailstack.mime.scanner import Part, scan

MAX_TEXT_OCTETS = 512 * 1024
#: RFC 8970 section 3.1: at most 256 characters, 200 recommended.
PREVIEW_CHARACTERS = 200
_PREVIEW_OCTETS = 2 * 1024
_PREVIEW_SOURCE = 4 * PREVIEW_CHARACTERS
_PREVIEW_HTML_OCTETS = 24 * 1024

_TAG_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]{0,15})")
# Invisible padding that marketing mail puts into its hidden preview text.
_PADDING = re.compile("[\u00ad\u034f\u200b-\u200f\u2060\ufeff]+")
_HIDDEN = frozenset({"style", "script", "head", "title", "noscript", "svg"})


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
        if not attachments and _is_attachment(part):
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


def preview(data: Octets, message: Part) -> str:
    """One line of text that says what the message is about; "" when it has none.

    Source: RFC 8970 section 3.1.
    """
    html_part: Part | None = None
    for part in parts(message):
        kind = part.content_type
        if kind not in ("text/plain", "text/html") or part.opaque or not part.size or _is_attachment(part):
            continue
        if kind == "text/html":
            html_part = html_part or part
            continue
        text = _one_line(_decoded(data, part, _PREVIEW_OCTETS))
        if text:
            return text
    if html_part is None:
        return ""
    return _one_line(strip_html(_decoded(data, html_part, _PREVIEW_HTML_OCTETS), enough=_PREVIEW_SOURCE))


def strip_html(source: str, *, enough: int = MAX_TEXT_OCTETS) -> str:
    """The text between tags, entities decoded; crude, in linear time.

    For one line of preview; the classifier has a real HTML parser.

    Args:
        enough: stops after so many characters that are no white space between tags.
    """
    out: list[str] = []
    position = 0
    length = 0
    while (opened := source.find("<", position)) >= 0:
        piece = source[position:opened]
        if piece and not piece.isspace():
            out.append(piece)
            length += len(piece)
            if length > enough:
                return html.unescape("".join(out))
        if source.startswith("<!--", opened):
            closed = source.find("-->", opened + 4)
            position = closed + 3
        else:
            match = _TAG_NAME.match(source, opened + 1)
            if match is None and source[opened + 1 : opened + 2] not in ("!", "?"):
                out.append("<")
                position = opened + 1
                continue
            name = match[1].lower() if match is not None and match[0][0] != "/" else ""
            closed = source.find(">", opened)
            position = closed + 1
            if closed >= 0 and name in _HIDDEN:
                closed = _find_end_tag(source, name, position)
                position = closed
            out.append(" ")
        if closed < 0:
            return html.unescape("".join(out))
    out.append(source[position:])
    return html.unescape("".join(out))


def _find_end_tag(source: str, name: str, position: int) -> int:
    match = re.compile(f"</{name}", re.IGNORECASE).search(source, position)
    return match.start() if match is not None else -1


def _is_attachment(part: Part) -> bool:
    value = part.fields.get(b"content-disposition")
    return value is not None and value[:10].lower() == b"attachment"


def _decoded(data: Octets, part: Part, limit: int) -> str:
    return decode_charset(content(data, part, limit), part.parameter("charset") or "")


def _one_line(text: str) -> str:
    if not text.isascii():
        text = _PADDING.sub("", text)
    line = " ".join(text[: 2 * _PREVIEW_SOURCE].split())
    if not line.isprintable():
        line = "".join(c for c in line if c.isprintable())
    return line[:PREVIEW_CHARACTERS].rstrip()
