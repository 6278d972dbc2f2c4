"""METADATA entries: their names, values, depth and size.

Standards: RFC 5464 sections 3.2, 4 and 5, with the options before or behind the mailbox name,
as its grammar and its examples have them.  Numbers: docs/limits of the store.
Imports: model, parser.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.response import astring, quote

MAX_ENTRY_OCTETS = 255
#: Entries in one command.
MAX_ENTRIES = 200
# RFC 5464 section 3.2: no empty component, no wildcards, no controls, ASCII only.
_NAME = re.compile(r"/(?:private|shared)(?:/[\x20-\x24\x26-\x29\x2b-\x2e\x30-\x7e]+)*\Z")


@dataclass(frozen=True, slots=True)
class Options:
    """How GETMETADATA looks.

    Attributes:
        max_size: octets of the largest value wanted; None: any.
        depth: levels below the entries asked for; None: all.
    """

    max_size: int | None = None
    depth: int | None = 0


def parse_entry(cursor: Cursor, *, or_above: bool = False) -> str:
    """The name of an entry, in lower case.

    Args:
        or_above: `/private` or `/shared/vendor/acme` will do, which only others are below.

    Raises:
        Bad: no name of an entry.
    """
    wire = cursor.astring()
    name = wire.decode("ascii", "replace").lower()
    if len(wire) > MAX_ENTRY_OCTETS or not _NAME.match(name):
        raise Bad("Not the name of a metadata entry")
    if not (or_above or _is_entry(name)):
        raise Bad("A metadata entry has at least two parts, a vendor's four")
    return name


def _is_entry(name: str) -> bool:
    parts = name.split("/")
    return len(parts) > 4 or (len(parts) > 2 and parts[2] != "vendor")


def parse_entries(cursor: Cursor, *, or_above: bool = False) -> tuple[str, ...]:
    """One entry, several in parentheses, or several behind one another; each once.

    Args:
        or_above: as in `parse_entry`.
    """
    found: dict[str, None] = {}
    closing = cursor.take(b"(")
    while True:
        found[parse_entry(cursor, or_above=or_above)] = None
        if len(found) > MAX_ENTRIES:
            raise Bad(f"More than {MAX_ENTRIES} metadata entries")
        if closing and cursor.take(b")"):
            return tuple(found)
        if not closing and cursor.at_end:
            return tuple(found)
        cursor.space()


def take_options(cursor: Cursor) -> Options | None:
    """`(MAXSIZE n DEPTH 1)` when that is what stands here, else nothing is taken.

    Raises:
        Bad: an option nobody knows.
    """
    begin = cursor.at
    if not cursor.take(b"(") or cursor.peek() in (b"/", b'"', b"{", b"("):
        cursor.at = begin
        return None
    max_size: int | None = None
    depth: int | None = 0
    while True:
        word = cursor.word()
        cursor.space()
        if word == b"MAXSIZE":
            max_size = cursor.number()
        elif word == b"DEPTH":
            depth = _depth(cursor)
        else:
            raise Bad("There is no such option of GETMETADATA")
        if cursor.take(b")"):
            return Options(max_size, depth)
        cursor.space()


def _depth(cursor: Cursor) -> int | None:
    depths: dict[bytes, int | None] = {b"0": 0, b"1": 1, b"INFINITY": None}
    word = cursor.word()
    if word not in depths:
        cursor.fail("0, 1 or infinity")
    return depths[word]


def parse_changes(cursor: Cursor) -> dict[str, bytes | None]:
    """`(entry value entry value)`; None stands for NIL.

    Raises:
        Bad: not that, or an entry twice.
    """
    found: dict[str, bytes | None] = {}
    cursor.expect(b"(")
    while True:
        name = parse_entry(cursor)
        if name in found:
            raise Bad("A metadata entry is set twice")
        if len(found) >= MAX_ENTRIES:
            raise Bad(f"More than {MAX_ENTRIES} metadata entries")
        cursor.space()
        found[name] = cursor.literal8() if cursor.peek() == b"~" else cursor.nstring()
        if cursor.take(b")"):
            return found
        cursor.space()


def pick(there: Mapping[str, bytes], asked: Iterable[str], options: Options) -> dict[str, bytes | None]:
    """The entries asked for and those below; an entry asked for that is not there is None."""
    found: dict[str, bytes | None] = {}
    for name in asked:
        if _is_entry(name):
            found[name] = there.get(name)
        if options.depth == 0:
            continue
        for other in sorted(there):
            levels = other[len(name) :].count("/") if other.startswith(name + "/") else 0
            if levels and (options.depth is None or levels <= options.depth):
                found[other] = there[other]
    return found


def limit(found: Mapping[str, bytes | None], options: Options) -> tuple[dict[str, bytes | None], int]:
    """Without the values that are too long; and the size of the longest of those, 0: none."""
    most = options.max_size
    if most is None:
        return dict(found), 0
    kept = {name: value for name, value in found.items() if value is None or len(value) <= most}
    return kept, max(
        (len(value) for value in found.values() if value is not None and len(value) > most), default=0
    )


def response(mailbox: bytes, found: Mapping[str, bytes | None]) -> bytes:
    """`* METADATA mailbox (entry value ...)`; `mailbox`: a string as the client reads it."""
    pairs = b" ".join(
        b"%b %b" % (wire_entry(name).encode("ascii"), _value(value)) for name, value in found.items()
    )
    return b"* METADATA %b (%b)\r\n" % (mailbox, pairs)


def wire_entry(name: str) -> str:
    """The name of an entry as it is sent."""
    return astring(name.encode("ascii")).decode("ascii")


def _value(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    if b"\0" in value:
        return b"~{%d}\r\n%b" % (len(value), value)
    return quote(value)
