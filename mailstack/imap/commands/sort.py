"""SORT: the messages that fit, in an order; with RETURN as an ESEARCH response.

Standards: RFC 5256 section 3, RFC 5957, RFC 5267 section 3 (ESORT), RFC 7162 section 3.1.6.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.search import forget_saved, outcome, refuse_numbers, save
from mailstack.imap.errors import No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps
from mailstack.imap.search_keys import parse_charset, parse_search
from mailstack.imap.search_options import PLAIN, extended_line, parse_options, plain_line
from mailstack.imap.searching import Deadline, at_store, find, load_fields
from mailstack.imap.sorting import Criterion, Sorter, parse_criteria
from mailstack.imap.view import View
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: Messages that may be sorted on the loop's thread.
_QUICK = 500


def sort(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with sequence numbers."""
    refuse_numbers(session)
    return (yield from _sort(session, cursor, uid=False))


def uid_sort(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with UIDs."""
    return (yield from _sort(session, cursor, uid=True))


def _sort(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    options = parse_options(cursor) or PLAIN
    criteria = parse_criteria(cursor)
    cursor.space()
    try:
        charset = parse_charset(cursor.astring())
        cursor.space()
        key = parse_search(cursor, charset)
        cursor.end()
        deadline = Deadline(session)
        found = yield from find(session, key, deadline)
        places = yield from sorted_places(session.selected, found, criteria, deadline)
    except (No, MailboxError, TemporaryFailure):
        forget_saved(session, options)
        raise
    result = outcome(session, key, places, uid=uid)
    if options.extended:
        session.write(extended_line(b'TAG "%b"' % session.tag, result, options, uid=uid))
    else:
        session.write(plain_line(b"SORT", result))
    save(session, options, places)
    return Ok("Sort completed")


def sorted_places(
    view: View, places: list[int], criteria: tuple[Criterion, ...], deadline: Deadline
) -> Steps[list[int]]:
    """Positions in the order asked for; messages that vanish meanwhile are left out.

    Raises:
        No: LIMIT.
    """
    sorter = Sorter(view, criteria)
    if sorter.needs_fields:
        yield from load_fields(view, places, sorter.learn, deadline)
    else:
        sorter.learn(places, {})
    if len(places) <= _QUICK:
        return sorter.order()
    deadline.check()
    return (yield from at_store(view, partial(_order, sorter)))


def _order(sorter: Sorter, _: object) -> list[int]:
    return sorter.order()
