"""SEARCH: the messages that fit, by number or by UID.

Standards: RFC 3501 section 6.4.4, RFC 5530 (LIMIT).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.matching import Matcher, count, needs_messages
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.search_keys import parse_search
from mailstack.imap.view import View
from mailstack.model.mailbox import AccountStore

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Messages, and octets of messages, looked at in one visit to the store.
_MESSAGES = 128
_OCTETS = 4_194_304
#: Comparisons that may run on the loop's thread.
_QUICK = 50_000


def search(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with sequence numbers."""
    return (yield from _search(session, cursor, uid=False))


def uid_search(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with UIDs."""
    return (yield from _search(session, cursor, uid=True))


def _search(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    key = parse_search(cursor)
    cursor.end()
    view = session.selected
    matcher = Matcher(view, key)
    places = list(range(len(view)))
    if needs_messages(key):
        found = yield from _with_messages(session, matcher, places)
    elif count(key) * len(view) <= _QUICK:
        found = matcher.run(places)
    else:
        found = yield from slow(lambda store: matcher.run(places))
    numbers = [view.uids[at] for at in found] if uid else [at + 1 for at in found]
    session.write(b"* SEARCH%b\r\n" % b"".join([b" %d" % number for number in numbers]))
    return Ok("Search completed")


def _with_messages(session: Session, matcher: Matcher, places: list[int]) -> Steps[list[int]]:
    view = session.selected
    deadline = session.clock() + session.options.search_time_s
    found: list[int] = []
    for piece in _pieces(view, places):
        found.extend((yield from slow(partial(_look, matcher, view.folder_id, piece))))
        if session.clock() > deadline:
            raise No(f"The search took more than {session.options.search_time_s:g} s", code="LIMIT")
    return found


def _look(matcher: Matcher, folder_id: int, piece: list[int], store: AccountStore) -> list[int]:
    return matcher.run(piece, partial(store.open, folder_id))


def _pieces(view: View, places: list[int]) -> Iterator[list[int]]:
    piece: list[int] = []
    octets = 0
    for at in places:
        piece.append(at)
        octets += view.sizes[at]
        if len(piece) >= _MESSAGES or octets >= _OCTETS:
            yield piece
            piece, octets = [], 0
    if piece:
        yield piece
