"""Signing keys for tests, made once per run, and the DNS records that go with them."""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mailstack.model.keys import DkimKey


@lru_cache(maxsize=8)
def rsa_private(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """An RSA key; `number` asks for another one of the same size."""
    return rsa.generate_private_key(65537, bits)


@lru_cache(maxsize=8)
def ed25519_private(number: int = 0) -> ed25519.Ed25519PrivateKey:
    """An Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """PKCS#8, unencrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def rsa_key(domain: str = "example.test", selector: str = "rsa", *, bits: int = 2048) -> DkimKey:
    """A key to sign with."""
    return DkimKey(domain, selector, "rsa-sha256", pem(rsa_private(bits)))


def ed25519_key(domain: str = "example.test", selector: str = "ed") -> DkimKey:
    """A key to sign with."""
    return DkimKey(domain, selector, "ed25519-sha256", pem(ed25519_private()))


def rsa_record(bits: int = 2048, extra: str = "") -> str:
    """The TXT record of `rsa_key`."""
    der = rsa_private(bits).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; {extra}p={base64.b64encode(der).decode()}"


def ed25519_record(extra: str = "") -> str:
    """The TXT record of `ed25519_key`."""
    raw = ed25519_private().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; {extra}p={base64.b64encode(raw).decode()}"
