"""STARTTLS: from here on encrypted, and everything said before is forgotten.

Octets that came in clear behind the command would count as sent under TLS, so they end
the connection (T3, L1); they are never executed.

Standards: RFC 5804 section 2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.managesieve.capability import capabilities
from mailstack.managesieve.commands.entry import Args
from mailstack.managesieve.errors import HangUp, Refused
from mailstack.managesieve.response import status
from mailstack.model.asking import StartTls, Steps, ask

if TYPE_CHECKING:
    from mailstack.managesieve.session import Session


def starttls(session: Session, args: Args) -> Steps[bytes]:
    """Asks the shell for the handshake; the OK goes out in clear before it."""
    if session.tls:
        raise Refused("TLS is already active")
    if not session.can_start_tls:
        raise Refused("TLS is not available")
    if session.framer.held:
        raise HangUp("Octets behind STARTTLS")
    session.write(status("OK", "Begin TLS negotiation"))
    yield from ask(StartTls())
    session.restart_encrypted()
    return capabilities(session) + status("OK", "TLS is active")
