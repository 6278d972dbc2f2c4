"""The server's side of a SCRAM login that knows one account, for tests of clients."""

from __future__ import annotations

from mailstack.model.secret import Verifier
from mailstack.sasl.scram import Scram, make_keys
from mailstack.sasl.steps import Offer

NAME, PASSWORD = "us@relay.test", "pencil, or = pen"
SALT = b"0123456789abcdef"
END_POINT = b"digest of the certificate"


def _verifier(name: str) -> Verifier:
    return Verifier(SALT, 4096, (make_keys(PASSWORD, SALT, 4096),) if name == NAME else ())


def scram_server(*, plus: bool, end_point: bytes = END_POINT) -> Scram:
    """`end_point`: what it can bind to; b"" for nothing."""
    bindings = (("tls-server-end-point", end_point),) if end_point else ()
    return Scram(Offer(nonce=lambda: b"server", verifier=_verifier, bindings=bindings), plus=plus)
