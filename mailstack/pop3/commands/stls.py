"""STLS: from here on encrypted, and everything said before is forgotten.

Octets that came in clear behind the command would count as sent under TLS, so they end
the connection (T3); they are never executed.

Standards: RFC 2595 section 4, RFC 6856 section 2.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.model.asking import StartTls, Steps, ask
from mailstack.pop3.errors import HangUp, Refused
from mailstack.pop3.response import ok

if TYPE_CHECKING:
    from mailstack.pop3.session import Session


def stls(session: Session, argument: bytes) -> Steps[None]:
    """Asks the shell for the handshake; the +OK goes out in clear before it."""
    if session.tls:
        raise Refused("TLS is already active")
    if not session.can_start_tls or session.utf8:
        raise Refused("TLS is not available now")
    if session.lines.held:
        raise HangUp("Octets behind STLS")
    session.write(ok("Begin TLS negotiation"))
    yield from ask(StartTls())
    session.restart_encrypted()
