"""COMPRESS: from here on both sides send DEFLATE.

After login only, so that what a stranger can make us inflate is nothing, and no attacker's
text shares a window with a password (T70).

Standards: RFC 4978.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.errors import Bad, HangUp, No
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import Compress, Steps, ask
from mailstack.imap.response import status_line

if TYPE_CHECKING:
    from mailstack.imap.commands.entry import Ok
    from mailstack.imap.session import Session


def compress(session: Session, cursor: Cursor) -> Steps[Ok | None]:
    """Turns it on, once; the tagged OK is the last that goes out as it is."""
    name = cursor.word()
    cursor.end()
    if not session.options.compress:
        raise No("Compression is switched off here", code="CANNOT")
    if name != b"DEFLATE":
        raise Bad("DEFLATE is the only compression there is")
    if session.compressed:
        raise No("DEFLATE is active already", code="COMPRESSIONACTIVE")
    if session.framer.held:
        # RFC 4978 section 3: the client waits for the OK.  What follows could be either.
        raise HangUp("Octets behind COMPRESS")
    session.write(status_line(session.tag, "OK", "DEFLATE active"))
    yield from ask(Compress())
    session.compressed = True
    return None
