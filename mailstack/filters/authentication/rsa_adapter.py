"""The one place where signatures meet `cryptography` and PyNaCl (in place of dkimpy's own RSA).

dkimpy's RSA is pure Python, ten times slower, and its private operations are not of
constant time.

Standards: RFC 8017 section 8.2 (RSASSA-PKCS1-v1_5), RFC 8032 (Ed25519), RFC 8301 (key sizes).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import nacl.exceptions
import nacl.signing
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
    load_pem_private_key,
)

#: RFC 8301 section 3.2, and what a key may cost us (T25).
MIN_RSA_BITS = 1_024
MAX_RSA_BITS = 4_096
#: A key of 4096 bits with its wrapping takes 550; more is not worth parsing.
MAX_KEY_OCTETS = 700
#: Larger exponents only burn CPU.
MAX_EXPONENT_BITS = 32

_PREHASHED = utils.Prehashed(SHA256())
_PADDING = padding.PKCS1v15()


class BadKey(Exception):
    """The key cannot be used; `str()` says why.  `weak`: it could, but policy forbids."""

    def __init__(self, why: str, *, weak: bool = False) -> None:
        super().__init__(why)
        self.weak = weak


class RsaKey:
    """A public RSA key."""

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """True when the signature over this SHA-256 digest is good."""
        try:
            self._key.verify(signature, digest, _PADDING, _PREHASHED)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519Key:
    """A public Ed25519 key; RFC 8463: what is signed is the SHA-256 digest."""

    def __init__(self, key: nacl.signing.VerifyKey) -> None:
        self._key = key

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """True when the signature over this SHA-256 digest is good."""
        try:
            self._key.verify(digest, signature)
        except (nacl.exceptions.CryptoError, ValueError, TypeError):
            return False
        return True


PublicKey: TypeAlias = RsaKey | Ed25519Key


def load_rsa(der: bytes) -> RsaKey:
    """An RSA key from SubjectPublicKeyInfo or, as RFC 6376 erratum 3017 allows, RSAPublicKey.

    Raises:
        BadKey: not a key, or outside the sizes we accept.
    """
    if len(der) > MAX_KEY_OCTETS:
        raise BadKey(f"RSA key of more than {MAX_RSA_BITS} bits", weak=True)
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("not an RSA key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise BadKey("not an RSA key")
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise BadKey(f"RSA key of {key.key_size} bits", weak=True)
    if key.public_numbers().e.bit_length() > MAX_EXPONENT_BITS:
        raise BadKey("RSA exponent too large", weak=True)
    return RsaKey(key)


def load_ed25519(raw: bytes) -> Ed25519Key:
    """An Ed25519 key of 32 octets (RFC 8463 section 4).

    Raises:
        BadKey: another length, or no point of the curve.
    """
    if len(raw) != 32:
        raise BadKey(f"Ed25519 key of {len(raw)} octets")
    try:
        return Ed25519Key(nacl.signing.VerifyKey(raw))
    except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise BadKey("not an Ed25519 key") from error


@lru_cache(maxsize=256)
def load_private(pem: bytes) -> Any:
    """A private key from PKCS#8 PEM: RSA of `cryptography` or Ed25519 of PyNaCl.

    Raises:
        BadKey: neither.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("the private key cannot be read") from error
    if isinstance(key, rsa.RSAPrivateKey):
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return nacl.signing.SigningKey(seed)
    raise BadKey("the private key is neither RSA nor Ed25519")


def sign_digest(pem: bytes, digest: bytes, *, algorithm: str) -> bytes:
    """The signature over a SHA-256 digest.

    Args:
        algorithm: "rsa-sha256" or "ed25519-sha256".

    Raises:
        BadKey: the key is not of that kind.
    """
    key = load_private(pem)
    if algorithm == "rsa-sha256" and isinstance(key, rsa.RSAPrivateKey):
        return key.sign(digest, _PADDING, _PREHASHED)
    if algorithm == "ed25519-sha256" and isinstance(key, nacl.signing.SigningKey):
        return bytes(key.sign(digest).signature)
    raise BadKey(f"the private key is not one for {algorithm}")
