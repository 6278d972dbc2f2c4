"""CAPABILITY: what this server can do, here and now.

Standards: RFC 3501 section 6.1.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.capability import capabilities
from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def capability(session: Session, cursor: Cursor) -> Ok:
    """Lists our capabilities."""
    cursor.end()
    session.write(b"* CAPABILITY %b\r\n" % capabilities(session).encode())
    return Ok("Capability completed")
