"""How old the encryption of a connection is, from the words the log has for it.

Standards: RFC 8996 (TLS 1.0 and 1.1), RFC 9325 section 4.2 (ciphers).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

#: "legacy": TLS 1.0 or 1.1; "old ciphers": TLS 1.2 without forward secrecy, or with CBC.
Age: TypeAlias = Literal["", "current", "old ciphers", "legacy"]

_LEGACY = ("SSLv3", "TLSv1", "TLSv1.1")
_AEAD = ("GCM", "CHACHA20", "CCM")


def age_of(tls: str) -> Age:
    """What a description such as "TLSv1.2 AES256-SHA" says; "" for a connection in clear."""
    version, _, cipher = tls.partition(" ")
    if not version:
        return ""
    if version in _LEGACY:
        return "legacy"
    if version == "TLSv1.2":
        has_secrecy = cipher.startswith(("ECDHE-", "DHE-"))
        if not has_secrecy or not any(word in cipher for word in _AEAD):
            return "old ciphers"
    return "current"
