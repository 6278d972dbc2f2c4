"""What a SEARCH or SORT is to return: the list behind RETURN, and what it chooses.

Standards: RFC 9051 sections 6.4.4 and 7.3.4, RFC 4731 (ESEARCH), RFC 5182 (SAVE), RFC 5267
(UPDATE, CONTEXT, PARTIAL), RFC 9394 (PARTIAL from the end).
Imports: parser, response.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailstack.imap.errors import Bad
from mailstack.imap.grammar import MAX_NUMBER
from mailstack.imap.parser import Cursor
from mailstack.imap.response import compress

_RANGE = re.compile(rb"(-?)([1-9][0-9]{0,9}):(-?)([1-9][0-9]{0,9})(?=[ )])")
_WORDS = (b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE", b"UPDATE", b"CONTEXT")


@dataclass(frozen=True, slots=True)
class Partial:
    """A window on the results.

    Attributes:
        text: as it is told, the end nearer to where counting begins first.
        first, last: counted from 1, `first` not above `last`.
        from_end: 1 is the last result.
    """

    text: bytes
    first: int
    last: int
    from_end: bool

    def of(self, found: Sequence[int]) -> Sequence[int]:
        """The results in the window, in their order."""
        if not self.from_end:
            return found[self.first - 1 : self.last]
        end = len(found) - self.first + 1
        return found[max(end - (self.last - self.first + 1), 0) : end] if end > 0 else ()


@dataclass(frozen=True, slots=True)
class Options:
    """What is wanted.

    Attributes:
        words: of MIN, MAX, ALL, COUNT, SAVE, UPDATE, CONTEXT.
        extended: the answer is an ESEARCH response.
    """

    words: frozenset[bytes]
    partial: Partial | None = None
    extended: bool = True

    def has(self, word: bytes) -> bool:
        """True when the client asked for it."""
        return word in self.words

    def chosen(self, found: Sequence[int]) -> Sequence[int]:
        """The results that SAVE keeps, and whose highest MODSEQ is told.

        Source: RFC 5182 section 2.4, RFC 9394 section 3.2, RFC 4731 section 3.2.
        """
        if self.words & {b"ALL", b"COUNT"} or not (self.partial or self.words & {b"MIN", b"MAX"}):
            return found
        chosen = dict.fromkeys(self.partial.of(found) if self.partial is not None else ())
        if found and self.has(b"MIN"):
            chosen[found[0]] = None
        if found and self.has(b"MAX"):
            chosen[found[-1]] = None
        return list(chosen)


PLAIN = Options(frozenset({b"ALL"}), extended=False)
ALL = Options(frozenset({b"ALL"}))


def parse_options(cursor: Cursor) -> Options | None:
    """`RETURN (...) `; None: there is none.

    Raises:
        Bad: an option we do not know; PARTIAL twice or with ALL.

    Source: RFC 9051 section 9, search-return-opts; an empty list is ALL.
    """
    if not cursor.take(b"RETURN ("):
        return None
    words: set[bytes] = set()
    partial: Partial | None = None
    if not cursor.take(b")"):
        while True:
            word = cursor.word()
            if word == b"PARTIAL" and partial is None:
                cursor.space()
                partial = parse_partial(cursor)
            elif word in _WORDS:
                words.add(word)
            else:
                raise Bad("There is no such result option, or it may be given once")
            if cursor.take(b")"):
                break
            cursor.space()
    cursor.space()
    if partial is not None and b"ALL" in words:
        raise Bad("PARTIAL and ALL exclude each other")
    return Options(frozenset(words or (() if partial is not None else (b"ALL",))), partial)


def parse_partial(cursor: Cursor) -> Partial:
    """The range behind PARTIAL; a space or a bracket follows.

    Source: RFC 9394 section 4, partial-range.
    """
    found = _RANGE.match(cursor.data, cursor.at)
    if found is None or found[1] != found[3]:
        cursor.fail("a range of results")
    first, last = sorted((int(found[2]), int(found[4])))
    if last > MAX_NUMBER:
        cursor.fail("a range of results")
    cursor.at = found.end()
    # RFC 5267 section 5: 500:400 is the same as 400:500.
    text = b"%b%d:%b%d" % (found[1], first, found[1], last)
    return Partial(text, first, last, from_end=bool(found[1]))


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of a search.

    Attributes:
        places: positions in the view, in the order of the answer.
        number: what the client is told for a position.
        modseq: of a position; None: nobody asked.
    """

    places: Sequence[int]
    number: Callable[[int], int]
    modseq: Callable[[int], int] | None = None

    def highest(self, options: Options) -> int:
        """The highest MODSEQ of what is returned; 0: nothing to tell."""
        if self.modseq is None:
            return 0
        return max(map(self.modseq, options.chosen(self.places)), default=0)


def plain_line(word: bytes, found: Found) -> bytes:
    """`* SEARCH 2 5 (MODSEQ 9)`; the same for SORT.

    Source: RFC 3501 section 7.2.5, RFC 7162 section 3.1.6.
    """
    parts = [b"* " + word, *(b"%d" % found.number(at) for at in found.places)]
    if highest := found.highest(PLAIN):
        parts.append(b"(MODSEQ %d)" % highest)
    return b" ".join(parts) + b"\r\n"


def extended_line(correlator: bytes, found: Found, options: Options, *, uid: bool) -> bytes:
    """The ESEARCH response; b"" when nothing but SAVE, UPDATE or CONTEXT was asked for.

    Args:
        correlator: what stands in its first brackets, such as `TAG "a1"`.

    Source: RFC 9051 section 7.3.4, RFC 4731 section 3.1, RFC 5267 section 4.4.
    """
    items = _items(found, options)
    if items is None:
        return b""
    head = b"* ESEARCH (" + correlator + (b") UID" if uid else b")")
    if highest := found.highest(options):
        items.append(b"MODSEQ %d" % highest)
    return b" ".join([head, *items]) + b"\r\n"


def _items(found: Found, options: Options) -> list[bytes] | None:
    items = []
    places, number = found.places, found.number
    if not options.partial and not options.words & {b"MIN", b"MAX", b"ALL", b"COUNT"}:
        return None
    if places and options.has(b"MIN"):
        items.append(b"MIN %d" % number(places[0]))
    if places and options.has(b"MAX"):
        items.append(b"MAX %d" % number(places[-1]))
    if places and options.has(b"ALL"):
        items.append(b"ALL " + compress(map(number, places)))
    if options.has(b"COUNT"):
        items.append(b"COUNT %d" % len(places))
    if options.partial is not None:
        window = compress(map(number, options.partial.of(places))) or b"NIL"
        items.append(b"PARTIAL (%b %b)" % (options.partial.text, window))
    return items
