"""CANCELUPDATE: no further updates to the results of these searches.

Standards: RFC 5267 section 4.3.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def cancelupdate(session: Session, cursor: Cursor) -> Ok:
    """Forgets the contexts with these tags; unknown ones do not matter."""
    tags = []
    while True:
        tags.append(cursor.string())
        if cursor.peek() != b" ":
            break
        cursor.space()
    cursor.end()
    session.contexts.cancel(tags)
    return Ok("No further updates")
