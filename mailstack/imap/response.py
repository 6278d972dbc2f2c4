"""How answers are written: quoting, flags, dates, sets, lines.

Everything a message, a name or a person can choose goes through `quote` (the one of
`mime.structure`), so that no header and no folder name can add a line of its own
(T67 in the threat list).

Standards: RFC 3501 sections 4.3, 7 and 9.
Imports: mime, model.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from mailstack.mime.date import format_internal
from mailstack.mime.structure import quote
from mailstack.model.mailbox import FLAG_NAMES

__all__ = (
    "FLAG_TEXTS",
    "RECENT",
    "astring",
    "compress",
    "date_time",
    "flag_list",
    "plain",
    "quote",
    "quote_utf8",
    "status_line",
    "vanished_lines",
)

_ATOM = re.compile(rb"[!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~+]+\Z")
_TEXT = re.compile(r"[^\x20-\x7e]")
#: In a view's flag byte, above the flags of the model.
RECENT = 32
MAX_TEXT = 400
#: Ranges in one line; about 8 KiB (RFC 7162 section 4).
VANISHED_PAIRS = 400


@lru_cache(maxsize=512)
def plain(text: str) -> bytes:
    """Words for people in a response line: printable ASCII, one line, bounded."""
    return _TEXT.sub("?", text)[:MAX_TEXT].encode("ascii")


def status_line(tag: bytes, kind: str, text: str, *, code: str = "") -> bytes:
    """`tag OK|NO|BAD|BYE [CODE] text`; `code` is ours and never holds a peer's words."""
    bracket = f"[{code}] " if code else ""
    return b"%b %b %b%b\r\n" % (tag, kind.encode(), bracket.encode("ascii"), plain(text))


def astring(value: bytes) -> bytes:
    """A string, without quotes where that is possible: some clients take them for part of it."""
    return value if _ATOM.match(value) and value.upper() != b"NIL" else quote(value)


def quote_utf8(text: str) -> bytes:
    """A quoted string in UTF-8; for text without CR, LF and NUL, such as mailbox names.

    Source: RFC 9051 section 9, quoted.
    """
    return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode("utf-8", "replace") + b'"'


def _system_flags(bits: int) -> bytes:
    names = [name for flag, name in FLAG_NAMES if bits & flag]
    return " ".join([*names, "\\Recent"] if bits & RECENT else names).encode()


#: Every combination of the five system flags and \\Recent, ready-made.
FLAG_TEXTS: tuple[bytes, ...] = tuple(_system_flags(bits) for bits in range(64))


def flag_list(bits: int, keywords: Iterable[str] = ()) -> bytes:
    """The flags between the parentheses."""
    words = [FLAG_TEXTS[bits & 63]] if bits & 63 else []
    return b" ".join([*words, *(keyword.encode("ascii", "replace") for keyword in keywords)])


@lru_cache(maxsize=4096)
def _day(day: int) -> bytes:
    return format_internal(day * 86_400)[:11].encode("ascii")


def date_time(seconds: int) -> bytes:
    """INTERNALDATE, in UTC, quoted.

    Source: RFC 3501 section 9, date-time.
    """
    day, second = divmod(seconds, 86_400)
    return b'"%b %02d:%02d:%02d +0000"' % (_day(day), second // 3_600, second // 60 % 60, second % 60)


def vanished_lines(pairs: Sequence[tuple[int, int]], *, earlier: bool = False) -> list[bytes]:
    """`* VANISHED 1:3,7`, in lines no client chokes on.

    Source: RFC 7162 section 3.2.10.
    """
    head = b"* VANISHED (EARLIER) " if earlier else b"* VANISHED "
    texts = [b"%d" % first if first == last else b"%d:%d" % (first, last) for first, last in pairs]
    pieces = [texts[at : at + VANISHED_PAIRS] for at in range(0, len(texts), VANISHED_PAIRS)]
    return [head + b",".join(piece) + b"\r\n" for piece in pieces]


def compress(numbers: Iterable[int]) -> bytes:
    """Ascending runs of numbers as a sequence set, in the order given: `1:3,7`."""
    parts: list[bytes] = []
    first = last = -1
    for number in numbers:
        if number == last + 1 and first >= 0:
            last = number
            continue
        if first >= 0:
            parts.append(b"%d" % first if first == last else b"%d:%d" % (first, last))
        first = last = number
    if first >= 0:
        parts.append(b"%d" % first if first == last else b"%d:%d" % (first, last))
    return b",".join(parts)
