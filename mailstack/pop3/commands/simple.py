"""CAPA, NOOP and UTF8: said in one breath.

Standards: RFC 1939 section 5, RFC 2449 section 5, RFC 6856 section 2.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.pop3.capability import capabilities
from mailstack.pop3.response import END, ok

if TYPE_CHECKING:
    from mailstack.pop3.session import Session


def capa(session: Session, argument: bytes) -> None:
    """Lists what there is."""
    lines = "".join(f"{line}\r\n" for line in capabilities(session))
    session.write(ok("Capability list follows") + lines.encode("ascii") + END)


def noop(session: Session, argument: bytes) -> str:
    """Does nothing."""
    return ""


def utf8(session: Session, argument: bytes) -> str:
    """Messages are sent as they are stored in either mode; only STLS is no longer possible."""
    session.utf8 = True
    return "UTF8 enabled"
