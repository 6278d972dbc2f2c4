"""One line of text that says what a message is about, for lists of messages.

What its author wrote: without tags, quoted replies, the line that introduces them,
signatures, ruled lines and the invisible padding of newsletters.  A message that is nothing but a
quote shows the quote.

Standards: RFC 8970 sections 3.1 and 3.2 (at most 256 characters, 200 recommended;
no markup).  No I/O.
"""

from __future__ import annotations

import re

from mailstack.mime import html
from mailstack.mime.encoding import decode_charset
from mailstack.mime.header import Octets
from mailstack.mime.scanner import Part
from mailstack.mime.text import content, is_attachment, parts

CHARACTERS = 200
_ENOUGH = 4 * CHARACTERS
_PLAIN_OCTETS = 4 * 1024
_HTML_OCTETS = 24 * 1024

# Invisible padding that marketing mail puts into its hidden preview text.
_PADDING = re.compile("[\u00ad\u034f\u200b-\u200f\u2060\ufeff]+")
# Lines behind which somebody else's words follow: Outlook and others.
_OTHERS = re.compile(
    r"-{3,} ?(?:original message|ursprüngliche nachricht|message d'origine|mensaje original"
    r"|messaggio originale|oorspronkelijk bericht|forwarded message"
    r"|weitergeleitete nachricht|begin forwarded message) ?-{0,20}\Z"
    r"|_{20,}\Z",
    re.IGNORECASE,
)
_RULE = re.compile(r"[\W_]{4,}\Z")
_SIGNATURE = ("--", "-- ")


def preview(data: Octets, message: Part) -> str:
    """The preview of a message; "" when it has no text.

    Plain text is preferred to HTML, as it comes; never fails.

    Args:
        message: what `scan(data)` gave.

    Source: RFC 8970 section 3.1.
    """
    html_part: Part | None = None
    for part in parts(message):
        kind = part.content_type
        if kind not in ("text/plain", "text/html") or part.opaque or not part.size or is_attachment(part):
            continue
        if kind == "text/html":
            html_part = html_part or part
            continue
        text = _decoded(data, part, _PLAIN_OCTETS)
        line = _one_line(_own_words(text)) or _one_line(text)
        if line:
            return line
    if html_part is None:
        return ""
    source = _decoded(data, html_part, _HTML_OCTETS)
    own = html.to_text(source, enough=_ENOUGH, quotes=False)
    return _one_line(_own_words(own)) or _one_line(html.to_text(source, enough=_ENOUGH))


def _own_words(text: str) -> str:
    """The lines an author wrote; stops at a signature or at somebody else's message."""
    out: list[str] = []
    length = 0
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped[:1].isalnum():
            if line in _SIGNATURE or _OTHERS.match(stripped):
                break
            if stripped.startswith(">"):
                _drop_introduction(out)
                continue
            if _RULE.match(stripped):
                continue
        out.append(line)
        length += len(stripped)
        if length > _ENOUGH:
            break
    return "\n".join(out)


def _drop_introduction(out: list[str]) -> None:
    """Takes off "On Monday, Bob wrote:" before a quote, on one line or two."""
    while out and not out[-1].strip():
        out.pop()
    if not out or not out[-1].rstrip().endswith((":", "：")):
        return
    out.pop()
    if out and out[-1].strip() and (len(out) == 1 or not out[-2].strip()):
        out.pop()


def _decoded(data: Octets, part: Part, limit: int) -> str:
    return decode_charset(content(data, part, limit), part.parameter("charset") or "")


def _one_line(text: str) -> str:
    if not text.isascii():
        text = _PADDING.sub("", text)
    line = " ".join(text[: 2 * _ENOUGH].split())
    if not line.isprintable():
        line = "".join(c for c in line if c.isprintable())
    return line[:CHARACTERS].rstrip()
