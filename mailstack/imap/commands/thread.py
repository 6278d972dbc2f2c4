"""THREAD: the messages that fit, as conversations.

Standards: RFC 5256 section 3 (ORDEREDSUBJECT, REFERENCES).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.search import outcome, read_program
from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps
from mailstack.imap.search_options import Found
from mailstack.imap.searching import Deadline, at_store, find, load_fields
from mailstack.imap.threads import OrderedSubject, References, write

if TYPE_CHECKING:
    from mailstack.imap.session import Session

_Algorithm: TypeAlias = OrderedSubject | References
_ALGORITHMS: dict[bytes, type[_Algorithm]] = {b"ORDEREDSUBJECT": OrderedSubject, b"REFERENCES": References}


def thread(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with sequence numbers."""
    return (yield from _thread(session, cursor, uid=False))


def uid_thread(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Answers with UIDs."""
    return (yield from _thread(session, cursor, uid=True))


def _thread(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    algorithm = _ALGORITHMS.get(cursor.word())
    if algorithm is None:
        raise Bad("There is no such threading algorithm")
    cursor.space()
    key = read_program(cursor)
    deadline = Deadline(session)
    places = yield from find(session, key, deadline)
    view = session.selected
    messages = algorithm(view)
    yield from load_fields(view, places, messages.learn, deadline)
    found = outcome(session, key, places, uid=uid)
    yield from deadline.pause(len(places), len(places))
    threads = (yield from at_store(view, partial(_text, messages, found))) if places else b""
    session.write(b"* THREAD%b%b\r\n" % (b" " if threads else b"", threads))
    return Ok("Thread completed")


def _text(messages: _Algorithm, found: Found, _: object) -> bytes:
    return write(messages.threads(), lambda message: found.number(messages.places[message]))
