"""NAMESPACE: one personal namespace, no others yet.

Standards: RFC 2342.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.parser import Cursor

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def namespace(session: Session, cursor: Cursor) -> Ok:
    """Names begin at the root and are divided by "/"."""
    cursor.end()
    session.write(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return Ok("Namespace completed")
