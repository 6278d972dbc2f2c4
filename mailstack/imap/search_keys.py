"""SEARCH's criteria as a tree, parsed without recursion.

AND and OR take any number of children: a chain of a hundred ORs, as clients write for
a hundred senders, is one node.  Only brackets nest, up to MAX_DEPTH.

Standards: RFC 9051 sections 6.4.4 and 9 (search-key), RFC 5032 (OLDER, YOUNGER), RFC 7162
section 3.1.5 (MODSEQ), RFC 8474 section 6 (EMAILID, THREADID), RFC 8514 section 4 (SAVED...).
Numbers: limits, section 6.
Imports: mime, model, grammar, parser.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mailstack.imap.errors import Bad, No
from mailstack.imap.grammar import MessageSet, parse_date, parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.response import RECENT
from mailstack.mime.encoding import python_charset
from mailstack.model.mailbox import Flags

MAX_KEYS = 1_000
MAX_DEPTH = 20
MAX_TREE = 60
#: Of criteria; messages may be in any charset.
CHARSETS = (
    "UTF-8", "US-ASCII", "ISO-8859-1", "ISO-8859-2", "ISO-8859-15", "WINDOWS-1250", "WINDOWS-1251",
    "WINDOWS-1252", "KOI8-R", "KOI8-U", "ISO-2022-JP", "SHIFT_JIS", "EUC-JP", "EUC-KR", "GB18030",
    "BIG5",
)  # fmt: skip
_MAX_MODSEQ = 2**63 - 1
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}\Z")

Comparison: TypeAlias = Literal["<", "=", ">="]


@dataclass(frozen=True, slots=True)
class HasFlag:
    """A bit of the view's flag byte is set."""

    bit: int


@dataclass(frozen=True, slots=True)
class HasKeyword:
    """A keyword is set; names are compared without case."""

    name: str


@dataclass(frozen=True, slots=True)
class Size:
    """LARGER, SMALLER: strictly."""

    larger: bool
    octets: int


@dataclass(frozen=True, slots=True)
class Dated:
    """BEFORE, ON, SINCE and their SENT and SAVED forms; `day` counts from 1970-01-01."""

    comparison: Comparison
    day: int
    which: Literal["arrived", "sent", "saved"]


@dataclass(frozen=True, slots=True)
class Age:
    """OLDER: the internal date is at least so many seconds ago; YOUNGER: at most."""

    older: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class ObjectId:
    """EMAILID, THREADID: exactly this one."""

    which: Literal["email", "thread"]
    id: str


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """MODSEQ: this number or a higher one."""

    modseq: int


@dataclass(frozen=True, slots=True)
class InSet:
    """A message set."""

    numbers: MessageSet
    uid: bool


