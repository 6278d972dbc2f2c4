"""UNAUTHENTICATE: the connection is a stranger's again, and may log in as somebody else.

Standards: RFC 8437.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.errors import Bad
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps, Unauthenticate, ask
from mailstack.imap.response import status_line

if TYPE_CHECKING:
    from mailstack.imap.commands.entry import Ok
    from mailstack.imap.session import Session


def unauthenticate(session: Session, cursor: Cursor) -> Steps[Ok | None]:
    """Forgets the user; TLS and ID stay.  Nothing is expunged."""
    cursor.end()
    if not session.options.unauthenticate:
        raise Bad("There is no such command")
    session.write(status_line(session.tag, "OK", "You are nobody now"))
    yield from ask(Unauthenticate())
    session.logged_out()
    return None
