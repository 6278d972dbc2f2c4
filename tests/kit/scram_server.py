"""The server's side of a SCRAM login that knows some accounts, for tests of clients."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mailstack.model.secret import Verifier
from mailstack.sasl.scram import Scram, make_keys
from mailstack.sasl.steps import Offer

NAME, PASSWORD = "us@relay.test", "pencil, or = pen"
SALT = b"0123456789abcdef"
END_POINT = b"digest of the certificate"


def scram_server(
    *,
    plus: bool,
    end_point: bytes = END_POINT,
    accounts: Mapping[str, str] = MappingProxyType({NAME: PASSWORD}),
) -> Scram:
    """Knows `accounts`; `end_point`: what it can bind to, b"" for nothing."""

    def verifier(name: str) -> Verifier:
        known = (make_keys(accounts[name], SALT, 4096),) if name in accounts else ()
        return Verifier(SALT, 4096, known)

    bindings = (("tls-server-end-point", end_point),) if end_point else ()
    return Scram(Offer(nonce=lambda: b"server", verifier=verifier, bindings=bindings), plus=plus)
