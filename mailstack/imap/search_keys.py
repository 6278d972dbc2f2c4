"""SEARCH's criteria as a tree, parsed without recursion.

AND and OR take any number of children: a chain of a hundred ORs, as clients write for
a hundred senders, is one node.  Only brackets nest, up to MAX_DEPTH.

Standards: RFC 3501 sections 6.4.4 and 9 (search-key).  Numbers: limits, section 6.
Imports: grammar, parser.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mailstack.imap.errors import Bad, No
from mailstack.imap.grammar import MessageSet, parse_date, parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.response import RECENT
from mailstack.model.mailbox import Flags

MAX_KEYS = 1_000
MAX_DEPTH = 20
MAX_TREE = 60
_CHARSETS = {b"UTF-8": "utf-8", b"US-ASCII": "ascii", b"ASCII": "ascii"}

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
    """BEFORE, ON, SINCE and their SENT forms; `day` counts from 1970-01-01."""

    comparison: Comparison
    day: int
    sent: bool


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


Key: TypeAlias = "HasFlag | HasKeyword | Size | Dated | InSet | InHeader | InBody | Everything | Group"

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
    b"NEW": Group("AND", (HasFlag(RECENT), Group("NOT", (HasFlag(Flags.SEEN),)))),
}
_HEADERS = {b"BCC": "bcc", b"CC": "cc", b"FROM": "from", b"SUBJECT": "subject", b"TO": "to"}
_DATES: dict[bytes, tuple[Comparison, bool]] = {
    b"BEFORE": ("<", False),
    b"ON": ("=", False),
    b"SINCE": (">=", False),
    b"SENTBEFORE": ("<", True),
    b"SENTON": ("=", True),
    b"SENTSINCE": (">=", True),
}


@dataclass(slots=True)
class _Open:
    """A group being read; `wanted` children end it, None: a bracket or the end does."""

    kind: Literal["AND", "OR", "NOT"]
    wanted: int | None
    bracket: bool = False
    children: list[Key] = field(default_factory=list)


def parse_search(cursor: Cursor) -> Key:
    """Everything behind SEARCH.

    Raises:
        Bad: not criteria, too deep or too many.
        No: BADCHARSET.
    """
    charset = "utf-8"
    if cursor.take(b"CHARSET "):
        known = _CHARSETS.get(cursor.astring().upper())
        if known is None:
            raise No("That charset is not known", code="BADCHARSET (UTF-8 US-ASCII)")
        charset = known
        cursor.space()
    return _Reader(cursor, charset).read()


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
        if cursor.peek() in b"0123456789*":
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
            comparison, sent = _DATES[word]
            return Dated(comparison, parse_date(cursor), sent)
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
            case b"LARGER" | b"SMALLER":
                return Size(word == b"LARGER", cursor.number())
            case b"UID":
                return InSet(parse_set(cursor.set_text()), uid=True)
            case _:
                raise Bad("There is no such search key")

    def _text(self) -> str:
        octets = self._cursor.astring()
        try:
            return octets.decode(self._charset)
        except UnicodeDecodeError:
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
