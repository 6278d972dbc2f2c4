"""What FETCH can be asked for, parsed once per wording: clients repeat the same lists.

Standards: RFC 3501 sections 6.4.5 and 9 (fetch-att, section), RFC 9051 section 6.4.5,
RFC 3516 (BINARY), RFC 8474 (EMAILID, THREADID), RFC 8514 (SAVEDATE), RFC 8970 (PREVIEW).
Imports: parser.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.response import quote

Kind: TypeAlias = Literal["ALL", "HEADER", "TEXT", "MIME", "FIELDS", "FIELDS.NOT", "BINARY", "BINARY.SIZE"]

MAX_ITEMS = 100
#: One more than the deepest part the scanner finds.
MAX_PATH = 65
_MEMO_OCTETS = 2_048
_SIMPLE = frozenset(
    (b"FLAGS", b"UID", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODYSTRUCTURE", b"BODY",
     b"PREVIEW", b"SAVEDATE", b"EMAILID", b"THREADID", b"MODSEQ")
)  # fmt: skip
#: RFC 3501 section 6.4.5: other names for sections.
_OLD: dict[bytes, Kind] = {b"RFC822": "ALL", b"RFC822.TEXT": "TEXT", b"RFC822.HEADER": "HEADER"}
_TEXTS = frozenset((b"ENVELOPE", b"BODYSTRUCTURE", b"BODY"))
_DETAILS = frozenset((b"SAVEDATE", b"EMAILID", b"THREADID"))
#: RFC 9051 section 9, number64.
_MAX_OFFSET = 9_223_372_036_854_775_807
_MACROS = {
    b"FAST": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"),
    b"ALL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"),
    b"FULL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"),
}


@dataclass(frozen=True, slots=True)
class Section:
    """Octets of a message.

    Attributes:
        label: how the answer names it, such as b"BODY[1.MIME]<0>".
        path: part number; () is the message.
        fields: lower case, for FIELDS and FIELDS.NOT.
        partial: first octet and count; None: all.
    """

    label: bytes
    path: tuple[int, ...] = ()
    kind: Kind = "ALL"
    fields: frozenset[bytes] = frozenset()
    partial: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class FetchItems:
    """A parsed list.

    Attributes:
        simple: names in the order asked for, each once.
        sets_seen: reading this marks the message as read.
        needs_texts: some of `simple` come from the ready-made texts.
        needs_details: some of `simple` come from the rows of the store.
        lazy: PREVIEW only where it is at hand (RFC 8970 section 4.1).
    """

    simple: tuple[bytes, ...]
    sections: tuple[Section, ...]
    sets_seen: bool
    needs_texts: bool
    needs_details: bool = False
    lazy: bool = False


def parse_items(text: bytes) -> FetchItems:
    """The items of FETCH: all that stands behind the message set.

    Raises:
        Bad: not a list of items, or too many.
    """
    return _remembered(text) if len(text) <= _MEMO_OCTETS else _parse(text)


def _parse(text: bytes) -> FetchItems:
    cursor = Cursor(text)
    simple: dict[bytes, bytes] = {}
    sections: dict[Section, None] = {}
    seen = False
    if cursor.take(b"("):
        for _ in range(MAX_ITEMS):
            seen |= _item(cursor, simple, sections)
            if cursor.take(b")"):
                break
            cursor.space()
        else:
            raise Bad(f"More than {MAX_ITEMS} items")
    elif (macro := _MACROS.get(text.upper())) is not None:
        simple.update(dict.fromkeys(macro, b""))
        cursor.at = len(text)
    else:
        seen = _item(cursor, simple, sections)
    cursor.end()
    lazy = simple.get(b"PREVIEW") == b"LAZY" and _TEXTS.isdisjoint(simple)
    needs_texts = b"PREVIEW" in simple or not _TEXTS.isdisjoint(simple)
    needs_details = not _DETAILS.isdisjoint(simple)
    return FetchItems(tuple(simple), tuple(sections), seen, needs_texts, needs_details, lazy)


_remembered = lru_cache(maxsize=512)(_parse)


def _item(cursor: Cursor, simple: dict[bytes, bytes], sections: dict[Section, None]) -> bool:
    """Adds one item; True when it marks the message as read."""
    begin = cursor.at
    for peek, name in ((True, b"BODY.PEEK["), (False, b"BODY[")):
        if cursor.take(name):
            sections[_section(cursor)] = None
            return not peek
    if cursor.take(b"BINARY"):
        return _binary(cursor, sections)
    cursor.at = begin
    name = cursor.word()
    if name in _OLD:
        sections[Section(name, kind=_OLD[name])] = None
        return name != b"RFC822.HEADER"
    if name not in _SIMPLE:
        cursor.fail("a fetch item")
    modifier = b"LAZY" if name == b"PREVIEW" and cursor.take(b" (LAZY)") else b""
    # Asked for both ways, it is wanted whatever it costs.
    simple[name] = min(simple.get(name, modifier), modifier)
    return False


def _binary(cursor: Cursor, sections: dict[Section, None]) -> bool:
    """What stands behind `BINARY`; True when it marks the message as read."""
    kind: Kind = "BINARY.SIZE" if cursor.take(b".SIZE") else "BINARY"
    peek = kind == "BINARY.SIZE" or cursor.take(b".PEEK")
    cursor.expect(b"[")
    path, text = _path(cursor)
    if text.endswith(b"."):
        cursor.fail("a part number")
    cursor.expect(b"]")
    label = kind.encode() + b"[" + text + b"]"
    partial = _partial(cursor) if kind == "BINARY" else None
    if partial is not None:
        label += b"<%d>" % partial[0]
    sections[Section(label, path, kind, partial=partial)] = None
    return not peek


def parse_section(text: bytes, partial: tuple[int, int] | None) -> Section:
    """A section specification alone, such as `1.MIME`; b"" is the whole message.

    Raises:
        Bad: it is none.
    """
    cursor = Cursor(text + b"]")
    section = replace(_section(cursor), partial=partial)
    cursor.end()
    return section


def _section(cursor: Cursor) -> Section:
    """What stands behind `BODY[`."""
    path, text = _path(cursor)
    kind: Kind = "ALL"
    fields: tuple[bytes, ...] = ()
    if cursor.peek() != b"]":
        kind, word = _kind(cursor, bool(path))
        text += word
        if kind in ("FIELDS", "FIELDS.NOT"):
            fields = _fields(cursor)
            text += b" (" + b" ".join(_field_label(field) for field in fields) + b")"
    elif text.endswith(b"."):
        cursor.fail("a section")
    cursor.expect(b"]")
    label = b"BODY[" + text + b"]"
    partial = _partial(cursor)
    if partial is not None:
        label += b"<%d>" % partial[0]
    return Section(label, path, kind, frozenset(field.lower() for field in fields), partial)


def _partial(cursor: Cursor) -> tuple[int, int] | None:
    if not cursor.take(b"<"):
        return None
    first = cursor.number(most=_MAX_OFFSET)
    cursor.expect(b".")
    count = cursor.number(most=_MAX_OFFSET)
    if not count:
        cursor.fail("a number above 0")
    cursor.expect(b">")
    return first, count


def _path(cursor: Cursor) -> tuple[tuple[int, ...], bytes]:
    path: list[int] = []
    begin = cursor.at
    while cursor.peek().isdigit():
        number = cursor.number()
        if not number or len(path) >= MAX_PATH:
            cursor.fail("a part number")
        path.append(number)
        if not cursor.take(b"."):
            break
    return tuple(path), cursor.data[begin : cursor.at]


def _kind(cursor: Cursor, has_path: bool) -> tuple[Kind, bytes]:
    # The longest first; "MIME" needs a part number.
    if cursor.take(b"HEADER.FIELDS.NOT "):
        return "FIELDS.NOT", b"HEADER.FIELDS.NOT"
    if cursor.take(b"HEADER.FIELDS "):
        return "FIELDS", b"HEADER.FIELDS"
    if cursor.take(b"HEADER"):
        return "HEADER", b"HEADER"
    if cursor.take(b"TEXT"):
        return "TEXT", b"TEXT"
    if not (has_path and cursor.take(b"MIME")):
        cursor.fail("a section")
    return "MIME", b"MIME"


def _fields(cursor: Cursor) -> tuple[bytes, ...]:
    cursor.expect(b"(")
    fields: list[bytes] = []
    while True:
        fields.append(cursor.astring())
        if cursor.take(b")"):
            return tuple(fields)
        cursor.space()


def _field_label(field: bytes) -> bytes:
    plain = field.replace(b"-", b"").isalnum()
    return field.upper() if plain else quote(field)
