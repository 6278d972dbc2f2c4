"""What CAPA tells.

Standards: RFC 2449 sections 5 and 6, RFC 2595 (STLS), RFC 3206 (AUTH-RESP-CODE),
RFC 5034 (SASL), RFC 6856 (UTF8).
Imports: sasl.  No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.sasl import exchange

if TYPE_CHECKING:
    from mailstack.pop3.session import Session


def capabilities(session: Session) -> list[str]:
    """One line each."""
    lines = ["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8"]
    days = session.account.pop3_delete_after_days if session.account is not None else None
    lines.append(f"EXPIRE {'NEVER' if days is None else days}")
    if session.takes_passwords:
        lines += ["USER", " ".join(["SASL", *exchange.mechanisms(session.offer())])]
    if session.can_start_tls:
        lines.append("STLS")
    return [*lines, "IMPLEMENTATION mailstack"]
