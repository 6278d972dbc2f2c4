"""LOGOUT: the polite end.

Standards: RFC 3501 section 6.1.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor
from mailstack.imap.response import status_line

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def logout(session: Session, cursor: Cursor) -> Ok:
    """Says good-bye; the loop ends after the tagged OK."""
    cursor.end()
    session.write(status_line(b"*", "BYE", "Logging out"))
    session.leaving = True
    return Ok("Logout completed")
