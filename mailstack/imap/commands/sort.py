"""SORT: the messages that fit, in an order; with RETURN as an ESEARCH response.

Standards: RFC 5256 section 3, RFC 5957, RFC 5267 (ESORT, contexts), RFC 7162 section 3.1.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap import contexts
from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.search import conclude, forget_saved, read_program
from mailstack.imap.errors import No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps
from mailstack.imap.search_options import PLAIN, parse_options
from mailstack.imap.searching import Deadline, find, sorted_places
from mailstack.imap.sorting import parse_criteria
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def sort(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with sequence numbers."""
    return (yield from _sort(session, cursor, uid=False))


def uid_sort(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with UIDs."""
    return (yield from _sort(session, cursor, uid=True))


def _sort(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    options = parse_options(cursor) or PLAIN
    if options.has(b"UPDATE"):
        contexts.check_tag(session)
    criteria = parse_criteria(cursor)
    cursor.space()
    try:
        key = read_program(cursor)
        deadline = Deadline(session)
        found = yield from find(session, key, deadline)
        places = yield from sorted_places(session.selected, found, criteria, deadline)
    except (No, MailboxError, TemporaryFailure):
        forget_saved(session, options)
        raise
    yield from conclude(session, b"SORT", key, places, options, uid=uid, criteria=criteria)
    return Ok("Sort completed")
