"""DELE and RSET: marks, carried out by QUIT.

Standards: RFC 1939 section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailstack.pop3.session import Session


def dele(session: Session, argument: bytes) -> str:
    """Marks one message as deleted."""
    at = session.position(argument)
    session.delete(at)
    return f"Message {at + 1} deleted"


def rset(session: Session, argument: bytes) -> str:
    """Takes all marks back."""
    session.undelete()
    return f"{session.count} messages ({session.octets} octets)"
