"""Extension "date": tests `date` and `currentdate` (RFC 5260 sections 4 and 5).

The local time zone is that of the context.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from mailstack.mime import date as dates
from mailstack.sieve import fields
from mailstack.sieve.check import CheckContext
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import (
    COMPARATOR_TAG,
    MATCH_TAGS,
    STRING,
    STRING_LIST,
    Arg,
    CommandDef,
    Extension,
    Tag,
    TagLike,
)
from mailstack.sieve.message import is_field_name
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode

_ZONE = re.compile(r"([+-])([0-9]{2})([0-5][0-9])\Z")
#: Days from 17 November 1858 to 1 January 1970 (RFC 5260 appendix A).
_JULIAN_EPOCH = 40_587


def _iso8601(t: datetime, at: float, offset_s: int) -> str:
    zone = _zone_text(offset_s)
    return f"{t:%Y-%m-%dT%H:%M:%S}" + ("Z" if offset_s == 0 else f"{zone[:3]}:{zone[3:]}")


def _zone_text(offset_s: int) -> str:
    minutes = abs(offset_s) // 60
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}{minutes % 60:02d}"


#: Each part from the local time, Unix seconds and the zone's offset.
_PARTS: dict[str, Callable[[datetime, float, int], str]] = {
    "year": lambda t, at, offset_s: f"{t.year:04d}",
    "month": lambda t, at, offset_s: f"{t.month:02d}",
    "day": lambda t, at, offset_s: f"{t.day:02d}",
    "date": lambda t, at, offset_s: f"{t.year:04d}-{t.month:02d}-{t.day:02d}",
    # Days begin at midnight of the zone in use.
    "julian": lambda t, at, offset_s: str(int((at + offset_s) // 86_400) + _JULIAN_EPOCH),
    "hour": lambda t, at, offset_s: f"{t.hour:02d}",
    "minute": lambda t, at, offset_s: f"{t.minute:02d}",
    "second": lambda t, at, offset_s: f"{t.second:02d}",
    "time": lambda t, at, offset_s: f"{t.hour:02d}:{t.minute:02d}:{t.second:02d}",
    "iso8601": _iso8601,
    "std11": lambda t, at, offset_s: dates.format_header(at, offset_s),
    "zone": lambda t, at, offset_s: _zone_text(offset_s),
    "weekday": lambda t, at, offset_s: str(t.isoweekday() % 7),
}


def _offset(zone: str) -> int | None:
    """Seconds east of UTC of "+hhmm"; None when it is not one."""
    found = _ZONE.match(zone)
    if found is None or int(found[2]) > 23:
        return None
    seconds = int(found[2]) * 3600 + int(found[3]) * 60
    return -seconds if found[1] == "-" else seconds


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    name = node.name
    for item in node.constants("date_part"):
        if item.value.lower() not in _PARTS:
            vctx.error(item.pos, f"{name}: there is no date part '{item.value[:40]}'")
    zone = node.get("zone")
    if zone is not None and zone.is_constant and _offset(zone.text) is None:
        vctx.error(zone.pos, f'{name}: \'{zone.text[:40]}\' is no time zone; want "+hhmm" or "-hhmm"')
    if node.get("header_name") is not None:
        for item in node.constants("header_name"):
            if not is_field_name(item.value):
                vctx.warning(item.pos, f"'{item.value[:60]}' can never be the name of a header field")


def _compare(ctx: Context, args: Args, at: float, original: int | None) -> bool:
    part = _PARTS.get(args.string("date_part").lower())
    if part is None:
        raise SieveError(f"there is no date part '{args.string('date_part')[:40]}'")
    zone = args["zone"]
    if isinstance(zone, str):
        offset = _offset(zone)
        if offset is None:
            raise SieveError(f'\'{zone[:40]}\' is no time zone; want "+hhmm" or "-hhmm"')
    else:
        offset = ctx.zone(at) if original is None else original
    seconds = min(max(int(at) + offset, -2_208_988_800), 253_402_300_799)
    local = datetime.fromtimestamp(seconds, UTC)
    return args.match.match([part(local, at, offset)], args.strings("key_list"))


def _date(ctx: Context, args: Args, block: Block | None) -> bool:
    name = args.string("header_name")
    raws = (raw for header in fields.headers(ctx, args) for raw in header.raw_values(name))
    found = fields.pick(args, raws) if args.get("index") is not None else list(raws)[:1]
    parsed = _parse(found[0]) if found else None
    if parsed is None:
        # RFC 5260 section 4: false whatever the match type, but :count counts.
        return args.match.match_type == ":count" and args.match.match([], args.strings("key_list"))
    return _compare(ctx, args, parsed.at, parsed.offset_s if args["originalzone"] else None)


def _parse(raw: bytes) -> dates.HeaderDate | None:
    # RFC 5260 section 4: the whole field, or behind the last semicolon as in Received.
    whole = dates.parse(raw)
    return whole if whole is not None or b";" not in raw else dates.parse(raw.rpartition(b";")[2])


def _currentdate(ctx: Context, args: Args, block: Block | None) -> bool:
    return _compare(ctx, args, ctx.now, None)


_COMMON: list[TagLike] = [MATCH_TAGS, COMPARATOR_TAG]
DATE = Extension(
    "date",
    tests=[
        CommandDef(
            "date",
            "test",
            [Arg("header_name", STRING), Arg("date_part", STRING), Arg("key_list", STRING_LIST)],
            [*_COMMON, Tag(":zone", value=STRING, group="zones"), Tag(":originalzone", group="zones")],
            validate=_validate,
            run=_date,
        ),
        CommandDef(
            "currentdate",
            "test",
            [Arg("date_part", STRING), Arg("key_list", STRING_LIST)],
            [*_COMMON, Tag(":zone", value=STRING)],
            validate=_validate,
            run=_currentdate,
        ),
    ],
)
