"""DELETE: removes a folder; its messages stay restorable.

Standards: RFC 3501 section 6.3.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.names import decode_name
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def delete(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Removes a folder; sessions that have it selected are ended."""
    name = decode_name(cursor.astring())
    cursor.end()
    if name == "INBOX":
        raise No("INBOX cannot be deleted", code="CANNOT")
    yield from slow(lambda store: store.delete(name))
    if session.view is not None and session.view.name == name:
        session.view = None
    yield from session.changed(name)
    return Ok("Delete completed")
