"""STARTTLS: from here on encrypted, and everything said before is forgotten.

Octets that came in clear behind the command would count as sent under TLS, so they
end the connection (T3); they are never executed.

Standards: RFC 3501 section 6.2.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.commands.entry import Ok
from mailstack.imap.errors import Bad, HangUp
from mailstack.imap.parser import Cursor
from mailstack.imap.requests import StartTls, Steps, ask
from mailstack.imap.response import status_line

if TYPE_CHECKING:
    from mailstack.imap.session import Session


def starttls(session: Session, cursor: Cursor) -> Steps[Ok | None]:
    """Asks the shell for the handshake; the tagged OK goes out in clear before it."""
    cursor.end()
    if not session.can_start_tls:
        raise Bad("TLS is already active" if session.tls else "TLS is not available")
    if session.framer.held:
        raise HangUp("Octets behind STARTTLS")
    session.write(status_line(session.tag, "OK", "Begin TLS negotiation now"))
    yield from ask(StartTls())
    session.restart_encrypted()
    return None
