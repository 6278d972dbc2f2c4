"""Values inside commands: message sets, flags, dates, status items.

Standards: RFC 3501 section 9 and sections 2.3.2 (flags) and 6.3.10 (STATUS).
Numbers: limits, section 6.
Imports: mime, model, parser.  No I/O.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from mailstack.imap.errors import Bad, No
from mailstack.imap.parser import Cursor
from mailstack.mime.date import parse_internal
from mailstack.model.mailbox import FLAG_NAMES, Flags
from mailstack.model.ranges import Range, merged, ranges

#: Pairs of first and last number; 0 stands for "*".
MessageSet: TypeAlias = tuple[tuple[int, int], ...]

#: `$`, what the last SEARCH saved (RFC 9051 section 6.4.4.1); it may also stand among other pairs.
SAVED_PAIR = (-1, -1)
SAVED: MessageSet = (SAVED_PAIR,)

MAX_NUMBER = 4_294_967_295
#: RFC 7162 section 7, mod-sequence-value.
MAX_MODSEQ = 9_223_372_036_854_775_807
MAX_KEYWORD_OCTETS = 50

_SYSTEM = {name[1:].upper().encode(): flag for flag, name in FLAG_NAMES}
_MONTHS = {month: n for n, month in enumerate(calendar.month_abbr) if month}
_DATE_TIME = re.compile(rb'"([ -~]{26})"')
_DATE = re.compile(
    rb'"?([0-3]?[0-9])-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)-([0-9]{4})"?', re.IGNORECASE
)


def parse_set(text: bytes) -> MessageSet:
    """`1:3,7,9:*` as pairs; `$` as SAVED_PAIR.

    Raises:
        Bad: not a set, zero, or a number above 32 bits.

    Source: RFC 9051 section 9, sequence-set.
    """
    pairs = []
    for part in text.split(b","):
        if part == b"$":
            pairs.append(SAVED_PAIR)
            continue
        first, colon, last = part.partition(b":")
        low = _set_number(first)
        pairs.append((low, _set_number(last) if colon else low))
    return tuple(pairs)


def parse_ranges(text: bytes) -> list[Range]:
    """A set of UIDs without "*" and "$", as ascending ranges.

    Raises:
        Bad: not such a set.

    Source: RFC 7162 section 7, known-uids.
    """
    if b"*" in text or b"$" in text:
        raise Bad("Syntax error: expected a set of numbers only")
    return as_ranges(parse_set(text), 0)


def as_ranges(wanted: MessageSet, last: int, saved: Iterable[int] = ()) -> list[Range]:
    """A set as ascending ranges that do not touch.

    Args:
        last: what "*" stands for.
        saved: what "$" stands for, ascending.
    """
    pairs = [
        (min(low or last, high or last), max(low or last, high or last))
        for low, high in wanted
        if (low, high) != SAVED_PAIR
    ]
    if len(pairs) < len(wanted):
        pairs.extend(ranges(saved))
    return merged(sorted(pairs))


def _set_number(text: bytes) -> int:
    if text == b"*":
        return 0
    if not text.isdigit() or len(text) > 10 or not 0 < (number := int(text)) <= MAX_NUMBER:
        raise Bad("Syntax error: expected a message set")
    return number


@dataclass(frozen=True, slots=True)
class FlagList:
    """Flags as a client names them: system flags as bits, the others as words."""

    flags: Flags
    keywords: tuple[str, ...]


def parse_flags(cursor: Cursor, *, most_keywords: int) -> FlagList:
    r"""A flag list, in parentheses or (STORE only) bare.

    Raises:
        Bad: not flags, or `\Recent`, which only the server sets.
        No: LIMIT, too many or too long keywords.
    """
    parenthesised = cursor.take(b"(")
    flags, keywords = Flags.NONE, dict[str, None]()
    if parenthesised and cursor.take(b")"):
        return FlagList(flags, ())
    while True:
        if cursor.take(b"\\"):
            flags |= _system_flag(cursor.atom())
        else:
            keywords[_keyword(cursor.atom())] = None
        if cursor.peek() != b" ":
            break
        cursor.space()
    if parenthesised:
        cursor.expect(b")")
    if len(keywords) > most_keywords:
        raise No(f"More than {most_keywords} keywords", code="LIMIT")
    return FlagList(flags, tuple(keywords))


def _system_flag(name: bytes) -> Flags:
    flag = _SYSTEM.get(name.upper())
    if flag is None:
        raise Bad("There is no such system flag, or it cannot be set")
    return flag


def _keyword(word: bytes) -> str:
    if len(word) > MAX_KEYWORD_OCTETS:
        raise No(f"A keyword is longer than {MAX_KEYWORD_OCTETS} octets", code="LIMIT")
    return word.decode("ascii")


def parse_date_time(cursor: Cursor) -> int:
    """`" 7-Feb-1994 21:52:25 -0800"` as Unix seconds.

    Source: RFC 3501 section 9, date-time.
    """
    found = _DATE_TIME.match(cursor.data, cursor.at)
    at = parse_internal(found[1].decode("ascii")) if found is not None else None
    if found is None or at is None:
        cursor.fail("a date and time")
    cursor.at = found.end()
    return at


def parse_date(cursor: Cursor) -> int:
    """`1-Feb-1994`, quoted or not, as days since 1970-01-01.

    Source: RFC 3501 section 9, date.
    """
    found = _DATE.match(cursor.data, cursor.at)
    if found is None:
        cursor.fail("a date")
    cursor.at = found.end()
    day, month, year = int(found[1]), _MONTHS[found[2].decode().capitalize()], int(found[3])
    if year < 1 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        cursor.fail("a date")
    return calendar.timegm((year, month, day, 0, 0, 0)) // 86_400
