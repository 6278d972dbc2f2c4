"""What may stand behind the items of FETCH, and which messages are left by it.

Standards: RFC 4466 section 2.3, RFC 7162 sections 3.1.4.1 (CHANGEDSINCE) and 3.2.6
(VANISHED), RFC 9394 section 3.3 (PARTIAL).
Imports: model, errors, grammar, parser, requests, telling.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.imap.errors import Bad
from mailstack.imap.grammar import MAX_MODSEQ, MessageSet, as_ranges
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import vanished_lines
from mailstack.imap.telling import enable_condstore, write_lines
from mailstack.model.mailbox import AccountStore
from mailstack.model.ranges import Range, common, gaps

if TYPE_CHECKING:
    from mailstack.imap.session import Session

# No list of items can end like this: what stands in brackets in one ends in "]" or is no modifier.
_TAIL = re.compile(rb" \(((?:CHANGEDSINCE|VANISHED|PARTIAL)(?: [A-Z0-9:\-]+)*)\)\Z", re.IGNORECASE)
_PARTIAL = re.compile(rb"(-?)([0-9]{1,10}):\1([0-9]{1,10})(?![0-9])")


@dataclass(frozen=True, slots=True)
class Modifiers:
    """Parsed modifiers.

    Attributes:
        since: only messages with a higher MODSEQ; None: all.
        vanished: those gone since then are told first.
        partial: the first and last of the messages, counted from 1, or from -1 backwards;
            the one nearer to where counting begins stands first.
    """

    since: int | None = None
    vanished: bool = False
    partial: tuple[int, int] | None = None


NONE = Modifiers()


def split(text: bytes) -> tuple[bytes, Modifiers]:
    """The items, and the modifiers behind them.

    Raises:
        Bad: a modifier stands there twice, or its argument is none.
    """
    tail = _TAIL.search(text)
    if tail is None:
        return text, NONE
    cursor = Cursor(tail[1])
    since: int | None = None
    vanished = False
    partial: tuple[int, int] | None = None
    while True:
        word = cursor.word()
        if word == b"CHANGEDSINCE" and since is None:
            cursor.space()
            since = cursor.number(most=MAX_MODSEQ)
        elif word == b"VANISHED" and not vanished:
            vanished = True
        elif word == b"PARTIAL" and partial is None:
            cursor.space()
            partial = parse_partial(cursor)
        else:
            raise Bad("There is no such modifier of FETCH, or it stands there twice")
        if cursor.at_end:
            return text[: tail.start()], Modifiers(since, vanished, partial)
        cursor.space()


def parse_partial(cursor: Cursor) -> tuple[int, int]:
    """`1:500` or `-1:-500`; the end nearer to where counting begins stands first.

    Source: RFC 9394 section 4, partial-range.
    """
    found = _PARTIAL.match(cursor.data, cursor.at)
    low, high = sorted((int(found[2]), int(found[3]))) if found is not None else (0, 0)
    if found is None or not low:
        cursor.fail("a range such as 1:100 or -1:-100")
    cursor.at = found.end()
    return (-low, -high) if found[1] else (low, high)


def part_of(places: Sequence[int], partial: tuple[int, int]) -> list[int]:
    """The results in a range, in mailbox order."""
    near, far = partial
    if near > 0:
        return list(places[near - 1 : far])
    count = len(places)
    return list(places[max(count + far, 0) : max(count + near + 1, 0)])


def choose(session: Session, wanted: MessageSet, modifiers: Modifiers, *, uid: bool) -> Steps[list[int]]:
    """Positions of the messages to answer with; tells which have vanished.

    Raises:
        Bad: a modifier that is not allowed here.
    """
    if (modifiers.vanished or modifiers.partial is not None) and not uid:
        raise Bad("VANISHED and PARTIAL are for UID FETCH only")
    if modifiers.vanished and (modifiers.since is None or "QRESYNC" not in session.enabled):
        raise Bad("VANISHED wants CHANGEDSINCE, and ENABLE QRESYNC before")
    places = session.places(wanted, uid=uid)
    view = session.selected
    if modifiers.partial is not None:
        places = part_of([at for at in places if view.uids[at] not in view.gone], modifiers.partial)
    if modifiers.since is not None:
        enable_condstore(session)
        since = modifiers.since
        if modifiers.vanished:
            yield from _tell_vanished(session, as_ranges(wanted, view.last_uid, session.saved_uids), since)
        places = [at for at in places if view.modseqs[at] > since]
    return places


def _tell_vanished(session: Session, asked: list[Range], since: int) -> Steps[None]:
    view = session.selected
    # What the client still counts is told without EARLIER, by the sync that follows.
    absent = gaps(view.uids, view.last_uid + 1)
    absent.append((view.last_uid + 1, asked[-1][1] if asked else 0))

    def look(store: AccountStore) -> list[Range]:
        return common(common(store.expunged(view.folder_id, since_modseq=since), asked), absent)

    yield from write_lines(session, vanished_lines((yield from slow(look)), earlier=True))
