"""What a server showed in a TLS handshake: its chain of certificates, or why there was none.

Python's ssl module verifies by authorities alone, and before 3.13 keeps the chain to itself;
DANE wants to see it (RFC 7672), so it is taken from the object behind.

Standards: RFC 8460 section 4.3 (results).
"""

from __future__ import annotations

import ssl
from typing import Any, Final

from mailstack.state.tls_facts import TlsResult

#: `_ssl.ENCODING_DER`.
_DER: Final = 2
#: X509_V_ERR_CERT_HAS_EXPIRED and _NOT_YET_VALID; _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH.
_OUT_OF_TIME: Final = (9, 10)
_OTHER_NAME: Final = (62, 64)


def chain_of(secured: Any) -> tuple[bytes, ...]:
    """The server's certificates in DER, as it sent them, its own first.

    Args:
        secured: the `ssl_object` of a transport after the handshake.
    """
    if hasattr(secured, "get_unverified_chain"):  # Python 3.13
        return tuple(secured.get_unverified_chain() or ())
    found = secured._sslobj.get_unverified_chain() or ()
    return tuple(certificate.public_bytes(_DER) for certificate in found)


def result_of(error: BaseException) -> TlsResult:
    """What a report says of a handshake that failed."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "validation-failure"
    if error.verify_code in _OUT_OF_TIME:
        return "certificate-expired"
    return "certificate-host-mismatch" if error.verify_code in _OTHER_NAME else "certificate-not-trusted"
