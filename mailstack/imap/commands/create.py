"""CREATE: a new folder.

Standards: RFC 3501 section 6.3.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import No
from mailstack.imap.names import check_new_name, decode_name
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, slow

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def create(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Makes a folder; missing parents are not made, they show as \\NonExistent."""
    name = check_new_name(decode_name(cursor.astring()))
    cursor.end()
    if name == "INBOX":
        raise No("INBOX is always there", code="ALREADYEXISTS")
    yield from slow(lambda store: store.create(name))
    yield from session.changed(name)
    return Ok("Create completed")
