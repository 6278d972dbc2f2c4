"""Makes DKIM keys: RSA-2048 and Ed25519, and the public half as DNS wants it.

A key lives through four states: it waits until its record is published, signs, is retired
when newer keys sign but mail it signed is still under way, and then is of no use.

Standards: RFC 6376 section 3.6.1, RFC 8301 section 3.2, RFC 8463 section 4.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # imported where used: every command would pay 40 ms for it
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

RSA_BITS = 2048
Algorithm = Literal["rsa-sha256", "ed25519-sha256"]
State = Literal["waiting", "signing", "retired", "unused"]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key pair.

    Attributes:
        selector: s=.
        public: the p= value.
        private_pem: PKCS#8, unencrypted.
    """

    selector: str
    algorithm: Algorithm
    public: str
    private_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """The public half of a key we hold.

    Attributes:
        signs_at, retired_at: since when it signs, and no longer does; None: not yet.
    """

    selector: str
    algorithm: Algorithm
    public: str
    signs_at: float | None = 0.0
    retired_at: float | None = None

    def state(self, now: float, keep_s: float) -> State:
        """Where it stands.

        Args:
            keep_s: seconds the record of a retired key is still asked for.
        """
        if self.retired_at is not None:
            return "retired" if now < self.retired_at + keep_s else "unused"
        return "waiting" if self.signs_at is None else "signing"

    @property
    def record(self) -> str:
        """The TXT record below `<selector>._domainkey`.

        Source: RFC 6376 section 3.6.1.
        """
        return f"v=DKIM1; k={self.algorithm.partition('-')[0]}; p={self.public}"


def make_keys(now: float, taken: Collection[str] = ()) -> tuple[NewKey, NewKey]:
    """An RSA and an Ed25519 key; the selectors tell the month.  Takes about 0.2 s.

    Args:
        taken: selectors the domain has; a number sets new ones of the same month apart.
    """
    month = time.strftime("%Y%m", time.gmtime(now))
    found = [re.fullmatch(rf"{month}[re](\d*)", selector) for selector in taken]
    last = max((int(number[1] or 1) for number in found if number), default=0)
    end = str(last + 1) if last else ""
    return _rsa(f"{month}r{end}"), _ed25519(f"{month}e{end}")


def _rsa(selector: str) -> NewKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return NewKey(selector, "rsa-sha256", base64.b64encode(public).decode(), _pem(key))


def _ed25519(selector: str) -> NewKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    # RFC 8463 section 4: the bare 32 octets, not a SubjectPublicKeyInfo.
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return NewKey(selector, "ed25519-sha256", base64.b64encode(public).decode(), _pem(key))


def _pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
