"""A DKIM signing key as the signer needs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A private key, decrypted.

    Attributes:
        domain: the signing domain (d=), A-labels.
        selector: s=.
        algorithm: RFC 6376 and RFC 8463 names.
        private_pem: PKCS#8 PEM, unencrypted; never logged.
    """

    domain: str
    selector: str
    algorithm: Literal["rsa-sha256", "ed25519-sha256"]
    private_pem: bytes = field(repr=False)
