"""REPLACE: a new message instead of an old one, as one action.

Standards: RFC 8508.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.catenate import Assembly, read_drafts
from mailstack.imap.commands.append import append_uid
from mailstack.imap.commands.entry import Ok
from mailstack.imap.commands.expunge import check_writable
from mailstack.imap.errors import No
from mailstack.imap.grammar import parse_set
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import status_line

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def replace(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Replaces by number."""
    return (yield from _replace(session, cursor, uid=False))


def uid_replace(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Replaces by UID."""
    return (yield from _replace(session, cursor, uid=True))


def _replace(session: Session, cursor: Cursor, *, uid: bool) -> Steps[Ok]:
    old = _old(session, cursor, uid=uid)
    cursor.space()
    name = session.read_name(cursor)
    drafts = read_drafts(session, cursor, most=1)
    view = session.selected
    check_writable(view)
    if old in view.gone or not old:
        raise No("There is no such message", code="EXPUNGEISSUED" if old else "NONEXISTENT")
    assembly = Assembly()
    try:
        yield from assembly.assemble(session, drafts)
        (message,) = assembly.messages
        done = yield from slow(lambda store: store.replace(view.folder_id, old, name, message))
    finally:
        assembly.close()
    view.lose([(old, old)])
    # RFC 8508 section 4.3: APPENDUID comes before the EXPUNGE, so in an untagged OK.
    session.write(status_line(b"*", "OK", "Replacement stored", code=append_uid(done)))
    yield from session.changed(name)
    yield from session.changed(view.name)
    return Ok("Replace completed")


def _old(session: Session, cursor: Cursor, *, uid: bool) -> int:
    """UID of the message to replace; 0: there is none of that UID."""
    text = b"*" if cursor.take(b"*") else b"%d" % cursor.number()
    places = session.places(parse_set(text), uid=uid)
    return session.selected.uids[places[0]] if places else 0
