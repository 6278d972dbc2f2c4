"""What a connection may log in with, beside passwords.

Standards: RFC 5929 section 4 (tls-server-end-point).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from mailstack.model.secret import Verifier
from mailstack.net import tls
from mailstack.sasl.exchange import PASSWORDS, Offer

_NONCE_OCTETS = 18


def make_offer(verifier: Callable[[str], Verifier] | None, transport: asyncio.BaseTransport | None) -> Offer:
    """The offer of a connection as it is now.

    Args:
        verifier: for SCRAM, by login; None: it is not offered.
    """
    if verifier is None:
        return PASSWORDS
    end_point = tls.end_point(transport) if transport is not None else b""
    bindings = (("tls-server-end-point", end_point),) if end_point else ()
    return Offer(verifier, lambda: os.urandom(_NONCE_OCTETS), bindings)
