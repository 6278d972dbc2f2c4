"""RENAME: a folder with its children; INBOX gives its messages away.

Standards: RFC 3501 section 6.3.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.names import SEPARATOR, check_new_name, decode_name
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def rename(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Renames."""
    old = decode_name(cursor.astring())
    cursor.space()
    new = check_new_name(decode_name(cursor.astring()))
    cursor.end()
    if new == "INBOX":
        raise No("INBOX is always there", code="ALREADYEXISTS")
    if new.startswith(old + SEPARATOR) and old != "INBOX":
        raise No("A folder cannot move below itself", code="CANNOT")
    yield from slow(lambda store: store.rename(old, new))
    if session.view is not None and session.view.name == old != "INBOX":
        session.view.name = new
    yield from session.changed(new)
    return Ok("Rename completed")
