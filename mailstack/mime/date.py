"""Dates: of mail headers (junk-tolerant), and IMAP's INTERNALDATE.

Years 1900 to 9999; whatever cannot be read is None, and the caller uses its own clock.

Standards: RFC 5322 sections 3.3 and 4.3, RFC 3501 section 9 (date-time).  No I/O.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from mailstack.mime.parameters import strip_comments

MAX_OCTETS = 200
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_MONTH_NUMBERS = {name.lower().encode(): number for number, name in enumerate(MONTHS, 1)}
_MONTH = rb"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_TIME = rb"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:\.\d{1,9})?"
_ZONE = rb"(?:[ \t]*(?:gmt|utc)?([+-]\d{1,2}:?\d{2})|[ \t]*([a-z]{1,5})\b)?"
_USUAL = re.compile(
    rb"(?:[a-z]{2,9}\.?[ \t,]*)?(\d{1,2})[ \t]*[-. \t][ \t]*"
    + _MONTH
    + rb"[-., \t]+(\d{2,4})[ \t,]+"
    + _TIME
    + _ZONE,
    re.IGNORECASE,
)
_ASCTIME = re.compile(
    rb"(?:[a-z]{2,9}\.?[ \t,]*)?" + _MONTH + rb"[ \t]+(\d{1,2})[ \t,]+" + _TIME + _ZONE + rb"[ \t]+(\d{4})",
    re.IGNORECASE,
)
_ISO = re.compile(
    rb"(\d{4})-(\d{2})-(\d{2})[T \t]+" + _TIME + rb"[ \t]*(?:([+-]\d{2}:?\d{2})|(z))?", re.IGNORECASE
)
_DATE_ONLY = re.compile(
    rb"(?:[a-z]{2,9}\.?[ \t,]*)?(\d{1,2})[-. \t]+" + _MONTH + rb"[-., \t]+(\d{4})\b", re.IGNORECASE
)
_INTERNAL = re.compile(
    r"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})\Z", re.ASCII
)
# RFC 5322 section 4.3; military zones and unknown names mean -0000.
_ZONES = {
    b"edt": -4, b"est": -5, b"cdt": -5, b"cst": -6, b"mdt": -6, b"mst": -7, b"pdt": -7, b"pst": -8,
    b"cet": 1, b"mez": 1, b"met": 1, b"bst": 1, b"cest": 2, b"mest": 2, b"mesz": 2, b"eet": 2, b"eest": 3,
    b"msk": 3, b"jst": 9, b"kst": 9, b"hst": -10,
}  # fmt: skip


class HeaderDate(NamedTuple):
    """A point in time and the zone it was written in.

    Attributes:
        at: Unix seconds.
        offset_s: seconds east of UTC.
    """

    at: int
    offset_s: int


def parse(value: bytes) -> HeaderDate | None:
    """Reads a Date field's value; None when it makes no sense.

    Source: RFC 5322 sections 3.3 and 4.3; also asctime and ISO 8601 forms, as seen.
    """
    value = value[:MAX_OCTETS]
    if b"(" in value:
        value = strip_comments(value)
    value = value.strip()
    match = _USUAL.match(value)
    if match is not None:
        day, month, year, hour, minute, second, zone, name = match.groups()
        return _made(year, _MONTH_NUMBERS[month.lower()], day, (hour, minute, second), zone, name)
    match = _ASCTIME.match(value)
    if match is not None:
        month, day, hour, minute, second, zone, name, year = match.groups()
        return _made(year, _MONTH_NUMBERS[month.lower()], day, (hour, minute, second), zone, name)
    match = _ISO.match(value)
    if match is not None:
        year, number, day, hour, minute, second, zone, name = match.groups()
        return _made(year, int(number), day, (hour, minute, second), zone, name)
    match = _DATE_ONLY.match(value)
    if match is not None:
        day, month, year = match.groups()
        return _made(year, _MONTH_NUMBERS[month.lower()], day, (b"0", b"0", None), None, None)
    return None


def _made(
    year: bytes,
    month: int,
    day: bytes,
    clock: tuple[bytes, bytes, bytes | None],
    zone: bytes | None,
    name: bytes | None,
) -> HeaderDate | None:
    number = int(year)
    if len(year) == 2:
        number += 2000 if number < 50 else 1900
    elif len(year) == 3:
        number += 1900
    if number < 1900:
        return None
    offset = _offset(zone, name)
    second = min(int(clock[2] or b"0"), 59)  # a leap second is the last of its minute
    try:
        moment = datetime(number, month, int(day), int(clock[0]), int(clock[1]), second, tzinfo=UTC)
    except ValueError:
        return None
    return HeaderDate(int(moment.timestamp()) - offset, offset)


def _offset(zone: bytes | None, name: bytes | None) -> int:
    if zone is None:
        return _ZONES.get((name or b"").lower(), 0) * 3600
    digits = zone[1:].replace(b":", b"").rjust(4, b"0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        return 0
    return (-1 if zone[:1] == b"-" else 1) * (hours * 3600 + minutes * 60)


def _local(at: float, offset_s: int) -> datetime:
    # fromtimestamp() would fail for what is out of its range; INTERNALDATE must always show.
    seconds = min(max(int(at) + offset_s, -2_208_988_800), 253_402_300_799)
    return datetime.fromtimestamp(seconds, UTC)


def _zone_text(offset_s: int) -> str:
    minutes = abs(offset_s) // 60
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}{minutes % 60:02d}"


def format_header(at: float, offset_s: int = 0) -> str:
    """A Date field's value for Unix seconds, such as "Mon, 22 Nov 2026 03:04:05 +0000".

    Source: RFC 5322 section 3.3.
    """
    t = _local(at, offset_s)
    day = f"{WEEKDAYS[t.weekday()]}, {t.day:02d} {MONTHS[t.month - 1]} {t.year:04d}"
    return f"{day} {t.hour:02d}:{t.minute:02d}:{t.second:02d} {_zone_text(offset_s)}"


def format_internal(at: float, offset_s: int = 0) -> str:
    """An IMAP date-time without its quotes, such as "22-Nov-2026 03:04:05 +0000".

    Source: RFC 3501 section 9; the day is padded with a space.
    """
    t = _local(at, offset_s)
    clock = f"{t.hour:02d}:{t.minute:02d}:{t.second:02d}"
    return f"{t.day:2d}-{MONTHS[t.month - 1]}-{t.year:04d} {clock} {_zone_text(offset_s)}"


def parse_internal(text: str) -> int | None:
    """Unix seconds of an IMAP date-time without its quotes; None when it is not one.

    Source: RFC 3501 section 9 (date-time), strict.
    """
    match = _INTERNAL.match(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    number = _MONTH_NUMBERS.get(month.lower().encode())
    if (
        number is None
        or int(zone_hours) > 23
        or int(zone_minutes) > 59
        or int(year) < 1900
        or int(second) > 60
    ):
        return None
    try:
        t = datetime(int(year), number, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC)
    except ValueError:
        return None
    offset = (int(zone_hours) * 60 + int(zone_minutes)) * 60
    return int(t.timestamp()) + (offset if sign == "-" else -offset)
