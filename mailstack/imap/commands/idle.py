"""IDLE: the server speaks first.

Standards: RFC 2177.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad
from mailstack.imap.lingering import linger, tell
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Steps

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def idle(session: Session, cursor: Cursor) -> Steps[Ok]:
    """Tells changes until DONE; several at once, at most every `idle_update_s`."""
    cursor.end()
    session.write(b"+ idling\r\n")
    yield from tell(session, expunge=True)
    while (line := session.framer.line()) is None:
        yield from linger(session, expunge=True)
        yield from session.read_more()
    if line.upper() != b"DONE":
        raise Bad("Expected DONE")
    return Ok("Idle completed")
