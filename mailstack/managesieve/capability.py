"""What the greeting and CAPABILITY tell.

Standards: RFC 5804 sections 1.7 and 2.14; RFC 5435 section 8 (NOTIFY).
Imports: sasl.  No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.managesieve.response import string
from mailstack.sasl import exchange

if TYPE_CHECKING:
    from mailstack.managesieve.session import Session


def capabilities(session: Session) -> bytes:
    """One line each, without the OK behind them."""
    terms = session.terms(session.account)
    mechanisms = exchange.mechanisms(session.offer()) if session.takes_passwords else ()
    values: dict[str, str | None] = {
        "IMPLEMENTATION": "mailstack",
        "VERSION": "1.0",
        "SASL": " ".join(mechanisms),
        "SIEVE": " ".join(terms.extensions),
        "MAXREDIRECTS": str(terms.max_redirects),
        "LANGUAGE": "en",
        "UNAUTHENTICATE": None,
    }
    if terms.notify:
        values["NOTIFY"] = " ".join(terms.notify)
    if session.account is not None:
        values["OWNER"] = str(session.account.address)
    elif session.can_start_tls:
        values["STARTTLS"] = None
    return b"".join(_line(name, value) for name, value in values.items())


def _line(name: str, value: str | None) -> bytes:
    name_octets = string(name.encode("ascii"))
    return name_octets + (b"" if value is None else b" " + string(value.encode("utf-8"))) + b"\r\n"