@dataclass(frozen=True, slots=True)
class InHeader:
    """A field (lower case) holds a text; an empty text: the field exists."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class InBody:
    """BODY, or TEXT with the header."""

    text: str
    with_header: bool


@dataclass(frozen=True, slots=True)
class Everything:
    """ALL."""


@dataclass(frozen=True, slots=True)
class Group:
    """AND, OR (any number), NOT (one).  `depth`: groups within groups below this one."""

    kind: Literal["AND", "OR", "NOT"]
    children: tuple[Key, ...]
    depth: int = 1


Key: TypeAlias = (
    "HasFlag | HasKeyword | Size | Dated | Age | ObjectId | ChangedSince | InSet | InHeader | InBody"
    " | Everything | Group"
)

_FLAGS: dict[bytes, Key] = {
    b"ALL": Everything(),
    b"ANSWERED": HasFlag(Flags.ANSWERED),
    b"DELETED": HasFlag(Flags.DELETED),
    b"DRAFT": HasFlag(Flags.DRAFT),
    b"FLAGGED": HasFlag(Flags.FLAGGED),
    b"SEEN": HasFlag(Flags.SEEN),
    b"RECENT": HasFlag(RECENT),
    b"UNANSWERED": Group("NOT", (HasFlag(Flags.ANSWERED),)),
    b"UNDELETED": Group("NOT", (HasFlag(Flags.DELETED),)),
    b"UNDRAFT": Group("NOT", (HasFlag(Flags.DRAFT),)),
    b"UNFLAGGED": Group("NOT", (HasFlag(Flags.FLAGGED),)),
    b"UNSEEN": Group("NOT", (HasFlag(Flags.SEEN),)),
    b"OLD": Group("NOT", (HasFlag(RECENT),)),
    # RFC 8514 section 4.3: our store has save dates.
    b"SAVEDATESUPPORTED": Everything(),
    b"NEW": Group("AND", (HasFlag(RECENT), Group("NOT", (HasFlag(Flags.SEEN),)))),
}
_HEADERS = {b"BCC": "bcc", b"CC": "cc", b"FROM": "from", b"SUBJECT": "subject", b"TO": "to"}
_DATES: dict[bytes, tuple[Comparison, Literal["arrived", "sent", "saved"]]] = {
    b"BEFORE": ("<", "arrived"),
    b"ON": ("=", "arrived"),
    b"SINCE": (">=", "arrived"),
    b"SENTBEFORE": ("<", "sent"),
    b"SENTON": ("=", "sent"),
    b"SENTSINCE": (">=", "sent"),
    b"SAVEDBEFORE": ("<", "saved"),
    b"SAVEDON": ("=", "saved"),
    b"SAVEDSINCE": (">=", "saved"),
}


@dataclass(slots=True)
class _Open:
    """A group being read; `wanted` children end it, None: a bracket or the end does."""

    kind: Literal["AND", "OR", "NOT"]
    wanted: int | None
    bracket: bool = False
    children: list[Key] = field(default_factory=list)


def parse_charset(name: bytes) -> str:
    """The Python codec for the charset of criteria.

    Raises:
        No: BADCHARSET with those we know (RFC 9051 section 7.1).
    """
    known = name.upper().decode("ascii", "replace")
    if known == "ASCII":
        known = "US-ASCII"
    if known not in CHARSETS:
        raise No("That charset is not known", code=f"BADCHARSET ({' '.join(CHARSETS)})")
    return python_charset(known)


def parse_search(cursor: Cursor, charset: str = "utf-8") -> Key:
    """The criteria, up to the end of the command.

    Args:
        charset: Python codec of their texts.

    Raises:
        Bad: not criteria, too deep or too many.
    """
    return _Reader(cursor, charset).read()


def leaves(key: Key) -> Iterator[Key]:
    """All criteria that are no groups, in order, repeats too."""
    work = [key]
    while work:
        at = work.pop()
        if isinstance(at, Group):
            work.extend(reversed(at.children))
        else:
            yield at


class _Reader:
    def __init__(self, cursor: Cursor, charset: str) -> None:
        self._cursor = cursor
        self._charset = charset
        self._stack = [_Open("AND", None)]
        self._keys = 0
        self._depth = 0

    def read(self) -> Key:
        cursor = self._cursor
        while True:
            key = self._next()
            if key is None:
                continue
            self._put(key)
            while cursor.take(b")"):
                self._close_bracket()
            if cursor.at_end or cursor.data[cursor.at :] == b" ":
                break
            cursor.space()
        if len(self._stack) != 1:
            raise Bad("Syntax error: the criteria are not complete")
        return _made("AND", self._stack[0].children)

    def _next(self) -> Key | None:
        """A finished key; None: a group was opened, more follows at once."""
        cursor = self._cursor
        self._keys += 1
        if self._keys > MAX_KEYS:
            raise Bad(f"More than {MAX_KEYS} search keys")
        if cursor.take(b"("):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise Bad(f"Brackets are nested more than {MAX_DEPTH} deep")
            self._stack.append(_Open("AND", None, bracket=True))
            return None
        if cursor.peek() in b"0123456789*$":
            return InSet(parse_set(cursor.set_text()), uid=False)
        word = cursor.word()
        if word in (b"OR", b"NOT"):
            cursor.space()
            self._stack.append(_Open("OR", 2) if word == b"OR" else _Open("NOT", 1))
            return None
        return self._simple(word)

    def _put(self, key: Key) -> None:
        """Adds a finished key, and closes the groups it completes."""
        while True:
            top = self._stack[-1]
            top.children.append(key)
            if top.wanted is None or len(top.children) < top.wanted:
                return
            self._stack.pop()
            key = _made(top.kind, top.children)

    def _close_bracket(self) -> None:
        top = self._stack.pop()
        if not top.bracket or not top.children:
            raise Bad("Syntax error: a bracket too many")
        self._depth -= 1
        self._put(_made("AND", top.children))

    def _simple(self, word: bytes) -> Key:
        cursor = self._cursor
        if word in _FLAGS:
            return _FLAGS[word]
        if cursor.at_end:
            raise Bad("There is no such search key")
        cursor.space()
        if word in _HEADERS:
            return InHeader(_HEADERS[word], self._text())
        if word in _DATES:
            comparison, which = _DATES[word]
            return Dated(comparison, parse_date(cursor), which)
        match word:
            case b"BODY" | b"TEXT":
                return InBody(self._text(), with_header=word == b"TEXT")
            case b"HEADER":
                name = cursor.astring().decode("ascii", "replace").lower()
                cursor.space()
                return InHeader(name, self._text())
            case b"KEYWORD":
                return HasKeyword(cursor.atom().decode("ascii").lower())
            case b"UNKEYWORD":
                return Group("NOT", (HasKeyword(cursor.atom().decode("ascii").lower()),))
            case b"UID":
                return InSet(parse_set(cursor.set_text()), uid=True)
            case _:
                return self._measured(word)

    def _measured(self, word: bytes) -> Key:
        cursor = self._cursor
        match word:
            case b"LARGER" | b"SMALLER":
                return Size(word == b"LARGER", cursor.number(most=_MAX_MODSEQ))
            case b"OLDER" | b"YOUNGER":
                return Age(word == b"OLDER", self._seconds())
            case b"EMAILID":
                return ObjectId("email", self._object_id())
            case b"THREADID":
                return ObjectId("thread", self._object_id())
            case b"MODSEQ":
                return ChangedSince(self._modseq())
            case _:
                raise Bad("There is no such search key")

    def _seconds(self) -> int:
        seconds = self._cursor.number()
        if not seconds:
            self._cursor.fail("a number above 0")
        return seconds

    def _object_id(self) -> str:
        name = self._cursor.astring()
        if _OBJECT_ID.match(name) is None:
            self._cursor.fail("an object id")
        return name.decode("ascii")

    def _modseq(self) -> int:
        cursor = self._cursor
        if cursor.peek() == b'"':
            # RFC 7162 section 3.1.5: with one MODSEQ for all of a message's flags, which flag
            # is asked for does not matter.
            cursor.string()
            cursor.space()
            if cursor.word() not in (b"PRIV", b"SHARED", b"ALL"):
                cursor.fail("priv, shared or all")
            cursor.space()
        return cursor.number(most=_MAX_MODSEQ)

    def _text(self) -> str:
        octets = self._cursor.astring()
        try:
            return octets.decode(self._charset)
        except (UnicodeError, ValueError):
            raise Bad("A search text does not fit its charset") from None


def _made(kind: Literal["AND", "OR", "NOT"], children: list[Key]) -> Key:
    """A group, flattened: an OR of ORs is one OR, NOT NOT is nothing."""
    if kind == "NOT":
        child = children[0]
        if isinstance(child, Group) and child.kind == "NOT":
            return child.children[0]
        return _group("NOT", [child])
    if len(children) == 1:
        return children[0]
    flat: list[Key] = []
    for child in children:
        if isinstance(child, Group) and child.kind == kind:
            flat.extend(child.children)
        else:
            flat.append(child)
    return _group(kind, flat)


def _group(kind: Literal["AND", "OR", "NOT"], children: list[Key]) -> Group:
    # NOT and OR in turns nest without brackets: who walks the tree must not go too deep.
    depth = 1 + max(child.depth if isinstance(child, Group) else 0 for child in children)
    if depth > MAX_TREE:
        raise Bad(f"The criteria are nested more than {MAX_TREE} deep")
    return Group(kind, tuple(children), depth)
