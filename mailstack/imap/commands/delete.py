"""DELETE: removes a folder; its messages stay restorable.

Standards: RFC 9051 section 6.3.5, RFC 3501 section 6.3.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import status_line

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def delete(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Removes a folder; other sessions that have it selected are ended."""
    name = session.read_name(cursor)
    cursor.end()
    if name == "INBOX":
        raise No("INBOX cannot be deleted", code="CANNOT")
    yield from slow(lambda store: store.delete(name))
    if session.view is not None and session.view.name == name:
        session.write(status_line(b"*", "OK", "The selected mailbox is closed", code="CLOSED"))
        session.deselect()
    yield from session.changed(name)
    return Ok("Delete completed")
