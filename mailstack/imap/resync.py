"""Parameters of SELECT, and what a client that has been away must be told.

Standards: RFC 7162 sections 3.1.8 and 3.2.5, RFC 4466 section 2.1, RFC 9586 section 3.6.
Imports: model, errors, grammar, parser, view.  No I/O.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mailstack.imap.errors import Bad
from mailstack.imap.grammar import MAX_MODSEQ, MAX_NUMBER, parse_ranges, parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.view import View
from mailstack.model.ranges import Range, common


@dataclass(frozen=True, slots=True)
class Resync:
    """QRESYNC: what the client knows.

    Attributes:
        uids: of the messages it knows; None: all.
        numbers, matching: some sequence numbers and the UIDs it knows for them, as ranges
            in ascending order that hold as many numbers.
    """

    uid_validity: int
    modseq: int
    uids: list[Range] | None = None
    numbers: tuple[Range, ...] = ()
    matching: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameters:
    """What may stand in brackets behind the mailbox of SELECT."""

    condstore: bool = False
    resync: Resync | None = None


@dataclass(slots=True)
class Missed:
    """What happened while the client was away.

    Attributes:
        vanished: UIDs that are gone.
        changed: positions in the view.
    """

    vanished: list[Range] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)


def parse_parameters(cursor: Cursor) -> Parameters:
    """` (CONDSTORE)` or ` (QRESYNC (...))`, both, or nothing.

    Raises:
        Bad: neither, twice, or an argument that is none.
    """
    if not cursor.take(b" ("):
        return Parameters()
    condstore = False
    resync: Resync | None = None
    while True:
        word = cursor.word()
        if word == b"CONDSTORE" and not condstore:
            condstore = True
        elif word == b"QRESYNC" and resync is None:
            cursor.space()
            resync = _parse_resync(cursor)
        else:
            raise Bad("There is no such parameter of SELECT, or it stands there twice")
        if cursor.take(b")"):
            return Parameters(condstore, resync)
        cursor.space()


def _parse_resync(cursor: Cursor) -> Resync:
    cursor.expect(b"(")
    uid_validity = cursor.number()
    cursor.space()
    modseq = cursor.number(most=MAX_MODSEQ)
    uids: list[Range] | None = None
    numbers: tuple[Range, ...] = ()
    matching: tuple[Range, ...] = ()
    if cursor.take(b" ") and cursor.peek() != b"(":
        uids = parse_ranges(cursor.set_text())
        cursor.take(b" ")
    if cursor.take(b"("):
        numbers = _ascending(cursor)
        cursor.space()
        matching = _ascending(cursor)
        cursor.expect(b")")
        if _count(numbers) != _count(matching):
            raise Bad("There must be as many message numbers as UIDs")
    cursor.expect(b")")
    return Resync(uid_validity, modseq, uids, numbers, matching)


def _ascending(cursor: Cursor) -> tuple[Range, ...]:
    pairs = parse_set(cursor.set_text())
    last = 0
    for low, high in pairs:
        if not last < low <= high:
            raise Bad("The numbers must be in ascending order, and numbers only")
        last = high
    return pairs


def _count(pairs: Sequence[Range]) -> int:
    return sum(high - low + 1 for low, high in pairs)


def missed(view: View, resync: Resync, gone: Sequence[Range], uid_next: int) -> Missed:
    """What the client does not know.

    Args:
        gone: expunged since the MODSEQ it knows, read before the messages of `view`.
    """
    known = resync.uids if resync.uids is not None else [(1, uid_next - 1)] if uid_next > 1 else []
    told = known_up_to(resync, view.uids)
    vanished = common(common(gone, known), [(told + 1, MAX_NUMBER)])
    changed = [
        at
        for low, high in known
        for at in range(bisect_left(view.uids, low), bisect_right(view.uids, high))
        if view.modseqs[at] > resync.modseq
    ]
    return Missed(vanished, changed)


def known_up_to(resync: Resync, uids: Sequence[int]) -> int:
    """Up to this UID the client has proved to know what is gone; 0: it has proved nothing.

    Source: RFC 7162 section 3.2.5.2.
    """
    known = 0
    for number, uid, length in _aligned(resync.numbers, resync.matching):
        at = _last_match(uids, number - 1, uid, length)
        if at >= 0:
            known = uids[at]
    return known


def _last_match(uids: Sequence[int], begin: int, uid: int, length: int) -> int:
    """The last position from `begin` on where the UID is as far from `uid`; -1: none."""
    # UIDs grow at least as fast as positions, so those that fit are neighbours.
    here = range(begin, min(begin + length, len(uids)))
    found = bisect_right(here, uid - begin, key=lambda at: uids[at] - at) - 1
    return here[found] if found >= 0 and uids[here[found]] - here[found] == uid - begin else -1


def _aligned(numbers: Sequence[Range], uids: Sequence[Range]) -> Iterator[tuple[int, int, int]]:
    """Runs in which number and UID go up together: first number, first UID, length."""
    left = iter(uids)
    uid, last_uid = next(left, (1, 0))
    for first, last in numbers:
        number = first
        while number <= last:
            if uid > last_uid:
                uid, last_uid = next(left)
            length = min(last - number, last_uid - uid) + 1
            yield number, uid, length
            number += length
            uid += length
